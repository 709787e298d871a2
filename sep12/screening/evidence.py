"""What a birth date and countries say about a likeness of two names. Pure.

They speak only where both sides have them, and they never decide alone: equal names of a different
birth date stay a likeness of 85.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

SAME_BIRTH_DATE, OTHER_BIRTH_DATE = 5.0, -15.0
SAME_COUNTRY, OTHER_COUNTRY = 3.0, -5.0
MOST_GAINED = SAME_BIRTH_DATE + SAME_COUNTRY
# Lists are often a year off, and know many dates by the year only.
YEARS_OFF = 1


@dataclass(frozen=True)
class Facts:
    """Birth dates are "1950", "1950-06" or "1950-06-30"; countries ISO 3166-1 alpha-3."""

    birth_dates: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()


def weigh_evidence(score: float, ours: Facts, listed: Facts) -> tuple[float, list[str]]:
    """The score after the evidence, from 0 to 100, and what spoke for or against, in words."""
    said = []
    for words, gain in (
        ("birth date", _compare_births(ours.birth_dates, listed.birth_dates)),
        ("country", _compare_countries(ours.countries, listed.countries)),
    ):
        if gain:
            score += gain
            said.append(f"{'same' if gain > 0 else 'other'} {words} ({gain:+.0f})")
    return min(max(score, 0.0), 100.0), said


def _compare_births(ours: Collection[str], listed: Collection[str]) -> float:
    if not ours or not listed:
        return 0.0
    if any(one.startswith(other) or _swapped(one) == other for one in ours for other in listed):
        return SAME_BIRTH_DATE
    years = [(int(one[:4]), int(other[:4])) for one in ours for other in listed]
    if any(abs(one - other) <= YEARS_OFF for one, other in years):
        return 0.0
    return OTHER_BIRTH_DATE


def _swapped(date: str) -> str:
    """With month and day the other way round, as they are often written down."""
    return f"{date[:4]}-{date[8:10]}-{date[5:7]}"


def _compare_countries(ours: frozenset[str], listed: frozenset[str]) -> float:
    if not ours or not listed:
        return 0.0
    return SAME_COUNTRY if ours & listed else OTHER_COUNTRY
