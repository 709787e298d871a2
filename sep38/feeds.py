"""Ask the sources of rates, and put what they say in force.

Claim and commit; call the source with nothing open; record. What is recorded is a `Rate` row, one
for each moment that the source names, whoever fetches it; or a `HeldRate`, if it is too far from
the last.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from kernel.errors import Conflict
from kernel.rows import insert_rows
from sep38.models import HeldRate, Rate, RateFeed
from sep38.pairs import OPERATORS, Pair, all_pairs
from sep38.sources import ConfiguredSource, Fetched, SourceFailed, all_sources

logger = logging.getLogger(__name__)

# A clock that is ahead would make a rate that never gets old.
MAX_AHEAD = timedelta(minutes=5)
FIRST_RETRY_SECONDS = 30.0


def fetch_due_rates() -> int:
    """Ask each source whose turn it is; how many rates were put in force. Safe to run at once with
    others: a feed is claimed before it is asked.
    """
    recorded = 0
    for configured, pairs in _sources_in_use():
        if _claim(configured):
            recorded += _fetch(configured, pairs)
    return recorded


def _sources_in_use() -> list[tuple[ConfiguredSource, list[Pair]]]:
    sources = all_sources()
    pairs_of: dict[str, list[Pair]] = {}
    for pair in all_pairs():
        if pair.rate_source != OPERATORS:
            pairs_of.setdefault(pair.rate_source, []).append(pair)
    return [(sources[name], pairs) for name, pairs in pairs_of.items() if name in sources]


def _claim(configured: ConfiguredSource) -> bool:
    """Whether it is the feed's turn, and ours to ask it. Who claims and dies leaves it to whoever
    comes after the next interval."""
    now = timezone.now()
    due = RateFeed.objects.filter(pk=configured.name, due_at__lte=now)
    if due.update(due_at=now + configured.every):
        return True
    first = RateFeed(name=configured.name, due_at=now + configured.every)
    return bool(insert_rows([first], unless_there=True))


def _fetch(configured: ConfiguredSource, pairs: list[Pair]) -> int:
    try:
        fetched = configured.source.fetch_rates(pairs)
    except SourceFailed as failure:
        _record_failure(configured, str(failure))
        return 0
    except Exception as error:  # a class of the company's own
        logger.exception("rate source %s failed", configured.name)
        _record_failure(configured, f"it failed: {type(error).__name__}")
        return 0
    return record_rates(configured, pairs, fetched)


def _record_failure(configured: ConfiguredSource, words: str) -> None:
    logger.warning("rate source %s: %s", configured.name, words)
    with transaction.atomic():
        feed = RateFeed.objects.lock(configured.name)
        feed.failures += 1
        feed.error = words[:300]
        pause = FIRST_RETRY_SECONDS * 2 ** min(feed.failures - 1, 10) * random.uniform(0.8, 1.2)  # noqa: S311
        feed.due_at = timezone.now() + min(configured.every, timedelta(seconds=pause))
        feed.save()


def record_rates(
    configured: ConfiguredSource, pairs: list[Pair], fetched: Mapping[Pair, Fetched]
) -> int:
    """Record what a source said of `pairs`; how many rates were put in force."""
    unknown = [pair for pair in pairs if pair not in fetched]
    with transaction.atomic():
        # One worker at a time: each compares with the newest rate before it adds to it.
        feed = RateFeed.objects.lock(configured.name)
        newest = Rate.objects.newest_of(pair.names for pair in pairs)
        found = [
            _record_rate(configured, pair, fetched[pair], newest.get(pair.names))
            for pair in pairs
            if pair in fetched
        ]
        feed.answered_at, feed.failures = timezone.now(), 0
        feed.error = "; ".join(f"it has no rate of {pair}" for pair in unknown)[:300]
        feed.save()
    for pair in unknown:
        logger.warning("rate source %s has no rate of %s", configured.name, pair)
    return sum(found)


def _record_rate(
    configured: ConfiguredSource, pair: Pair, fetched: Fetched, last: Rate | None
) -> bool:
    """Whether the rate is in force now."""
    if fetched.as_of > timezone.now() + MAX_AHEAD:
        logger.error("rate source %s: its rate of %s is of the future", configured.name, pair)
        return False
    if last is not None and fetched.as_of <= last.since:
        return False  # known already, or older than what is in force
    if last is not None and abs(fetched.rate - last.rate) > last.rate * configured.max_jump:
        _hold(configured, pair, fetched, last)
        return False
    _open_of(pair).update(outcome=HeldRate.Outcome.PASSED, decided_at=timezone.now())
    rate = Rate(
        sell_asset=pair.names[0],
        buy_asset=pair.names[1],
        rate=fetched.rate,
        source=configured.name,
        as_of=fetched.as_of,
    )
    return bool(insert_rows([rate], unless_there=True))


def _open_of(pair: Pair) -> QuerySet[HeldRate]:
    return HeldRate.objects.open().filter(sell_asset=pair.names[0], buy_asset=pair.names[1])


def _hold(configured: ConfiguredSource, pair: Pair, fetched: Fetched, last: Rate) -> None:
    """Leave the decision to an operator. While one waits, a rate near it says nothing new."""
    held = _open_of(pair).first()
    if held is not None and abs(fetched.rate - held.rate) <= held.rate * configured.max_jump:
        return
    if held is not None:
        _open_of(pair).update(outcome=HeldRate.Outcome.PASSED, decided_at=timezone.now())
    new = HeldRate(
        sell_asset=pair.names[0],
        buy_asset=pair.names[1],
        rate=fetched.rate,
        source=configured.name,
        as_of=fetched.as_of,
        before=last,
    )
    if insert_rows([new], unless_there=True):
        logger.error("rate source %s: its rate of %s is held, it is far off", configured.name, pair)


@transaction.atomic
def accept_held_rate(held_id: int, by: str) -> Rate:
    """Put a held rate in force after all. Raises `Conflict` if it is not open any more."""
    held = _lock_open(held_id)
    held.accepted_as = Rate.objects.create(
        sell_asset=held.sell_asset,
        buy_asset=held.buy_asset,
        rate=held.rate,
        source=held.source,
        as_of=held.as_of,
    )
    _decide(held, HeldRate.Outcome.ACCEPTED, by)
    return held.accepted_as


@transaction.atomic
def refuse_held_rate(held_id: int, by: str) -> None:
    """Leave the rate of before in force. Raises `Conflict` if it is not open any more."""
    _decide(_lock_open(held_id), HeldRate.Outcome.REFUSED, by)


def _lock_open(held_id: int) -> HeldRate:
    held = HeldRate.objects.lock_open(held_id)
    if held is None:
        raise Conflict("This rate does not wait for anybody any more")
    return held


def _decide(held: HeldRate, outcome: HeldRate.Outcome, by: str) -> None:
    held.outcome, held.decided_by, held.decided_at = outcome, by, timezone.now()
    held.save()
