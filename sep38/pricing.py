"""What an exchange costs: SEP-38, "Price Formulas". Pure.

Two roundings, each by less than one smallest unit and each for us:

- the percentage fee is rounded up to the sell asset's smallest unit;
- what the client gets is rounded down to the buy asset's, or, where the client named it, what
  the client pays is rounded up to the sell asset's. Who names `buy_amount` gets exactly that.

Prices follow from the amounts, not the other way round. They carry as many digits as it takes for
`price * buy_amount` and `total_price * buy_amount`, rounded to the sell asset's decimals, to be
exactly `sell_amount - fee` and `sell_amount`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from kernel.assets import AssetName
from kernel.errors import BadRequest
from kernel.money import MAX_STELLAR_AMOUNT, format_amount


@dataclass(frozen=True)
class Terms:
    """On what terms we exchange. `rate`: units of `buy` for one of `sell`, before our spread.

    Percentages are from 0 to below 100; `fee_fixed` is an amount of the sell asset.
    """

    sell: AssetName
    buy: AssetName
    rate: Decimal
    spread_percent: Decimal
    fee_fixed: Decimal
    fee_percent: Decimal

    @property
    def buy_per_sell(self) -> Fraction:
        return Fraction(self.rate) * (100 - Fraction(self.spread_percent)) / 100


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
        """As SEP-38 (GET /price) and SEP-31 (Fee Details) write it."""
        return {
            "total": format_amount(self.total),
            "asset": str(self.asset),
            "details": [
                {
                    "name": detail.name,
                    "description": detail.description,
                    "amount": format_amount(detail.amount),
                }
                for detail in self.details
            ],
        }


@dataclass(frozen=True)
class Price:
    """One exchange. Amounts are exact; prices are units of the sell asset for one of the buy."""

    price: Decimal
    total_price: Decimal
    sell_amount: Decimal
    buy_amount: Decimal
    fee: Fee


def price_by_sell_amount(terms: Terms, sell_amount: Decimal) -> Price:
    """What a client gets for `sell_amount`, fee included. Raises `BadRequest` if that is nothing,
    or more than an amount may be.
    """
    fee = _fee(terms, sell_amount)
    exchanged = Fraction(sell_amount) - Fraction(fee.total)
    # Down: less than a smallest unit of the buy asset stays with us.
    buy_amount = _floor(exchanged * terms.buy_per_sell, terms.buy.decimals)
    if buy_amount <= 0:
        raise BadRequest(
            f"sell_amount is too small: after the fee of {format_amount(fee.total)} "
            f"{terms.sell.code} nothing would be left to deliver"
        )
    if buy_amount > MAX_STELLAR_AMOUNT:
        raise BadRequest("sell_amount is too large to exchange at once")
    return _price(terms, sell_amount, buy_amount, fee)


def price_by_buy_amount(terms: Terms, buy_amount: Decimal) -> Price:
    """The least that a client has to pay, fee included, to get `buy_amount`. Raises `BadRequest`
    if that is more than an amount may be.
    """
    # Both up, for us, so that the exchange covers buy_amount. Since `exchanged` is in smallest
    # units, the fee of the sum is exactly what lies between the two.
    exchanged = _ceiling(Fraction(buy_amount) / terms.buy_per_sell, terms.sell.decimals)
    share = 1 - Fraction(terms.fee_percent) / 100
    sell_amount = _ceiling(
        (Fraction(exchanged) + Fraction(terms.fee_fixed)) / share, terms.sell.decimals
    )
    if sell_amount > MAX_STELLAR_AMOUNT:
        raise BadRequest("buy_amount is too large to exchange at once")
    return _price(terms, sell_amount, buy_amount, _fee(terms, sell_amount))


def _fee(terms: Terms, sell_amount: Decimal) -> Fee:
    # Up: less than a smallest unit of the sell asset, for us.
    percentage = _ceiling(
        Fraction(sell_amount) * Fraction(terms.fee_percent) / 100, terms.sell.decimals
    )
    details = (
        FeeDetail("Fixed fee", "Charged once per payment.", terms.fee_fixed),
        FeeDetail(
            "Percentage fee",
            f"{format_amount(terms.fee_percent)}% of the amount sold.",
            percentage,
        ),
    )
    return Fee(
        total=terms.fee_fixed + percentage,
        asset=terms.sell,
        details=tuple(detail for detail in details if detail.amount > 0),
    )


def _price(terms: Terms, sell_amount: Decimal, buy_amount: Decimal, fee: Fee) -> Price:
    # An error of half a unit in the last digit of a price, times buy_amount, must stay below half
    # a smallest unit of the sell asset.
    decimals = terms.sell.decimals + len(str(math.ceil(buy_amount)))

    def per_unit(amount: Fraction) -> Decimal:
        # To the nearest: the amounts are what counts, so nobody gains.
        return _scaled(round(amount / Fraction(buy_amount) * 10**decimals), decimals)

    total = Fraction(sell_amount)
    return Price(
        price=per_unit(total - Fraction(fee.total)),
        total_price=per_unit(total),
        sell_amount=sell_amount,
        buy_amount=buy_amount,
        fee=fee,
    )


def _floor(amount: Fraction, decimals: int) -> Decimal:
    return _scaled(math.floor(amount * 10**decimals), decimals)


def _ceiling(amount: Fraction, decimals: int) -> Decimal:
    return _scaled(math.ceil(amount * 10**decimals), decimals)


def _scaled(units: int, decimals: int) -> Decimal:
    """`units` of 10^-decimals. From text, since that is exact for any number of digits."""
    return Decimal(f"{units}e-{decimals}")
