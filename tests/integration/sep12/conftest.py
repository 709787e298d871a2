from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from kernel.errors import NotFound
from sep10.authentication import Caller
from sep12.types import customer_types
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.kyc import Api as Api

TYPES = {
    "sender": {
        "role": "sender",
        "required": ["first_name", "last_name"],
        "optional": ["email_address", "id_type"],
        "choices": {"id_type": ["passport", "id_card"]},
    },
    "receiver": {
        "role": "receiver",
        "required": ["first_name", "last_name", "bank_account_number"],
        "optional": ["mobile_number", "bank_branch_number"],
    },
    "checked": {"role": "sender", "required": ["first_name", "photo_id_front"]},
}


class Transactions:
    """Transactions as a higher room would keep them: id -> owner's account and customers."""

    owners: ClassVar[dict[str, str]] = {}
    customers: ClassVar[dict[tuple[str, str], uuid.UUID]] = {}

    def find_customer(
        self, caller: Caller, transaction_id: str, type: str | None
    ) -> uuid.UUID | None:
        if self.owners.get(transaction_id) != caller.account:
            raise NotFound("transaction not found")
        return self.customers.get((transaction_id, type or ""))

    def attach_customer(
        self, caller: Caller, transaction_id: str, type: str, customer_id: uuid.UUID
    ) -> None:
        self.find_customer(caller, transaction_id, type)
        self.customers[transaction_id, type] = customer_id


@pytest.fixture(autouse=True)
def own_configuration(settings: Any) -> Iterator[None]:
    settings.ANCHOR = {**settings.ANCHOR, "customer_types": TYPES}
    settings.CUSTOMER_TRANSACTIONS = "tests.integration.sep12.conftest.Transactions"
    customer_types.cache_clear()
    Transactions.owners.clear()
    Transactions.customers.clear()
    yield
    customer_types.cache_clear()


@pytest.fixture
def anchor(db: None) -> RegisteredAnchor:
    return make_sending_anchor()


@pytest.fixture
def api(anchor: RegisteredAnchor) -> Api:
    return Api(anchor.headers())
