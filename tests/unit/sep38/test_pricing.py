"""The arithmetic of exchanges: SEP-38, "Price Formulas"."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernel.assets import AssetName
from kernel.errors import BadRequest
from kernel.money import MAX_STELLAR_AMOUNT, fits_decimals
from sep38.pricing import Price, Terms, price_by_buy_amount, price_by_sell_amount

USDC = AssetName("stellar", "USDC", "G" + "A" * 55)
BUYS = [
    AssetName("iso4217", "MXN"),  # 2 decimals
    AssetName("iso4217", "JPY"),  # 0
    AssetName("iso4217", "KWD"),  # 3
    AssetName("stellar", "EURC", "G" + "B" * 55),  # 7
]


def terms(**changes: object) -> Terms:
    usual: dict[str, object] = {
        "sell": USDC,
        "buy": BUYS[0],
        "rate": Decimal("17.05"),
        "spread_percent": Decimal(1),
        "fee_fixed": Decimal(1),
        "fee_percent": Decimal("0.5"),
    }
    return Terms(**{**usual, **changes})  # type: ignore[arg-type]


any_terms = st.builds(
    terms,
    buy=st.sampled_from(BUYS),
    rate=st.decimals("0.001", "100000", places=12) | st.decimals("0.000000000001", 1, places=12),
    spread_percent=st.decimals(0, "99.99", places=4),
    fee_fixed=st.decimals(0, 100, places=7),
    fee_percent=st.decimals(0, "99.99", places=4),
)
sell_amounts = st.decimals(100, 1_000_000, places=7) | st.decimals(
    "0.0000001", MAX_STELLAR_AMOUNT, places=7
)


@st.composite
def buy_requests(draw: st.DrawFn) -> tuple[Terms, Decimal]:
    chosen = draw(any_terms)
    smallest = Decimal(1).scaleb(-chosen.buy.decimals)
    units = draw(st.integers(1, 10**12))
    return chosen, units * smallest


def priced(function, chosen: Terms, amount: Decimal) -> Price:
    try:
        return function(chosen, amount)
    except BadRequest:
        assume(False)
        raise


def assert_formulas_hold(price: Price, chosen: Terms) -> None:
    """As the SEP writes them, to the last decimal of the asset that they are about."""
    smallest = Fraction(1, 10**chosen.sell.decimals)

    def rounded(value: Fraction) -> Fraction:
        return round(value / smallest) * smallest

    buy = Fraction(price.buy_amount)
    assert rounded(Fraction(price.total_price) * buy) == Fraction(price.sell_amount)
    assert rounded(Fraction(price.price) * buy) == Fraction(price.sell_amount - price.fee.total)
    assert sum((detail.amount for detail in price.fee.details), Decimal(0)) == price.fee.total
    assert price.fee.asset == chosen.sell
    assert price.buy_amount > 0
    assert price.sell_amount > price.fee.total >= 0
    assert fits_decimals(price.sell_amount, chosen.sell.decimals)
    assert fits_decimals(price.fee.total, chosen.sell.decimals)
    assert fits_decimals(price.buy_amount, chosen.buy.decimals)
    assert max(price.sell_amount, price.buy_amount) <= MAX_STELLAR_AMOUNT
    assert len(format(price.price, "f")) <= 60, "what the quote's column holds"
    assert len(format(price.total_price, "f")) <= 60


@given(any_terms, sell_amounts)
def test_the_formulas_hold_for_any_sell_amount(chosen, amount):
    price = priced(price_by_sell_amount, chosen, amount)
    assert_formulas_hold(price, chosen)
    assert price.sell_amount == amount


@given(buy_requests())
def test_the_formulas_hold_for_any_buy_amount(request_):
    chosen, amount = request_
    price = priced(price_by_buy_amount, chosen, amount)
    assert_formulas_hold(price, chosen)
    assert price.buy_amount == amount


@given(any_terms, sell_amounts)
def test_rounding_costs_the_client_less_than_one_smallest_unit_of_each_asset(chosen, amount):
    price = priced(price_by_sell_amount, chosen, amount)
    exact_fee = Fraction(chosen.fee_fixed) + Fraction(amount) * Fraction(chosen.fee_percent) / 100
    exact_buy = (Fraction(amount) - Fraction(price.fee.total)) * chosen.buy_per_sell
    assert 0 <= Fraction(price.fee.total) - exact_fee < Fraction(1, 10**chosen.sell.decimals)
    assert 0 <= exact_buy - Fraction(price.buy_amount) < Fraction(1, 10**chosen.buy.decimals)


@given(buy_requests())
def test_what_a_buy_amount_costs_buys_at_least_that_amount(request_):
    chosen, amount = request_
    price = priced(price_by_buy_amount, chosen, amount)
    again = priced(price_by_sell_amount, chosen, price.sell_amount)
    assert again.buy_amount >= amount
    assert again.fee == price.fee, "the same payment costs the same fee either way"


@given(buy_requests())
def test_one_unit_less_would_not_buy_it(request_):
    chosen, amount = request_
    price = priced(price_by_buy_amount, chosen, amount)
    less = price.sell_amount - Decimal(1).scaleb(-chosen.sell.decimals)
    with contextlib.suppress(BadRequest):  # it would buy nothing at all
        assert price_by_sell_amount(chosen, less).buy_amount < amount


@given(any_terms, sell_amounts, sell_amounts)
def test_who_sells_more_never_gets_less(chosen, one, other):
    smaller, larger = sorted((one, other))
    less = priced(price_by_sell_amount, chosen, smaller)
    more = priced(price_by_sell_amount, chosen, larger)
    assert less.buy_amount <= more.buy_amount


def test_an_example_by_hand():
    # 100 - (1 + 0.5) = 98.5; 98.5 * 17.05 * 0.99 = 1662.63075
    price = price_by_sell_amount(terms(), Decimal(100))
    assert price.buy_amount == Decimal("1662.63")
    assert price.fee.total == Decimal("1.5")
    assert [(d.name, d.amount) for d in price.fee.details] == [
        ("Fixed fee", Decimal(1)),
        ("Percentage fee", Decimal("0.5")),
    ]


def test_an_example_by_hand_the_other_way():
    # 1000 / (17.05 * 0.99) = 59.24346100... up; (59.2434611 + 1) / 0.995 = 60.54619206... up
    price = price_by_buy_amount(terms(), Decimal(1000))
    assert price.sell_amount - price.fee.total == Decimal("59.2434611")
    assert price.sell_amount == Decimal("60.5461921")


def test_without_fees_there_are_no_details():
    price = price_by_sell_amount(terms(fee_fixed=Decimal(0), fee_percent=Decimal(0)), Decimal(10))
    assert price.fee.as_json() == {"total": "0", "asset": str(USDC), "details": []}
    assert price.price == price.total_price


@pytest.mark.parametrize("amount", ["0.5", "1", "1.0050251", "1.01"])
def test_an_amount_that_the_fee_eats_is_too_small(amount):
    buys_nothing = terms(rate=Decimal("0.1"))
    with pytest.raises(BadRequest, match="too small"):
        price_by_sell_amount(buys_nothing, Decimal(amount))


def test_amounts_beyond_what_the_ledger_can_carry_are_too_large():
    with pytest.raises(BadRequest, match="too large"):
        price_by_sell_amount(terms(), MAX_STELLAR_AMOUNT)
    with pytest.raises(BadRequest, match="too large"):
        price_by_buy_amount(terms(rate=Decimal("0.01")), MAX_STELLAR_AMOUNT.quantize(Decimal(1)))
