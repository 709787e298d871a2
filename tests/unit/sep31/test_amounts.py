"""What is delivered and what is kept, where no quote says so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.assets import parse_asset_name
from kernel.errors import BadRequest
from kernel.money import MAX_STELLAR_AMOUNT, fits_decimals
from sep1.assets import received_assets
from sep31.amounts import split_one_to_one

STROOPS = st.integers(1, int(MAX_STELLAR_AMOUNT * 10**7)).map(lambda n: Decimal(n).scaleb(-7))


def asset(fixed="1", percent="0.5", counterpart="iso4217:USD"):
    [some, *_] = received_assets().values()
    return replace(
        some,
        fee_fixed=Decimal(fixed),
        fee_percent=Decimal(percent),
        counterpart=parse_asset_name(counterpart),
    )


def test_the_fee_is_fixed_plus_percent_and_the_rest_goes_out():
    amounts = split_one_to_one(Decimal("100"), asset())
    assert amounts.amount_out == Decimal("98.50")
    assert amounts.fee == Decimal("1.5")
    assert amounts.fee_details["total"] == "1.5"


def test_what_the_minor_unit_cuts_off_is_named_as_fee():
    amounts = split_one_to_one(Decimal("100.0099999"), asset(fixed="0", percent="0"))
    assert amounts.amount_out == Decimal("100.00")
    assert amounts.fee == Decimal("0.0099999")


@given(
    amount=STROOPS,
    fixed=st.decimals(0, 100, places=7),
    percent=st.decimals(0, 50, places=4),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_the_parts_add_up_to_the_whole_whatever_the_fees(amount, fixed, percent, currency):
    terms = asset(str(fixed), str(percent), f"iso4217:{currency}")
    try:
        amounts = split_one_to_one(amount, terms)
    except BadRequest:
        return
    assert amounts.amount_out + amounts.fee == amount
    assert amounts.amount_out > 0
    assert amounts.fee >= 0
    assert fits_decimals(amounts.amount_out, terms.counterpart.decimals)
    assert sum(Decimal(part["amount"]) for part in amounts.fee_details["details"]) == amounts.fee


def test_an_amount_that_the_fee_eats_up_is_refused():
    with pytest.raises(BadRequest, match="too small"):
        split_one_to_one(Decimal("1"), asset())
