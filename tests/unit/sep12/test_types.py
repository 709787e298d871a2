"""Customer types as the configuration names them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from kernel.assets import AssetName
from kernel.errors import BadRequest
from sep12.types import (
    allowed_choices,
    customer_types,
    default_customer_type,
    get_customer_type,
    read_type,
)

USDC = AssetName("stellar", "USDC", "GA")
EURC = AssetName("stellar", "EURC", "GB")


@pytest.fixture(autouse=True)
def configuration(settings: Any) -> Iterator[Any]:
    settings.ANCHOR = {
        "customer_types": {
            "a": {
                "role": "sender",
                "required": ["given_name", "id_type"],
                "optional": ["bank_account_type"],
                "choices": {"id_type": ["passport"], "bank_account_type": ["checking"]},
            },
            "b": {"required": ["id_type", "sex"], "choices": {"id_type": ["id_card"]}},
            "c": {"required": ["bank_account_type"]},
        }
    }
    customer_types.cache_clear()
    yield settings
    customer_types.cache_clear()


def test_names_are_read_in_the_one_spelling_that_we_keep() -> None:
    assert get_customer_type("a").required == ("first_name", "id_type")


def test_an_unknown_type_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadRequest, match=r"'type'.*a, b, c"):
        get_customer_type("d")


def test_a_type_says_which_payments_ask_for_it() -> None:
    one = read_type(
        "large",
        {
            "role": "receiver",
            "kind": "organization",
            "assets": ["USDC"],
            "funding_methods": ["bank_account"],
            "from_amount": "3000.0000001",
        },
    )
    assert (one.role, one.kind) == ("receiver", "organization")
    assert one.from_amount == Decimal("3000.0000001")
    assert one.covers(USDC, "bank_account")
    assert not one.covers(USDC, "mobile_money")
    assert not one.covers(EURC, "bank_account")


def test_an_asset_is_named_by_its_code_or_by_code_and_issuer() -> None:
    assert read_type("x", {"assets": [f"USDC:{USDC.issuer}"]}).covers(USDC, "any")
    assert not read_type("x", {"assets": [f"USDC:{EURC.issuer}"]}).covers(USDC, "any")


def test_a_type_that_names_no_payments_is_for_all_of_persons() -> None:
    one = read_type("x", {})
    assert one.kind == "person"
    assert one.from_amount == 0
    assert one.covers(USDC, "bank_account")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"required": ["shoe_size"]}, "'shoe_size'.*SEP-9"),
        ({"optional": ["card.cvc"]}, "card.cvc may not be kept"),
        ({"require": ["first_name"]}, "'require'.*required"),
        ({"role": "sendr"}, 'role must be "sender" or "receiver".*sendr'),
        ({"role": ["sender"]}, "role must be"),
        ({"kind": "company"}, 'kind must be "person" or "organization"'),
        ({"description": 5}, "description"),
        ({"required": "first_name"}, "required must be a list"),
        ({"required": [["first_name"]]}, "required must be a list"),
        ({"required": ["first_name", "first_name"]}, "required names something twice"),
        ({"required": ["first_name", "given_name"]}, "required names a field twice"),
        ({"required": ["first_name"], "optional": ["given_name"]}, "first_name is in required and"),
        ({"funding_methods": "bank_account"}, "funding_methods must be a list"),
        ({"assets": [5]}, "assets must be a list"),
        ({"choices": {"id_type": ["passport"]}}, "choices has id_type.*neither"),
        ({"required": ["id_type"], "choices": {"id_type": []}}, "no value for id_type"),
        ({"required": ["id_type"], "choices": {"id_type": "passport"}}, "id_type must be a list"),
        ({"required": ["id_type"], "choices": ["passport"]}, "choices must be a table"),
        ({"required": ["photo_id_front"], "choices": {"photo_id_front": ["x"]}}, "a file"),
        ({"required": ["sex"], "choices": {"sex": ["no"]}}, "'no' is no choice.*male"),
        *(
            ({"from_amount": amount}, "from_amount.*in quotes")
            for amount in ("0", "-1", "1e3", "NaN", "1.00000001", " 1", "", 1.5, True, None, ["1"])
        ),
        ("first_name", "a table"),
    ],
    ids=str,
)
def test_what_may_mean_something_else_than_its_author_thinks_is_refused(
    entry: object, says: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"customer_types\.x .*{says}"):
        read_type("x", entry)


@pytest.mark.parametrize("name", ["", "with space", "x" * 61, "a/b", "tipo\u0301"])
def test_a_name_must_fit_a_url_and_the_tables(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="a name has at most 60"):
        read_type(name, {})


def test_one_wrong_type_stops_the_start(configuration: Any) -> None:
    configuration.ANCHOR = {"customer_types": {"a": {}, "x": {"required": ["shoe_size"]}}}
    customer_types.cache_clear()
    with pytest.raises(ImproperlyConfigured, match=r"customer_types\.x"):
        customer_types()


def test_the_type_that_is_meant_without_one_is_the_last_or_the_first_configured() -> None:
    assert default_customer_type("b").name == "b"
    assert default_customer_type("").name == "a"
    assert default_customer_type("gone").name == "a"


def test_choices_are_the_types_own_or_those_of_sep_9() -> None:
    assert allowed_choices("id_type", get_customer_type("b")) == ("id_card",)
    assert allowed_choices("sex", get_customer_type("a")) == ("male", "female", "other")
    assert allowed_choices("first_name", get_customer_type("a")) == ()


def test_without_a_type_whatever_any_type_allows_is_allowed() -> None:
    assert allowed_choices("id_type", None) == ("passport", "id_card")
    assert allowed_choices("bank_account_type", None) == ()
    assert allowed_choices("sex", None) == ("male", "female", "other")
