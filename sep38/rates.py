"""The rates in force. Quotes read our own table only: no request waits for the outside world."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from kernel.errors import Unavailable
from kernel.languages import Phrase
from sep38.models import Rate
from sep38.pairs import Pair

_DAY = timedelta(days=1)
_SATURDAY = 5
# So much older than any pair allows that the days need not be counted.
_AGES = timedelta(days=3650)


class NoFreshRate(Unavailable):
    """503: the pair has no rate that is young enough to stand by (`rate_max_age_seconds`)."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(
            Phrase(
                "There is no current rate of {sell} for {buy}; try again later",
                sell=str(pair.sell),
                buy=str(pair.buy),
            )
        )


def age_of(pair: Pair, rate: Rate, now: datetime) -> timedelta:
    """How old a rate is, as `rate_max_age` counts: from the moment that the source names."""
    age = now - rate.since
    if pair.rate_rests_on_weekends and age < _AGES:
        return age - weekend_between(rate.since, now)
    return age


def weekend_between(start: datetime, end: datetime) -> timedelta:
    """How much of the time between two moments is Saturday or Sunday in UTC."""
    found = timedelta(0)
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while midnight < end:
        if midnight.weekday() >= _SATURDAY:
            found += min(midnight + _DAY, end) - max(midnight, start)
        midnight += _DAY
    return found


def fresh_rates(pairs: Collection[Pair]) -> dict[tuple[str, str], Rate]:
    """The rate of each pair that has one young enough, by the pair's `names`. One query."""
    newest = Rate.objects.newest_of(pair.names for pair in pairs)
    now = timezone.now()
    return {
        pair.names: rate
        for pair in pairs
        if (rate := newest.get(pair.names)) and age_of(pair, rate, now) <= pair.rate_max_age
    }


def fresh_rate(pair: Pair) -> Rate:
    """The rate of `pair`. Raises `NoFreshRate`: a rate that nobody renewed stops quotes."""
    rate = fresh_rates([pair]).get(pair.names)
    if rate is None:
        raise NoFreshRate(pair)
    return rate
