"""Where rates come from. A firm quote names the `Rate` row that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from kernel.errors import Unavailable
from sep38.models import Rate
from sep38.pairs import Pair


class RateSource(Protocol):
    """Implement this to take rates from elsewhere; `settings.RATE_SOURCE` names the class."""

    def newest_rates(self, pairs: Sequence[Pair]) -> dict[Pair, Rate]:
        """The stored row in force of each pair that has one, in a query or two for all pairs."""


class OperatorTable:
    """The rates that operators enter, in the admin or with `manage.py set_rate`."""

    def newest_rates(self, pairs: Sequence[Pair]) -> dict[Pair, Rate]:
        rows = Rate.objects.newest_of((str(pair.sell), str(pair.buy)) for pair in pairs)
        return {
            pair: rows[names]
            for pair in pairs
            if (names := (str(pair.sell), str(pair.buy))) in rows
        }


class NoFreshRate(Unavailable):
    """503: the pair has no rate that is young enough to stand by (`rate_max_age_seconds`)."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(f"There is no current rate of {pair.sell} for {pair.buy}; try again later")


def fresh_rates(pairs: Sequence[Pair]) -> dict[Pair, Rate]:
    """The rate of each pair that has one young enough."""
    source: RateSource = import_string(settings.RATE_SOURCE)()
    now = timezone.now()
    newest = source.newest_rates(pairs) if pairs else {}
    return {
        pair: rate for pair, rate in newest.items() if now - rate.created_at <= pair.rate_max_age
    }


def fresh_rate(pair: Pair) -> Rate:
    """The rate of `pair`. Raises `NoFreshRate`: a rate that nobody renewed stops quotes."""
    rate = fresh_rates([pair]).get(pair)
    if rate is None:
        raise NoFreshRate(pair)
    return rate
