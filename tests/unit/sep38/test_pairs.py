"""What an operator may configure as a pair."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from sep38.pairs import all_pairs

MEXICO = next(pair for pair in all_pairs() if pair.buy.code == "MXN")


@pytest.mark.parametrize(
    "change",
    [
        {"sell": MEXICO.buy},
        {"spread_percent": Decimal(100)},
        {"spread_percent": Decimal(-1)},
        {"fee_percent": Decimal(100)},
        {"fee_fixed": Decimal(-1)},
        {"fee_fixed": Decimal("0.00000001")},
        {"quote_lifetime": timedelta(0)},
        {"quote_lifetime": MEXICO.max_quote_lifetime + timedelta(seconds=1)},
    ],
)
def test_terms_that_no_price_can_be_made_from_are_refused(change):
    with pytest.raises(ValueError, match=r"pair stellar:USDC|pair iso4217"):
        replace(MEXICO, **change)


def test_a_subdivision_is_served_with_its_country_and_no_other():
    assert MEXICO.serves_country("MX")
    assert MEXICO.serves_country("MX-CMX")
    assert not MEXICO.serves_country("US")
    assert not MEXICO.serves_country("mx")
    assert not replace(MEXICO, country_codes=("US-CA",)).serves_country("US-NY")
