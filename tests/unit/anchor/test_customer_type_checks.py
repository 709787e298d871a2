"""What the system checks say about customer types, and what they leave alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.checks import CheckMessage

from anchor.checks import check_offer
from sep1.assets import received_assets
from sep12.types import customer_types

Check = Callable[[], list[CheckMessage]]


@pytest.fixture
def anchor(settings: Any) -> Iterator[dict[str, Any]]:
    """The configuration that comes with Landfall, to be changed by a test."""
    settings.ANCHOR = copy.deepcopy(settings.ANCHOR)
    yield settings.ANCHOR
    received_assets.cache_clear()
    customer_types.cache_clear()


@pytest.fixture
def check(anchor: dict[str, Any]) -> Check:
    def run() -> list[CheckMessage]:
        received_assets.cache_clear()
        customer_types.cache_clear()
        return check_offer()

    return run


def test_the_configuration_that_comes_with_landfall_is_sound(check: Check) -> None:
    assert check() == []


def assert_told(messages: list[CheckMessage], id: str, *words: str) -> None:
    told = [one for one in messages if one.id == f"landfall.{id}"]
    assert told, messages
    assert all(one.hint for one in told)
    texts = " | ".join(one.msg for one in told)
    for word in words:
        assert word in texts


def test_all_types_that_cant_be_read_are_told_at_once(anchor: dict[str, Any], check: Check) -> None:
    anchor["customer_types"]["sep31-sender"]["role"] = "sendr"
    anchor["customer_types"]["sep31-receiver"]["from_amount"] = 3000.5
    messages = check()
    assert len(messages) == 2
    assert_told(messages, "E014", "sep31-sender", "sep31-receiver", "sendr", "from_amount")


@pytest.mark.parametrize("nonsense", [5, "x", ["sep31-sender"]])
def test_types_that_are_no_table_are_told(
    anchor: dict[str, Any], check: Check, nonsense: object
) -> None:
    anchor["customer_types"] = nonsense
    assert_told(check(), "E014", "customer_types")


@pytest.mark.parametrize("key", ["role", "description"])
def test_role_and_description_are_required(anchor: dict[str, Any], check: Check, key: str) -> None:
    del anchor["customer_types"]["sep31-large-sender"][key]
    assert_told(check(), "E014", "sep31-large-sender", key)


@pytest.mark.parametrize(
    ("key", "value"), [("assets", ["USDC", "UDSC"]), ("funding_methods", ["bank_acount"])]
)
def test_a_misspelt_asset_or_method_is_told(
    anchor: dict[str, Any], check: Check, key: str, value: list[str]
) -> None:
    anchor["customer_types"]["sep31-large-sender"][key] = value
    assert_told(check(), "E015", "sep31-large-sender", value[-1], key)


def test_a_method_without_a_type_is_a_gap(anchor: dict[str, Any], check: Check) -> None:
    for name in ("sep31-sender", "sep31-large-sender", "sep31-business-sender"):
        anchor["customer_types"][name]["funding_methods"] = ["bank_account"]
    assert_told(check(), "E007", "senders of USDC paid out by mobile_money")


def test_small_amounts_without_a_type_are_a_gap(anchor: dict[str, Any], check: Check) -> None:
    anchor["customer_types"]["sep31-sender"]["from_amount"] = "3"
    assert_told(check(), "E007", "if the person sends less than 3")
    for asset in anchor["assets"]:
        asset["min_amount"] = "3"
    assert check() == []


@pytest.mark.parametrize(("quotes", "told"), [("supported", 1), ("none", 1), ("required", 0)])
def test_an_amount_that_is_all_fees_is_told_where_it_could_be_sent(
    anchor: dict[str, Any], check: Check, quotes: str, told: int
) -> None:
    anchor["assets"][0] |= {"min_amount": "1", "quotes": quotes}
    assert [one.id for one in check()] == ["landfall.W011"] * told


def test_a_role_of_whom_nothing_is_asked_is_no_gap(anchor: dict[str, Any], check: Check) -> None:
    for name in ("sep31-sender", "sep31-large-sender", "sep31-business-sender"):
        del anchor["customer_types"][name]
    assert check() == []


def test_two_types_for_one_and_the_same_are_told(anchor: dict[str, Any], check: Check) -> None:
    anchor["customer_types"]["sep31-large-sender"]["from_amount"] = "1"
    anchor["customer_types"]["sep31-sender"]["from_amount"] = "1"
    messages = check()
    assert_told(messages, "E016", "sep31-sender", "sep31-large-sender")
    assert_told(messages, "E017", "sep31-sender")


def test_a_tier_above_the_largest_amount_is_told(anchor: dict[str, Any], check: Check) -> None:
    anchor["customer_types"]["sep31-large-sender"]["from_amount"] = "10000.0000001"
    assert_told(check(), "E017", "sep31-large-sender")
    anchor["customer_types"]["sep31-large-sender"]["from_amount"] = "10000"
    assert check() == []


def test_a_larger_amount_that_asks_for_less_is_a_warning(
    anchor: dict[str, Any], check: Check
) -> None:
    anchor["customer_types"]["sep31-large-sender"]["required"].remove("last_name")
    assert_told(check(), "W002", "sep31-large-sender does not require last_name")


def test_choices_that_another_type_does_not_hold_to_are_a_warning(
    anchor: dict[str, Any], check: Check
) -> None:
    large = anchor["customer_types"]["sep31-large-sender"]
    large["choices"] = {"id_type": ["passport", "id_card"]}
    assert_told(check(), "W003", "sep31-sender takes more values of id_type")
    anchor["customer_types"]["sep31-sender"]["choices"] = {"id_type": ["passport"]}
    assert_told(check(), "W003", "sep31-large-sender takes more values of id_type")
    anchor["customer_types"]["sep31-sender"]["choices"] = large["choices"]
    assert check() == []


def test_every_receiver_type_asks_for_what_the_rail_needs(
    anchor: dict[str, Any], check: Check
) -> None:
    anchor["customer_types"]["large-receiver"] = {
        "description": "A person who receives a larger amount.",
        "role": "receiver",
        "from_amount": "5000",
        "required": ["first_name", "last_name", "mobile_money_number", "bank_number"],
    }
    messages = check()
    assert_told(messages, "E012", "bank_account needs bank_account_number", "large-receiver")
    anchor["customer_types"]["large-receiver"]["required"].append("bank_account_number")
    assert {one.id for one in check()} == set()


def test_a_payout_to_nobody_known_is_told(anchor: dict[str, Any], check: Check) -> None:
    for name in ("sep31-receiver", "sep31-mobile-receiver"):
        del anchor["customer_types"][name]
    assert_told(check(), "E012", "bank_account", "mobile_money", "(none)")
