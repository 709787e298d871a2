"""What we charge beside the price. Pure, and exact: amounts are counted in smallest units.

A schedule is the fees of one exchange, all in one asset (SEP-38 knows one `fee.asset`): what the
client sells, or what it buys. The *gross* is what the fees are taken from: all that is sold, or all
that would be bought without them. A tier applies to the whole gross from its `from_amount` on.

One rounding, for us: the percentages together are rounded up to a smallest unit. The parts are
shares of that sum, so that they add up to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from kernel.assets import AssetName
from kernel.money import MAX_STELLAR_AMOUNT, fits_decimals, format_amount


@dataclass(frozen=True)
class Tier:
    """From so much on: `fixed` is an amount of the fee's asset, `percent` is of the gross."""

    from_amount: Decimal
    fixed: Decimal
    percent: Decimal


@dataclass(frozen=True)
class FeeLine:
    """One fee by name. Raises `ValueError` for one that can't be."""

    name: str
    description: str
    tiers: tuple[Tier, ...]  # ascending; the first is from 0
    methods: tuple[str, ...] = ()  # delivery methods that it is for; empty: all

    def __post_init__(self) -> None:
        starts = [tier.from_amount for tier in self.tiers]
        if not self.name:
            raise ValueError("a fee needs a name")
        if starts[:1] != [0] or starts != sorted(set(starts)):
            raise ValueError(f"fee {self.name!r}: tiers must begin above 0, each at another amount")
        if any(tier.fixed < 0 or not 0 <= tier.percent < 100 for tier in self.tiers):
            raise ValueError(
                f"fee {self.name!r}: fixed must not be negative, percent from 0 to below 100"
            )

    def tier_at(self, amount: Decimal) -> Tier:
        return [tier for tier in self.tiers if tier.from_amount <= amount][-1]


@dataclass(frozen=True)
class FeeDetail:
    name: str
    description: str
    amount: Decimal


@dataclass(frozen=True)
class Fee:
    """What we keep beside the price. The details add up to `total`, in units of `asset`."""

    total: Decimal
    asset: AssetName
    details: tuple[FeeDetail, ...]

    def as_json(self) -> dict[str, object]:
        """As SEP-38 (GET /price) and SEP-31 (Fee Details) write it; `description` is optional."""
        return {
            "total": format_amount(self.total),
            "asset": str(self.asset),
            "details": [
                {
                    "name": detail.name,
                    **({"description": detail.description} if detail.description else {}),
                    "amount": format_amount(detail.amount),
                }
                for detail in self.details
            ],
        }


@dataclass(frozen=True)
class _Part:
    """A line in one band: `fixed` in smallest units; percentages as the share of the gross of this
    line and of all before it."""

    name: str
    description: str
    fixed: int
    shares_before: Fraction
    shares: Fraction


@dataclass(frozen=True)
class _Band:
    """A stretch of gross amounts on which no line changes its tier."""

    start: int
    parts: tuple[_Part, ...]
    fixed: int
    share: Fraction

    def total(self, gross: int) -> int:
        return self.fixed + _rounded_up(gross, self.share)


class Schedule:
    """All fees of an exchange in `asset`. Raises `ValueError` for what can't be."""

    def __init__(self, asset: AssetName, lines: Iterable[FeeLine]) -> None:
        self.asset = asset
        self.decimals = asset.decimals
        self._unit = 10**self.decimals
        lines = tuple(lines)
        for tier in (tier for line in lines for tier in line.tiers):
            for amount in (tier.fixed, tier.from_amount):
                if not fits_decimals(amount, self.decimals) or amount > MAX_STELLAR_AMOUNT:
                    raise ValueError(f"a fee's {amount} is no amount of {asset}")
        starts = sorted({tier.from_amount for line in lines for tier in line.tiers} | {Decimal(0)})
        self._bands = tuple(self._band(start, lines) for start in starts)
        if any(band.share >= 1 for band in self._bands):
            raise ValueError("the percentages of the fees must be below 100 together")

    def _band(self, start: Decimal, lines: tuple[FeeLine, ...]) -> _Band:
        parts: list[_Part] = []
        share = Fraction(0)
        for line in lines:
            tier = line.tier_at(start)
            before, share = share, share + Fraction(tier.percent) / 100
            fixed = int(tier.fixed * self._unit)
            parts.append(_Part(line.name, line.description, fixed, before, share))
        return _Band(int(start * self._unit), tuple(parts), sum(p.fixed for p in parts), share)

    def total(self, gross: int) -> int:
        """The fee of `gross`, both in smallest units. It may be more than `gross`."""
        return self._band_of(gross).total(gross)

    def least_gross(self, net: int) -> int:
        """The least gross of which, after the fee, at least `net` is left, in smallest units.

        Exactly `net` is left, unless the fee falls at the start of a tier: then it may be more.
        """
        for band, after in zip(self._bands, (*self._bands[1:], None), strict=True):
            # One unit more of gross is never more than one unit more of fee, so each net is met.
            gross = max(_rounded_up(net + band.fixed, 1 / (1 - band.share)), band.start)
            if after is None or gross < after.start:
                return gross
        raise AssertionError("the last band has no end")

    def fee_of(self, gross: int) -> Fee:
        """The fee of `gross` smallest units, with its parts."""
        band = self._band_of(gross)
        details = (
            FeeDetail(
                part.name,
                part.description,
                self._amount(
                    part.fixed
                    + _rounded_up(gross, part.shares)
                    - _rounded_up(gross, part.shares_before)
                ),
            )
            for part in band.parts
        )
        return Fee(
            total=self._amount(band.total(gross)),
            asset=self.asset,
            details=tuple(detail for detail in details if detail.amount > 0),
        )

    def _band_of(self, gross: int) -> _Band:
        found = self._bands[0]
        for band in self._bands[1:]:
            if band.start > gross:
                break
            found = band
        return found

    def _amount(self, units: int) -> Decimal:
        return to_amount(units, self.decimals)


def _rounded_up(units: int, share: Fraction) -> int:
    return -(-units * share.numerator // share.denominator)


def to_units(amount: Decimal, decimals: int) -> int:
    """An amount in smallest units, which it must fit (`kernel.money.parse_amount`)."""
    return int(amount.scaleb(decimals))


def to_amount(units: int, decimals: int) -> Decimal:
    """`units` of 10^-decimals. From text, since that is exact for any number of digits."""
    return Decimal(f"{units}e-{decimals}")
