"""What SEP-12 asks about transactions, of which it knows none.

SEP-12, "Customer GET" and "PUT", `transaction_id`. The class is what
`settings.CUSTOMER_TRANSACTIONS` names; a higher room brings it.
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from sep10.authentication import Caller


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


@lru_cache(maxsize=4)
def _load(path: str) -> CustomerTransactions:
    transactions: CustomerTransactions = import_string(path)()
    return transactions


def customer_transactions() -> CustomerTransactions:
    return _load(settings.CUSTOMER_TRANSACTIONS)
