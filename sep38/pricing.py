"""What an exchange costs: SEP-38, "Price Formulas". Pure.

Two roundings, each by less than one smallest unit and each for us:

- the percentages of the fee are rounded up, see `sep38.fees`;
- what the client gets is rounded down to the buy asset's smallest unit, or, where the client named
  it, what the client pays is rounded up to the sell asset's.

Who names `sell_amount` pays exactly that. Who names `buy_amount` gets exactly that, or more where
less would cost more: at the start of a tier with a lower fee.

Prices follow from the amounts, not the other way round. They carry as many digits as it takes for
SEP-38's formulas, rounded to the sell asset's decimals, to be exactly true.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from kernel.assets import AssetName
from kernel.errors import BadRequest
from kernel.languages import Phrase
from kernel.money import MAX_STELLAR_AMOUNT, STELLAR_DECIMALS, format_amount
from sep38.fees import Fee, Schedule, to_amount, to_units

_MAX_UNITS = to_units(MAX_STELLAR_AMOUNT, STELLAR_DECIMALS)


@dataclass(frozen=True)
class Terms:
    """On what terms we exchange. `rate`: units of `buy` for one of `sell`, before our spread,
    which is from 0 to below 100 percent. The fees are in `sell` or in `buy`.
    """

    sell: AssetName
    buy: AssetName
    rate: Decimal
    spread_percent: Decimal
    fees: Schedule


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
    exchange = _Exchange(terms)
    sold = to_units(sell_amount, exchange.sell_decimals)
    if terms.fees.asset == terms.sell:
        gross = sold
        bought = exchange.bought_for(sold - terms.fees.total(sold))
    else:
        gross = exchange.bought_for(sold)
        exchange.check_size("sell_amount", sold, gross)
        bought = gross - terms.fees.total(gross)
    fee = terms.fees.fee_of(gross)
    if bought <= 0:
        raise BadRequest(
            Phrase(
                "sell_amount is too small: after the fee of {fee} nothing would be left to deliver",
                fee=f"{format_amount(fee.total)} {fee.asset.code}",
            )
        )
    exchange.check_size("sell_amount", sold, bought)
    return exchange.price(sold, bought, fee)


def price_by_buy_amount(terms: Terms, buy_amount: Decimal) -> Price:
    """The least that a client has to pay, fee included, to get `buy_amount`. Raises `BadRequest`
    if that is more than an amount may be.
    """
    exchange = _Exchange(terms)
    bought = to_units(buy_amount, exchange.buy_decimals)
    if terms.fees.asset == terms.sell:
        exchanged = exchange.sold_for(bought)
        gross = sold = terms.fees.least_gross(exchanged)
        left = sold - terms.fees.total(sold)
        if left > exchanged:
            # The start of a tier: what the lower fee leaves is the client's, not ours.
            bought = exchange.bought_for(left)
    else:
        gross = terms.fees.least_gross(bought)
        bought = gross - terms.fees.total(gross)
        sold = exchange.sold_for(gross)
        exchange.check_size("buy_amount", sold, gross)
    exchange.check_size("buy_amount", sold, bought)
    return exchange.price(sold, bought, terms.fees.fee_of(gross))


class _Exchange:
    """Conversion between smallest units of both assets, in whole numbers: exact, and quick."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.sell_decimals, self.buy_decimals = terms.sell.decimals, terms.buy.decimals
        rate, per = terms.rate.as_integer_ratio()
        kept, of = ((100 - terms.spread_percent) / 100).as_integer_ratio()
        self._bought = rate * kept * 10**self.buy_decimals
        self._sold = per * of * 10**self.sell_decimals

    def bought_for(self, sold: int) -> int:
        """Down: less than a smallest unit of the buy asset stays with us."""
        return sold * self._bought // self._sold

    def sold_for(self, bought: int) -> int:
        """Up, for us: less than a smallest unit of the sell asset."""
        return -(-bought * self._sold // self._bought)

    def check_size(self, named: str, sold: int, bought: int) -> None:
        for units, decimals in ((sold, self.sell_decimals), (bought, self.buy_decimals)):
            if units * 10**STELLAR_DECIMALS > _MAX_UNITS * 10**decimals:
                raise BadRequest(Phrase("{field} is too large to exchange at once", field=named))

    def price(self, sold: int, bought: int, fee: Fee) -> Price:
        """SEP-38, "Price Formulas", solved for the prices."""
        kept = to_units(fee.total, self.terms.fees.decimals)
        in_sell = fee.asset == self.terms.sell
        return Price(
            price=self._ratio(sold - kept, bought) if in_sell else self._ratio(sold, bought + kept),
            total_price=self._ratio(sold, bought),
            sell_amount=to_amount(sold, self.sell_decimals),
            buy_amount=to_amount(bought, self.buy_decimals),
            fee=fee,
        )

    def _ratio(self, sold: int, bought: int) -> Decimal:
        # An error of half a unit in the last digit of a price, times what is bought, must stay
        # below half a smallest unit of the sell asset. To the nearest: the amounts are what
        # counts, so nobody gains.
        decimals = self.sell_decimals + len(str(bought // 10**self.buy_decimals))
        part = sold * 10 ** (self.buy_decimals + decimals)
        whole = bought * 10**self.sell_decimals
        return to_amount((2 * part + whole) // (2 * whole), decimals)
