"""Customer types from the configuration to the wire: GET /info, `customer_info_needed` and
GET /customer say the same of every payment."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from kernel.money import STROOP, format_amount
from sep1.assets import received_assets
from sep12.tiers import types_for
from sep12.types import customer_types
from sep31 import services
from sep31.info import write_info
from sep31.models import Transaction
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import (
    RECEIVER,
    SENDER,
    order,
    post_transaction,
    register_both,
    register_customer,
)

pytestmark = pytest.mark.django_db

LARGE = {
    "birth_date": "1990-05-17",
    "address": "12 Broad Street, Lagos",
    "id_type": "passport",
    "id_number": "A0123456",
    "id_country_code": "NGA",
}
BUSINESS = {
    "organization.name": "Okafor Trading Ltd",
    "organization.registration_number": "RC 123456",
    "organization.registered_address": "1 Marina, Lagos",
}
# A value that is right for each field that the configured types require.
VALUES = {
    **SENDER,
    **RECEIVER,
    **LARGE,
    **BUSINESS,
    "mobile_money_number": "+5215512345678",
    "tax_id": "123",
    "bank_account_type": "savings",
}


@pytest.fixture
def many_types(settings: Any) -> Iterator[None]:
    """The configuration that comes with Landfall and, on top, tiers by method and kind."""
    settings.ANCHOR = copy.deepcopy(settings.ANCHOR)
    settings.ANCHOR["customer_types"] |= {
        "huge-sender": {
            "description": "A person who sends a fortune.",
            "role": "sender",
            "assets": ["USDC"],
            "from_amount": "9999.5",
            "required": ["first_name", "last_name", *LARGE, "tax_id"],
        },
        "large-receiver": {
            "description": "A person who receives a larger amount on a bank account.",
            "role": "receiver",
            "funding_methods": ["bank_account"],
            "from_amount": "5000",
            "required": [*RECEIVER, "bank_account_type"],
        },
        "business-receiver": {
            "description": "An organization that receives money.",
            "role": "receiver",
            "kind": "organization",
            "required": [*RECEIVER, "mobile_money_number", "organization.name"],
        },
    }
    forget()
    yield
    forget()


def forget() -> None:
    customer_types.cache_clear()
    received_assets.cache_clear()
    write_info.cache_clear()


def get_customer(anchor: RegisteredAnchor, **query: str) -> dict[str, Any]:
    answer = Client().get("/sep12/customer", query, headers=anchor.headers())
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def needed(customer: dict[str, Any]) -> set[str]:
    """What GET /customer says must be sent."""
    return {name for name, about in customer.get("fields", {}).items() if "optional" not in about}


def info(role: str) -> dict[str, dict[str, str]]:
    types: dict[str, dict[str, str]] = (
        Client().get("/sep31/info").json()["receive"]["USDC"]["sep12"][role]["types"]
    )
    return types


def edge_amounts() -> list[Decimal]:
    """The limits of the asset, and each tier with the amount just below it."""
    [asset, *_] = received_assets().values()
    assert asset.min_amount is not None
    assert asset.max_amount is not None
    tiers = {one.from_amount for one in customer_types().values() if one.from_amount}
    return sorted(
        {asset.min_amount, asset.max_amount, *tiers, *(amount - STROOP for amount in tiers)}
    )


@pytest.mark.usefixtures("many_types")
def test_info_the_refusal_and_the_customer_agree_on_every_payment(anchor: RegisteredAnchor) -> None:
    [asset, *_] = received_assets().values()
    memos = itertools.count(1)
    refused: dict[str, set[str]] = {"sender": set(), "receiver": set()}
    for role, method, amount in itertools.product(refused, asset.funding_methods, edge_amounts()):
        for asked in types_for(role, asset, method, amount):
            case = (role, method, amount, asked.name)
            terms = {"funding_method": method, "amount": format_amount(amount)}
            # Of the right kind, by having been registered as its smallest type, but empty.
            memo = str(next(memos))
            first = next(
                one for one in types_for(role, asset, method, Decimal(2)) if one.kind == asked.kind
            )
            customer = register_customer(anchor, memo, first.name)
            answer = post_transaction(anchor, **{f"{role}_id": customer}, **terms)
            assert answer.status_code == 400, case
            assert answer.json() == {"error": "customer_info_needed", "type": asked.name}, case
            refused[role].add(asked.name)
            # GET /customer names exactly what the configuration requires of the type ...
            told = get_customer(anchor, id=customer, type=asked.name)
            assert told["status"] == "NEEDS_INFO"
            assert needed(told) == set(asked.required), case
            # ... and that is enough.
            register_customer(anchor, memo, asked.name, **{n: VALUES[n] for n in needed(told)})
            assert get_customer(anchor, id=customer, type=asked.name)["status"] == "ACCEPTED", case
            answer = post_transaction(anchor, **{f"{role}_id": customer}, **terms)
            assert answer.status_code == 201, case
            row = Transaction.objects.get(pk=answer.json()["id"])
            assert getattr(row, f"{role}_type") == asked.name
    for role, names in refused.items():
        assert names == set(info(role))


@pytest.mark.usefixtures("many_types")
def test_info_says_in_words_which_payments_ask_for_a_type() -> None:
    told = {
        name: about["description"] for name, about in (info("sender") | info("receiver")).items()
    }
    assert told == {
        "sep31-sender": "A person who sends money. For payments of less than 3000 USDC.",
        "sep31-large-sender": "A person who sends a larger amount. For payments of 3000 USDC or "
        "more, but less than 9999.5 USDC.",
        "huge-sender": "A person who sends a fortune. For payments of 9999.5 USDC or more.",
        "sep31-business-sender": "An organization that sends money.",
        "sep31-receiver": "A person who receives money on a bank account. For payments by "
        "bank_account, of less than 5000 USDC.",
        "large-receiver": "A person who receives a larger amount on a bank account. For payments "
        "by bank_account, of 5000 USDC or more.",
        "sep31-mobile-receiver": "A person who receives money on a mobile wallet. For payments by "
        "mobile_money.",
        "business-receiver": "An organization that receives money.",
    }


def test_an_asset_that_asks_nothing_of_a_role_has_no_types_for_it(
    settings: Any, many_types: None, anchor: RegisteredAnchor
) -> None:
    types = settings.ANCHOR["customer_types"]
    settings.ANCHOR["customer_types"] = {
        name: entry for name, entry in types.items() if entry["role"] == "receiver"
    }
    forget()
    sep12 = Client().get("/sep31/info").json()["receive"]["USDC"]["sep12"]
    assert sep12["sender"] == {}
    receiver = register_customer(anchor, "2", "sep31-receiver", **RECEIVER)
    assert "stellar_memo" in post_transaction(anchor, receiver_id=receiver).json()


# -- Amounts ----------------------------------------------------------------------------------


def test_a_larger_amount_asks_the_same_customer_for_more(anchor: RegisteredAnchor) -> None:
    customers = register_both(anchor)
    assert post_transaction(anchor, **customers, amount="2999.9999999").status_code == 201

    refused = post_transaction(anchor, **customers, amount="3000")
    assert refused.status_code == 400
    assert refused.json() == {"error": "customer_info_needed", "type": "sep31-large-sender"}
    assert Transaction.objects.count() == 1

    sender = customers["sender_id"]
    told = get_customer(anchor, id=sender, type="sep31-large-sender")
    assert (told["status"], needed(told)) == ("NEEDS_INFO", set(LARGE))
    assert get_customer(anchor, id=sender, type="sep31-sender")["status"] == "ACCEPTED"

    register_customer(anchor, "1", "sep31-large-sender", **LARGE)
    answer = post_transaction(anchor, **customers, amount="3000")
    assert answer.status_code == 201
    assert "stellar_memo" in answer.json()
    # Whoever is known well enough for much is known well enough for little.
    assert post_transaction(anchor, **customers, amount="2").status_code == 201


def test_a_transaction_keeps_the_type_that_it_was_made_with(
    settings: Any, many_types: None, anchor: RegisteredAnchor
) -> None:
    created = post_transaction(anchor, **register_both(anchor), amount="2000").json()
    settings.ANCHOR["customer_types"]["sep31-large-sender"]["from_amount"] = "1000"
    forget()
    services.advance([created["id"]])
    row = Transaction.objects.get()
    assert (row.status, row.sender_type) == ("pending_sender", "sep31-sender")


def test_the_tier_costs_no_query_more(
    anchor: RegisteredAnchor, django_assert_num_queries: Any
) -> None:
    customers = register_both(anchor)
    register_customer(anchor, "1", "sep31-large-sender", **LARGE)
    with django_assert_num_queries(1):
        assert post_transaction(anchor, **customers, amount="3000").status_code == 201


# -- Organizations ----------------------------------------------------------------------------


def test_an_organization_is_asked_for_its_own_fields(anchor: RegisteredAnchor) -> None:
    receiver = register_customer(anchor, "2", "sep31-receiver", **RECEIVER)
    sender = register_customer(anchor, "1", "sep31-business-sender")
    refused = post_transaction(anchor, sender_id=sender, receiver_id=receiver)
    assert refused.json() == {"error": "customer_info_needed", "type": "sep31-business-sender"}
    register_customer(anchor, "1", "sep31-business-sender", **BUSINESS)
    answer = post_transaction(anchor, sender_id=sender, receiver_id=receiver)
    assert "stellar_memo" in answer.json()
    assert Transaction.objects.get().sender_type == "sep31-business-sender"


# -- Customers who are registered after the transaction ---------------------------------------


def put_for_transaction(anchor: RegisteredAnchor, **body: str) -> Any:
    return Client().put(
        "/sep12/customer", body, content_type="application/json", headers=anchor.headers()
    )


def test_who_is_registered_later_is_asked_for_the_tier_of_the_transaction(
    anchor: RegisteredAnchor,
) -> None:
    created = post_transaction(anchor, amount="3000").json()
    wrong = put_for_transaction(anchor, transaction_id=created["id"], type="sep31-sender", **SENDER)
    assert wrong.status_code == 400
    assert "sep31-large-sender" in wrong.json()["error"]
    asked = {"transaction_id": created["id"], "type": "sep31-large-sender"}
    assert needed(get_customer(anchor, **asked)) == {*SENDER, *LARGE}
    assert put_for_transaction(anchor, **asked, **SENDER).status_code == 202
    assert needed(get_customer(anchor, **asked)) == set(LARGE)
    put_for_transaction(anchor, **asked, **LARGE)
    register_customer(anchor, "2", "sep31-receiver", transaction_id=created["id"], **RECEIVER)
    services.advance([created["id"]])
    assert Transaction.objects.get().status == "pending_sender"


def test_who_is_registered_later_may_be_an_organization(anchor: RegisteredAnchor) -> None:
    receiver = register_customer(anchor, "2", "sep31-receiver", **RECEIVER)
    created = post_transaction(anchor, amount="3000", receiver_id=receiver).json()
    asked = {"transaction_id": created["id"], "type": "sep31-business-sender"}
    assert needed(get_customer(anchor, **asked)) == set(BUSINESS)
    assert put_for_transaction(anchor, **asked, **BUSINESS).status_code == 202
    row = Transaction.objects.get()
    assert row.sender_type == "sep31-business-sender"
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.status == "pending_sender"


def test_a_customer_may_turn_out_to_be_an_organization(anchor: RegisteredAnchor) -> None:
    created = post_transaction(anchor).json()
    sender = register_customer(anchor, "1", "sep31-sender", transaction_id=created["id"])
    register_customer(
        anchor, "1", "sep31-business-sender", transaction_id=created["id"], **BUSINESS
    )
    row = Transaction.objects.get()
    assert (str(row.sender_id), row.sender_type) == (sender, "sep31-business-sender")


def test_another_customer_cant_take_the_role_under_another_type(anchor: RegisteredAnchor) -> None:
    created = post_transaction(anchor).json()
    register_customer(anchor, "1", "sep31-sender", transaction_id=created["id"], **SENDER)
    answer = put_for_transaction(
        anchor,
        memo="9",
        memo_type="id",
        transaction_id=created["id"],
        type="sep31-business-sender",
        **BUSINESS,
    )
    assert answer.status_code == 409
    assert Transaction.objects.get().sender_type == "sep31-sender"


@pytest.mark.parametrize("type", ["sep31-mobile-receiver", "sep31-large-sender", "no-such"])
def test_a_type_that_the_transaction_has_no_use_for_is_refused(
    anchor: RegisteredAnchor, type: str
) -> None:
    created = post_transaction(anchor).json()
    for answer in (
        put_for_transaction(anchor, transaction_id=created["id"], type=type),
        Client().get(
            "/sep12/customer",
            {"transaction_id": created["id"], "type": type},
            headers=anchor.headers(),
        ),
    ):
        assert answer.status_code == 400
        assert "type" in answer.json()["error"]


def test_the_type_is_no_way_around_the_amount_of_the_order(anchor: RegisteredAnchor) -> None:
    """What counts is the amount of the transaction, whatever type its customer was PUT for."""
    customers = register_both(anchor)
    register_customer(anchor, "1", "sep31-sender")
    answer = Client().post(
        "/sep31/transactions",
        order(**customers, amount=Decimal("3000.0000000")),
        content_type="application/json",
        headers=anchor.headers(),
    )
    assert answer.json() == {"error": "customer_info_needed", "type": "sep31-large-sender"}
