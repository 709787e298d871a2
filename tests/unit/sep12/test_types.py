"""Customer types as the configuration names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from kernel.errors import BadRequest
from sep12.types import (
    allowed_choices,
    customer_types,
    default_customer_type,
    get_customer_type,
)


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


def test_a_name_that_sep_9_does_not_know_stops_the_start(configuration: Any) -> None:
    configuration.ANCHOR = {"customer_types": {"x": {"required": ["shoe_size"]}}}
    customer_types.cache_clear()
    with pytest.raises(ImproperlyConfigured, match=r"customer_types\.x.*shoe_size"):
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
