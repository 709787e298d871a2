"""Amounts as a sending anchor writes them: the same digits come out, or a 400 that names them; and
the limits that were agreed with it."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel.money import format_amount
from sep31.machine import Status
from sep31.models import Transaction
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import order, post_transaction, register_both, usdc

pytestmark = pytest.mark.django_db
LENIENT = hypothesis_settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def post_written(anchor: RegisteredAnchor, written: str) -> Any:
    """`written` is the JSON of the amount, quotes and all."""
    body = json.dumps(order(amount="AMOUNT")).replace('"AMOUNT"', written)
    return Client().post(
        "/sep31/transactions", body, content_type="application/json", headers=anchor.headers()
    )


def shown(anchor: RegisteredAnchor, answer: Any) -> dict[str, Any]:
    path = f"/sep31/transactions/{answer.json()['id']}"
    found: dict[str, Any] = Client().get(path, headers=anchor.headers()).json()["transaction"]
    return found


@LENIENT
@given(
    stroops=st.integers(10**7 * 2, 10**11),
    zeros=st.integers(0, 3),
    quoted=st.booleans(),
)
def test_each_digit_that_goes_in_comes_out(
    anchor: RegisteredAnchor, stroops: int, zeros: int, quoted: bool
) -> None:
    amount = Decimal(stroops).scaleb(-7)
    text = format(amount, "f") + "0" * zeros
    answer = post_written(anchor, f'"{text}"' if quoted else text)
    assert answer.status_code == 201, (text, answer.content)
    found = shown(anchor, answer)
    assert found["amount_in"] == format_amount(amount)
    parts = Decimal(found["amount_out"]) + Decimal(found["amount_fee"])
    assert parts == amount
    details = found["fee_details"]
    assert details["total"] == found["amount_fee"]
    assert sum(Decimal(part["amount"]) for part in details["details"]) == Decimal(details["total"])


@LENIENT
@given(
    st.one_of(
        st.floats().map(repr),
        st.decimals(allow_nan=True, allow_infinity=True).map(str),
        st.integers().map(str),
        st.from_regex(r"[+-]?[0-9]{0,14}\.?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    ),
    st.booleans(),
)
def test_anything_else_is_refused_and_never_rounded(
    anchor: RegisteredAnchor, text: str, quoted: bool
) -> None:
    answer = post_written(anchor, json.dumps(text) if quoted else text or "null")
    assert answer.status_code in (201, 400), text
    if answer.status_code == 201:
        assert Decimal(shown(anchor, answer)["amount_in"]) == Decimal(text)
    else:
        error = answer.json()["error"]
        assert "amount" in error or error == "The request body must be valid JSON"


# -- Limits ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("1.9999999", "amount must be at least 2"),
        ("10000.0000001", "amount must be at most 10000"),
    ],
)
def test_the_assets_limits_are_named(anchor: RegisteredAnchor, amount: str, says: str) -> None:
    assert post_transaction(anchor, amount=amount).json()["error"] == says


@pytest.fixture(params=["accepted customers", "customers who come later"])
def customers(request: Any, anchor: RegisteredAnchor) -> dict[str, str]:
    """An agreement holds for payments that could be made at once, and for those that can't."""
    return register_both(anchor) if request.param == "accepted customers" else {}


def test_the_limits_agreed_with_a_sending_anchor_are_named(
    anchor: RegisteredAnchor, customers: dict[str, str]
) -> None:
    anchor.sending_anchor.max_transaction_amount = Decimal("150.5")
    anchor.sending_anchor.save()
    assert post_transaction(anchor, **customers, amount="150.5000001").json()["error"] == (
        "amount must be at most 150.5, as agreed with you"
    )
    assert post_transaction(anchor, **customers, amount="150.5").status_code == 201
    anchor.sending_anchor.max_daily_amount = Decimal(200)
    anchor.sending_anchor.save()
    assert post_transaction(anchor, **customers, amount="49.5000001").json()["error"] == (
        "amount is over the daily limit agreed with you; of the last 24 hours 49.5 is left"
    )
    assert post_transaction(anchor, **customers, amount="49.5").status_code == 201


def test_what_expired_or_was_cancelled_does_not_count_for_the_day(anchor: RegisteredAnchor) -> None:
    anchor.sending_anchor.max_daily_amount = Decimal(100)
    anchor.sending_anchor.save()
    created = post_transaction(anchor).json()
    assert post_transaction(anchor, amount="1").status_code == 400
    Client().post(f"/sep31/transactions/{created['id']}/cancel", headers=anchor.headers())
    assert Transaction.objects.get().status == Status.EXPIRED
    assert post_transaction(anchor).status_code == 201


def test_limits_are_those_of_each_sending_anchor_alone(
    anchor: RegisteredAnchor, stranger: RegisteredAnchor
) -> None:
    anchor.sending_anchor.max_daily_amount = Decimal(100)
    anchor.sending_anchor.max_transaction_amount = Decimal(100)
    anchor.sending_anchor.save()
    assert post_transaction(anchor).status_code == 201
    for customers in ({}, register_both(stranger)):
        assert post_transaction(stranger, **customers, amount="101").status_code == 201


def test_an_asset_that_was_not_agreed_is_refused(
    anchor: RegisteredAnchor, customers: dict[str, str]
) -> None:
    anchor.sending_anchor.allowed_assets = ["stellar:EURC:GOTHER"]
    anchor.sending_anchor.save()
    # Whatever else is wrong with the request: this is what has to be settled first.
    for changes in ({}, {"destination_asset": "iso4217:MXN"}, {"quote_id": str(uuid.uuid4())}):
        assert post_transaction(anchor, **customers, **changes).json()["error"] == (
            "asset_code names an asset that was not agreed with you"
        )
    anchor.sending_anchor.allowed_assets += [usdc()]
    anchor.sending_anchor.save()
    assert post_transaction(anchor, **customers).status_code == 201
