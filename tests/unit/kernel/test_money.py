from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadRequest
from kernel.money import (
    MAX_STELLAR_AMOUNT,
    STROOP,
    fiat_decimals,
    fits_decimals,
    format_amount,
    parse_amount,
    round_down,
    round_up,
)

STROOPS = st.integers(1, 2**63 - 1)
ANY_JSON_NUMBER = st.integers() | st.decimals(allow_nan=True, allow_infinity=True)


@given(STROOPS)
def test_an_amount_survives_the_journey_to_text_and_back_digit_for_digit(stroops: int) -> None:
    amount = stroops * STROOP
    assert parse_amount(format_amount(amount), field="amount") == amount


@given(STROOPS)
def test_an_amount_as_a_json_number_is_read_like_the_same_amount_as_text(stroops: int) -> None:
    amount = stroops * STROOP
    assert parse_amount(amount, field="amount") == amount


@given(ANY_JSON_NUMBER | st.text() | st.none() | st.booleans() | st.lists(st.integers()))
def test_whatever_is_sent_as_an_amount_is_positive_and_payable_or_refused(value: object) -> None:
    try:
        amount = parse_amount(value, field="amount")
    except BadRequest as error:
        assert "amount" in error.message
    else:
        assert 0 < amount <= MAX_STELLAR_AMOUNT
        assert fits_decimals(amount, 7)


@pytest.mark.parametrize(
    "value",
    [
        "0", "0.0000000", "-1", "+1", "1e2", "NaN", "Infinity", "1_000", "1,000", " 1", "1 ", "1\n",
        ".5", "5.", "", "٣", "１", "1.00000001", "922337203685.4775808", "9" * 400, "1\x00",
        0, -1, True, None, [], {}, ["1"],
        Decimal("NaN"), Decimal("Infinity"), Decimal("-0"), Decimal("1e2"), Decimal("1E-8"),
    ],
)  # fmt: skip
def test_an_amount_that_is_not_plain_digits_in_range_is_refused(value: object) -> None:
    with pytest.raises(BadRequest):
        parse_amount(value, field="amount")


@pytest.mark.parametrize("value", ["1e999999999999999999", "1e-999999999999", "1e30000000"])
def test_an_exponent_that_would_fill_the_memory_is_refused_unread(value: str) -> None:
    with pytest.raises(BadRequest):
        parse_amount(Decimal(value), field="amount")


def test_the_largest_and_the_smallest_payment_of_the_network_are_amounts() -> None:
    assert parse_amount("922337203685.4775807", field="amount") == MAX_STELLAR_AMOUNT
    assert parse_amount("0.0000001", field="amount") == STROOP
    assert parse_amount(Decimal("0.0000001"), field="amount") == STROOP


def test_a_currency_allows_only_its_own_decimals() -> None:
    assert parse_amount("10.55", field="amount", decimals=2) == Decimal("10.55")
    assert parse_amount("10.500", field="amount", decimals=2) == Decimal("10.5")
    with pytest.raises(BadRequest, match="at most 0 decimals"):
        parse_amount("10.5", field="amount", decimals=0)


@given(st.decimals(0, 10**12, places=15), st.integers(0, 7))
def test_rounding_goes_the_way_it_says_and_by_less_than_one_unit(
    amount: Decimal, decimals: int
) -> None:
    unit = Decimal(1).scaleb(-decimals)
    low, high = round_down(amount, decimals), round_up(amount, decimals)
    assert low <= amount <= high
    assert high - low in (0, unit)
    assert fits_decimals(low, decimals)
    assert fits_decimals(high, decimals)


@pytest.mark.parametrize(("code", "decimals"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("MXN", 2)])
def test_a_currency_has_the_minor_unit_of_iso_4217(code: str, decimals: int) -> None:
    assert fiat_decimals(code) == decimals


@pytest.mark.parametrize("code", ["usd", "", "XAU", "840", "US\x00", "ABC"])
def test_a_code_that_is_no_payable_currency_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        fiat_decimals(code)


@pytest.mark.parametrize(
    ("amount", "text"), [("100.5000000", "100.5"), ("7.0", "7"), ("0", "0"), ("1E+3", "1000")]
)
def test_an_amount_is_written_in_plain_digits_without_needless_zeros(
    amount: str, text: str
) -> None:
    assert format_amount(Decimal(amount)) == text
