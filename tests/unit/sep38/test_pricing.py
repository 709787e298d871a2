"""The arithmetic of exchanges: SEP-38, "Price Formulas"."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernel.assets import AssetName
from kernel.errors import BadRequest
from kernel.money import MAX_STELLAR_AMOUNT, fits_decimals
from sep38.fees import FeeLine, Schedule, Tier
from sep38.pricing import Price, Terms, price_by_buy_amount, price_by_sell_amount

USDC = AssetName("stellar", "USDC", "G" + "A" * 55)
BUYS = [
    AssetName("iso4217", "MXN"),  # 2 decimals
    AssetName("iso4217", "JPY"),  # 0
    AssetName("iso4217", "KWD"),  # 3
    AssetName("stellar", "EURC", "G" + "B" * 55),  # 7
]


def line(name: str = "Service fee", fixed: str = "0", percent: str = "0", **tiers: str) -> FeeLine:
    """A fee; `from_1000="3 0.5"` adds a tier from 1000 on with a fixed part and a percentage."""
    made = [Tier(Decimal(0), Decimal(fixed), Decimal(percent))]
    for start, words in tiers.items():
        made.append(Tier(Decimal(start.removeprefix("from_")), *map(Decimal, words.split())))
    return FeeLine(name, "", tuple(made))


def terms(*fees: FeeLine, fee_in: str = "sell", **changes: object) -> Terms:
    usual: dict[str, object] = {
        "sell": USDC,
        "buy": BUYS[0],
        "rate": Decimal("17.05"),
        "spread_percent": Decimal(1),
    }
    given = {**usual, **changes}
    asset = cast(AssetName, given[fee_in])
    return Terms(fees=Schedule(asset, fees or USUAL_FEES), **given)  # type: ignore[arg-type]


USUAL_FEES = (line("Fixed fee", fixed="1"), line("Percentage fee", percent="0.5"))


@st.composite
def fee_lines(draw: st.DrawFn, decimals: int) -> list[FeeLine]:
    """Up to three fees, each fixed, by percentage or both, with up to three tiers."""
    amounts = st.decimals(0, 1000, places=decimals)
    percents = st.decimals(0, "33", places=4)
    made = []
    for number in range(draw(st.integers(0, 3))):
        unit = Decimal(1).scaleb(-decimals)
        starts = draw(st.lists(st.decimals(unit, 5000, places=decimals), max_size=2, unique=True))
        tiers = [
            Tier(start, draw(amounts), draw(percents)) for start in [Decimal(0), *sorted(starts)]
        ]
        made.append(FeeLine(f"Fee {number}", "", tuple(tiers)))
    return made


@st.composite
def all_terms(draw: st.DrawFn) -> Terms:
    buy = draw(st.sampled_from(BUYS))
    fee_asset = draw(st.sampled_from([USDC, buy]))
    return Terms(
        sell=USDC,
        buy=buy,
        rate=draw(
            st.decimals("0.001", "100000", places=12) | st.decimals("0.000000000001", 1, places=12)
        ),
        spread_percent=draw(st.decimals(0, "99.99", places=4)),
        fees=Schedule(fee_asset, draw(fee_lines(fee_asset.decimals))),
    )


any_terms = all_terms()
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

    sell, buy, fee = map(Fraction, (price.sell_amount, price.buy_amount, price.fee.total))
    assert rounded(Fraction(price.total_price) * buy) == sell
    if price.fee.asset == chosen.sell:
        assert rounded(Fraction(price.price) * buy) == sell - fee
        assert sell > fee
    else:
        assert rounded(Fraction(price.price) * (buy + fee)) == sell
    assert sum((detail.amount for detail in price.fee.details), Decimal(0)) == price.fee.total
    assert all(detail.amount > 0 for detail in price.fee.details)
    assert price.fee.asset == chosen.fees.asset
    assert price.buy_amount > 0
    assert fee >= 0
    assert fits_decimals(price.sell_amount, chosen.sell.decimals)
    assert fits_decimals(price.fee.total, chosen.fees.decimals)
    assert fits_decimals(price.buy_amount, chosen.buy.decimals)
    assert max(price.sell_amount, price.buy_amount, price.fee.total) <= MAX_STELLAR_AMOUNT
    assert len(format(price.price, "f")) <= 60, "what the quote's column holds"
    assert len(format(price.total_price, "f")) <= 60


def exact_fee(chosen: Terms, lines: list[FeeLine], gross: Fraction) -> Fraction:
    """What a schedule means, before any rounding: each line by the tier that the gross reaches."""
    tiers = [fee.tier_at(Decimal(gross.numerator) / gross.denominator) for fee in lines]
    return sum((Fraction(t.fixed) + gross * Fraction(t.percent) / 100 for t in tiers), Fraction(0))


def buy_per_sell(chosen: Terms) -> Fraction:
    return Fraction(chosen.rate) * (100 - Fraction(chosen.spread_percent)) / 100


def unit(asset: AssetName) -> Fraction:
    return Fraction(1, 10**asset.decimals)


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
    assert price.buy_amount >= amount


@given(st.data(), sell_amounts)
def test_what_we_gain_by_rounding_is_less_than_a_smallest_unit_of_each_asset(data, amount):
    lines = data.draw(fee_lines(7))
    chosen = replace(data.draw(any_terms), fees=Schedule(USDC, lines))
    price = priced(price_by_sell_amount, chosen, amount)
    fee = Fraction(price.fee.total)
    assert 0 <= fee - exact_fee(chosen, lines, Fraction(amount)) < unit(chosen.sell)
    exact_buy = (Fraction(amount) - fee) * buy_per_sell(chosen)
    assert 0 <= exact_buy - Fraction(price.buy_amount) < unit(chosen.buy)


@given(st.data(), sell_amounts)
def test_so_it_is_where_the_fee_is_in_what_is_bought(data, amount):
    drawn = data.draw(any_terms)
    lines = data.draw(fee_lines(drawn.buy.decimals))
    chosen = replace(drawn, fees=Schedule(drawn.buy, lines))
    price = priced(price_by_sell_amount, chosen, amount)
    gross = Fraction(price.buy_amount + price.fee.total)
    assert 0 <= Fraction(amount) * buy_per_sell(chosen) - gross < unit(chosen.buy)
    assert 0 <= Fraction(price.fee.total) - exact_fee(chosen, lines, gross) < unit(chosen.buy)


@given(buy_requests())
def test_what_a_buy_amount_costs_buys_at_least_that_amount(request_):
    chosen, amount = request_
    price = priced(price_by_buy_amount, chosen, amount)
    if price.fee.asset == chosen.sell:
        again = priced(price_by_sell_amount, chosen, price.sell_amount)
        assert again.buy_amount >= amount
        assert again.fee == price.fee, "the same payment costs the same fee either way"
    # What is converted covers what is delivered and kept, never less.
    sell, buy, fee = map(Fraction, (price.sell_amount, price.buy_amount, price.fee.total))
    if price.fee.asset == chosen.sell:
        surplus = (sell - fee) * buy_per_sell(chosen) - buy
    else:
        surplus = sell * buy_per_sell(chosen) - (buy + fee)
    # At most what a smallest unit of the sell asset buys, or one of the buy asset where that is
    # more: at the start of a tier the client gets what the lower fee leaves, rounded down.
    assert 0 <= surplus < max(unit(chosen.sell) * buy_per_sell(chosen), unit(chosen.buy))


@given(buy_requests())
def test_one_unit_less_would_not_buy_it(request_):
    chosen, amount = request_
    price = priced(price_by_buy_amount, chosen, amount)
    less = price.sell_amount - Decimal(1).scaleb(-chosen.sell.decimals)
    assume(chosen.fees.asset == chosen.sell or _never_falls(chosen.fees))
    with contextlib.suppress(BadRequest):  # it would buy nothing at all
        assert price_by_sell_amount(chosen, less).buy_amount < amount


def _never_falls(schedule: Schedule) -> bool:
    """Whether more gross never leaves less, so that rounding up the gross is harmless."""
    starts = [band.start for band in schedule._bands[1:]]
    return all(schedule.total(start) - schedule.total(start - 1) <= 1 for start in starts)


@given(any_terms, *[st.decimals(100, 1_000_000, places=7)] * 2)
def test_within_one_tier_who_sells_more_never_gets_less(chosen, one, other):
    chosen = replace(chosen, fees=Schedule(chosen.fees.asset, [line(fixed="2", percent="1.5")]))
    smaller, larger = sorted((one, other))
    less = priced(price_by_sell_amount, chosen, smaller)
    more = priced(price_by_sell_amount, chosen, larger)
    assert less.buy_amount <= more.buy_amount


@given(st.data(), st.integers(0, 10**14))
def test_the_least_gross_of_a_net_amount_is_the_least(data, net):
    schedule = Schedule(BUYS[0], data.draw(fee_lines(2)))
    gross = schedule.least_gross(net)
    assert gross - schedule.total(gross) >= net
    if gross > 0:
        near = [gross - 1, *(band.start - 1 for band in schedule._bands if 0 < band.start < gross)]
        assert all(other - schedule.total(other) < net for other in near)


# -- By hand ---------------------------------------------------------------------------------------
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


def test_a_fee_in_what_is_bought_is_taken_from_what_is_bought():
    # 100 * 17.05 * 0.99 = 1687.95; 1687.95 - (20 + 8.43975 up) = 1659.51
    fees = (line("Bank fee", fixed="20"), line("Service fee", percent="0.5"))
    price = price_by_sell_amount(terms(*fees, fee_in="buy"), Decimal(100))
    assert price.buy_amount == Decimal("1659.51")
    assert price.fee.as_json() == {
        "total": "28.44",
        "asset": "iso4217:MXN",
        "details": [
            {"name": "Bank fee", "amount": "20"},
            {"name": "Service fee", "amount": "8.44"},
        ],
    }


def test_a_fee_in_what_is_bought_by_hand_the_other_way():
    # (1000 + 20) / 0.995 = 1025.1256... up to 1025.13; / (17.05 * 0.99) = 60.73224918... up
    fees = (line("Bank fee", fixed="20"), line("Service fee", percent="0.5"))
    price = price_by_buy_amount(terms(*fees, fee_in="buy"), Decimal(1000))
    assert (price.buy_amount, price.fee.total) == (1000, Decimal("25.13"))
    assert price.sell_amount == Decimal("60.7322492")


def test_the_examples_of_the_sep():
    """SEP-38, GET Price, Examples: 542 BRL for 100 USDC with a fee of 42 BRL is 5.42 and 5.00; of
    8.40 USDC it is 5.42 and 5.00 again."""
    brl = AssetName("iso4217", "BRL")
    fee_sold = Terms(brl, USDC, Decimal("0.2"), Decimal(0), Schedule(brl, [line(fixed="42")]))
    fee_bought = Terms(brl, USDC, Decimal("0.2"), Decimal(0), Schedule(USDC, [line(fixed="8.4")]))
    for chosen in (fee_sold, fee_bought):
        for price in (
            price_by_sell_amount(chosen, Decimal(542)),
            price_by_buy_amount(chosen, Decimal(100)),
        ):
            assert (price.sell_amount, price.buy_amount) == (542, 100)
            assert (price.total_price, price.price) == (Decimal("5.42"), 5)


@pytest.mark.parametrize(
    ("amount", "fee"), [("999.99", "10"), ("1000", "4"), ("1000.01", "4"), ("5000", "15")]
)
def test_a_tier_applies_to_the_whole_amount_from_its_start_on(amount, fee):
    tiered = line(fixed="10", from_1000="4 0", from_2000="0 0.3")
    price = price_by_sell_amount(terms(tiered), Decimal(amount))
    assert price.fee.total == Decimal(fee)


def test_where_less_would_cost_more_who_names_what_to_buy_gets_more():
    """995 at a rate of 1 would take 1005 with the fee of 10; from 1000 on the fee is 4 only."""
    tiered = terms(line(fixed="10", from_1000="4 0"), rate=Decimal(1), spread_percent=Decimal(0))
    price = price_by_buy_amount(tiered, Decimal(995))
    assert (price.sell_amount, price.fee.total, price.buy_amount) == (1000, 4, 996)
    assert price_by_buy_amount(tiered, Decimal(900)).buy_amount == 900
    assert price_by_buy_amount(tiered, Decimal(997)).buy_amount == 997


def test_without_fees_there_are_no_details():
    for fee_in in ("sell", "buy"):
        price = price_by_sell_amount(terms(line(), fee_in=fee_in), Decimal(10))
        assert (price.fee.total, price.fee.details) == (0, ())
        assert price.price == price.total_price


@pytest.mark.parametrize("amount", ["0.5", "1", "1.0050251", "1.01"])
def test_an_amount_that_the_fee_eats_is_too_small(amount):
    for fee_in in ("sell", "buy"):
        buys_nothing = terms(rate=Decimal("0.1"), fee_in=fee_in)
        with pytest.raises(BadRequest, match="too small"):
            price_by_sell_amount(buys_nothing, Decimal(amount))


@pytest.mark.parametrize("fee_in", ["sell", "buy"])
def test_amounts_beyond_what_the_ledger_can_carry_are_too_large(fee_in):
    with pytest.raises(BadRequest, match="too large"):
        price_by_sell_amount(terms(fee_in=fee_in), MAX_STELLAR_AMOUNT)
    with pytest.raises(BadRequest, match="too large"):
        price_by_buy_amount(
            terms(rate=Decimal("0.01"), fee_in=fee_in), MAX_STELLAR_AMOUNT.quantize(Decimal(1))
        )
