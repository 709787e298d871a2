"""Payments of customers whom somebody has to decide on."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from sep12.models import Case
from sep12.services import record_decision
from sep12.status import Verdict
from sep31 import services
from sep31.models import Transaction
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import post_transaction, register_both, register_customer
from tests.integration.sep31.test_customer_types import LARGE

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def operators_decide(settings: Any) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"


def open_types() -> set[str]:
    return set(Case.objects.filter(closed_at=None).values_list("type", flat=True))


def accept(customer_id: str, type_name: str) -> None:
    record_decision(uuid.UUID(customer_id), type_name, Verdict("ACCEPTED"), decided_by="ana")


def accept_both(customers: dict[str, str]) -> None:
    accept(customers["sender_id"], "sep31-sender")
    accept(customers["receiver_id"], "sep31-receiver")


def test_a_payment_waits_for_both_decisions_and_then_goes_on(anchor: RegisteredAnchor) -> None:
    customers = register_both(anchor)
    created = post_transaction(anchor, **customers).json()
    assert "stellar_memo" not in created
    assert open_types() == {"sep31-sender", "sep31-receiver"}
    accept_both(customers)
    services.advance([created["id"]])
    assert Transaction.objects.get().status == "pending_sender"


def test_a_larger_payment_asks_for_a_decision_that_nobody_was_asked_for_before(
    anchor: RegisteredAnchor,
) -> None:
    """The customer told all of it while registered as one of smaller payments."""
    customers = register_both(anchor)
    register_customer(anchor, "1", "sep31-sender", **LARGE)
    accept_both(customers)
    assert "stellar_memo" in post_transaction(anchor, **customers, amount="100").json()
    assert open_types() == set()
    created = post_transaction(anchor, **customers, amount="3000")
    assert created.status_code == 201
    assert "stellar_memo" not in created.json()
    assert open_types() == {"sep31-large-sender"}
    accept(customers["sender_id"], "sep31-large-sender")
    services.advance([created.json()["id"]])
    assert Transaction.objects.get(pk=created.json()["id"]).status == "pending_sender"
