"""What an operator may configure as a pair."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from sep38.pairs import Pair, all_pairs

MEXICO = next(pair for pair in all_pairs() if pair.buy.code == "MXN")
ENTRY = next(e for e in settings.ANCHOR["pairs"] if e["buy"] == "iso4217:MXN")


@pytest.fixture
def read(settings: Any):
    """Reads the pair of the configuration with changes; a change to None takes the key away."""

    def read_one(**changes: Any) -> Pair:
        entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
        settings.ANCHOR = {**settings.ANCHOR, "pairs": [entry]}
        all_pairs.cache_clear()
        [pair] = all_pairs()
        return pair

    yield read_one
    all_pairs.cache_clear()


def with_fees(*fees: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"fee_fixed": None, "fee_percent": None, "fees": list(fees), **changes}


@pytest.mark.parametrize(
    "change",
    [
        {"sell": MEXICO.buy},
        {"spread_percent": Decimal(100)},
        {"spread_percent": Decimal(-1)},
        {"quote_lifetime": timedelta(0)},
        {"quote_lifetime": MEXICO.max_quote_lifetime + timedelta(seconds=1)},
        {"sell_currency": "usd"},
        {"buy_currency": "$"},
    ],
)
def test_terms_that_no_price_can_be_made_from_are_refused(change):
    with pytest.raises(ValueError, match=r"pair stellar:USDC|pair iso4217"):
        replace(MEXICO, **change)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fee_percent": "100"}, "percent"),
        ({"fee_percent": "-1"}, "percent"),
        ({"fee_percent": "NaN"}, "number"),
        ({"fee_fixed": "-1"}, "fixed"),
        ({"fee_fixed": "0.00000001"}, "no amount"),
        ({"fee_fixed": "9999999999999"}, "no amount"),
        ({"fee_asset": "MXN"}, "sell or buy"),
        ({"fee_asset": "buy", "fee_fixed": "0.001"}, "no amount"),
        ({"fee": "1"}, "has no fee;"),
        ({"fees": [{"name": "Service", "fixed": "1"}]}, "either fees"),
        (with_fees({"name": "", "fixed": "1"}), "name"),
        (with_fees({"name": "Wire", "fixed": "1", "methods": ["cash"]}), "cash"),
        (with_fees({"name": "Wire", "amount": "1"}), "has no amount;"),
        (with_fees({"name": "A", "percent": "60"}, {"name": "B", "percent": "40"}), "together"),
        (with_fees({"name": "A", "tiers": [{"from_amount": "0", "fixed": "1"}]}), "tiers"),
        (with_fees({"name": "A", "tiers": [{"from_amount": "9"}, {"from_amount": "5"}]}), "tiers"),
        (with_fees({"name": "A", "tiers": [{"from": "9"}]}), "has no from;"),
    ],
)
def test_fees_that_cannot_be_are_refused_in_words(read, changes, words):
    with pytest.raises(ValueError, match=words):
        read(**changes)


def test_the_short_form_of_fees_is_two_lines_in_the_sell_asset(read):
    pair = read(fee_fixed="1", fee_percent="0.5")
    assert pair.fee_asset == pair.sell
    fee = pair.schedule_for("").fee_of(100 * 10**7)
    assert [(part.name, part.amount) for part in fee.details] == [
        ("Fixed fee", Decimal(1)),
        ("Percentage fee", Decimal("0.5")),
    ]


def test_each_delivery_method_has_its_own_fees_and_none_means_the_first(read):
    pair = read(
        **with_fees(
            {"name": "Service fee", "percent": "1"},
            {"name": "Wallet fee", "fixed": "5", "methods": ["mobile_money"]},
            fee_asset="buy",
        )
    )
    totals = {
        method: pair.schedule_for(method).fee_of(1000_00).total
        for method in ("", "bank_account", "mobile_money")
    }
    assert totals == {"": 10, "bank_account": 10, "mobile_money": 15}
    assert pair.schedule_for("").asset == pair.buy


def test_a_source_of_rates_knows_what_we_receive_by_its_counterpart(read):
    assert (read().sell_currency, read().buy_currency) == ("USD", "MXN")
    assert read(sell_currency="USDC").sell_currency == "USDC"


def test_a_subdivision_is_served_with_its_country_and_no_other():
    assert MEXICO.serves_country("MX")
    assert MEXICO.serves_country("MX-CMX")
    assert not MEXICO.serves_country("US")
    assert not MEXICO.serves_country("mx")
    assert not replace(MEXICO, country_codes=("US-CA",)).serves_country("US-NY")
