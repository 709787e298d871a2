"""What SEP-12 asks about transactions, of which it knows none.

SEP-12, "Customer GET" and "PUT", `transaction_id`. The class is what
`settings.CUSTOMER_TRANSACTIONS` names; a higher room brings it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from sep10.authentication import Caller


@dataclass(frozen=True)
class Waiting:
    """Open transactions of one customer in one asset (SEP-38 name): how many, and how much we
    receive for them."""

    asset: str
    count: int
    amount: Decimal


class CustomerTransactions(Protocol):
    """Which customer a transaction has in the role that a type stands for."""

    def find_customer(
        self, caller: Caller, transaction_id: str, type: str | None
    ) -> uuid.UUID | None:
        """The customer's id, None if there is none yet. Raises `NotFound` for a transaction that
        is unknown or someone else's."""
        ...

    def attach_customer(
        self, caller: Caller, transaction_id: str, type: str, customer_id: uuid.UUID
    ) -> None:
        """Make the customer the transaction's, in the open database transaction, before any
        customer is locked: transactions are locked before customers everywhere."""
        ...

    def waiting(self, customer_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Waiting]]:
        """The open transactions of these customers, in a fixed number of queries."""
        ...


@lru_cache(maxsize=4)
def _load(path: str) -> CustomerTransactions:
    transactions: CustomerTransactions = import_string(path)()
    return transactions


def customer_transactions() -> CustomerTransactions:
    return _load(settings.CUSTOMER_TRANSACTIONS)
