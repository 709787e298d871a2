"""System checks of the sources of rates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from sep38.pairs import OPERATORS, Pair, all_pairs
from sep38.sources import ConfiguredSource, EcbDaily, all_sources

# From Thursday's rates to those of the Tuesday after Easter, and the working days alone of it.
ECB_PAUSE = timedelta(days=5, hours=6)
ECB_PAUSE_WITHOUT_WEEKEND = timedelta(days=3, hours=6)


@register()
def check_rate_sources(**kwargs: Any) -> list[CheckMessage]:
    """Each pair gets its rates from a source that there is, and that can tell them."""
    found: list[CheckMessage] = []
    if settings.QUOTE_KEEP_DAYS < 1:
        found.append(
            Error(
                "QUOTE_KEEP_DAYS is below 1.",
                hint="SEP-38 wants quotes to be there past their expiry; the default is 90.",
                id="landfall.E037",
            )
        )
    try:
        sources = all_sources()
    except (TypeError, ValueError, ArithmeticError) as error:
        return [
            *found,
            Error(
                f"The [rate_sources] of {settings.ANCHOR_CONFIG} can't be read: {error}.",
                hint="docs/configuration.md has what a source may say.",
                id="landfall.E038",
            ),
        ]
    try:
        pairs = all_pairs()
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return found  # check_offer says what is wrong with them
    for pair in pairs:
        found += _check_pair(pair, sources)
    return found


def _check_pair(pair: Pair, sources: dict[str, ConfiguredSource]) -> Iterator[CheckMessage]:
    configured = sources.get(pair.rate_source)
    if configured is None:
        yield Error(
            f"The pair {pair} takes its rates from {pair.rate_source}, which is no source.",
            hint=f"Add [rate_sources.{pair.rate_source}], or take one of {', '.join(sources)}.",
            id="landfall.E039",
        )
        return
    if configured.name == OPERATORS:
        return
    if not (pair.sell_currency and pair.buy_currency):
        yield Error(
            f"The pair {pair}: its source of rates can't know what it is in.",
            hint="Say sell_currency and buy_currency as the source calls them, for example USD.",
            id="landfall.E040",
        )
    if configured.every >= pair.rate_max_age:
        yield Warning(
            f"The pair {pair}: its rates are too old before the source is asked again.",
            hint="Make every_seconds of the source much shorter than rate_max_age_seconds.",
            id="landfall.W006",
        )
    pause = ECB_PAUSE_WITHOUT_WEEKEND if pair.rate_rests_on_weekends else ECB_PAUSE
    if isinstance(configured.source, EcbDaily) and pair.rate_max_age < pause:
        yield Warning(
            f"The pair {pair}: the ECB's holidays stop its quotes.",
            hint=f"It publishes on working days; around Easter only {pause} covers its pause. "
            "Silence this check if quotes are meant to stop.",
            id="landfall.W007",
        )
