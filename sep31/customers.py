"""What SEP-12 may know of transactions: which customer is whose sender or receiver.

Named by `settings.CUSTOMER_TRANSACTIONS`; SEP-12 itself stands below and imports nothing of ours.
"""

from __future__ import annotations

import uuid

from django.utils import timezone

from kernel.announce import announce
from kernel.errors import BadRequest, Conflict, NotFound
from sep10.authentication import Caller
from sep12.models import Customer
from sep31.machine import OPEN
from sep31.models import Transaction
from sep31.signals import transactions_touched


class TransactionCustomers:
    """SEP-12's `transaction_id` parameter (GET and PUT /customer)."""

    def find_customer(
        self, caller: Caller, transaction_id: str, type: str | None
    ) -> uuid.UUID | None:
        """The customer registered for that role, or None. Raises `NotFound`, `BadRequest`."""
        row = get_owned_transaction(caller, transaction_id)
        customer_id: uuid.UUID | None = getattr(row, f"{_role(row, type)}_id")
        return customer_id

    def attach_customer(
        self, caller: Caller, transaction_id: str, type: str, customer_id: uuid.UUID
    ) -> None:
        """Register a customer for its role, within the caller's database transaction.

        Takes the transaction's lock, so it must come before any lock on the customer.
        Raises `Conflict` if another customer already has that role.
        """
        [row] = Transaction.objects.lock_for_change(
            [get_owned_transaction(caller, transaction_id).pk]
        )
        role = _role(row, type)
        present = getattr(row, f"{role}_id")
        if present == customer_id:
            return
        if present is not None and not Customer.objects.is_erased(present):
            raise Conflict(f"transaction_id has another {role} already")
        if row.status not in OPEN:
            raise Conflict(f"transaction_id names a transaction that is {row.status}")
        setattr(row, f"{role}_id", customer_id)
        row.look_at = timezone.now()
        row.save(update_fields=[role, "look_at"])
        announce(transactions_touched, transaction_ids=[row.pk])


def get_owned_transaction(caller: Caller, transaction_id: str) -> Transaction:
    """A transaction of the calling sending anchor. Raises `NotFound`, also for foreign ones."""
    try:
        pk = uuid.UUID(transaction_id)
    except ValueError:
        pk = None
    row = (
        Transaction.objects.filter(pk=pk, sending_anchor=caller.sending_anchor)
        .select_related("payout")
        .first()
        if pk
        else None
    )
    if row is None:
        raise NotFound("There is no such transaction")
    return row


def _role(row: Transaction, type: str | None) -> str:
    if type and type == row.sender_type:
        return "sender"
    if type and type == row.receiver_type:
        return "receiver"
    known = " or ".join(kind for kind in (row.sender_type, row.receiver_type) if kind)
    raise BadRequest(f"type must be {known} for this transaction")
