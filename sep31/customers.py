"""What SEP-12 may know of transactions: which customer is whose sender or receiver.

Named by `settings.CUSTOMER_TRANSACTIONS`; SEP-12 itself stands below and imports nothing of ours.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from decimal import Decimal

from django.db.models import Count, Sum
from django.utils import timezone

from kernel.announce import announce
from kernel.assets import parse_asset_name
from kernel.errors import BadRequest, Conflict, NotFound
from sep1.assets import received_assets
from sep10.authentication import Caller
from sep12.models import Customer
from sep12.tiers import types_for
from sep12.transactions import Waiting
from sep31.machine import OPEN
from sep31.models import Receipt, Refund, Transaction
from sep31.signals import transactions_touched


class TransactionCustomers:
    """SEP-12's `transaction_id` parameter (GET and PUT /customer)."""

    def find_customer(
        self, caller: Caller, transaction_id: str, type: str | None
    ) -> uuid.UUID | None:
        """The customer registered for that role, or None. Raises `NotFound`, `BadRequest`."""
        row = get_owned_transaction(caller, transaction_id)
        customer_id: uuid.UUID | None = getattr(row, f"{_role(row, type or '')}_id")
        return customer_id

    def attach_customer(
        self, caller: Caller, transaction_id: str, type: str, customer_id: uuid.UUID
    ) -> None:
        """Register a customer for its role, within the caller's database transaction.

        Of the types that the transaction may ask for, the one named is then the one it asks for:
        the first to say so tells a person from an organization.

        Takes the transaction's lock, so it must come before any lock on the customer.
        Raises `Conflict` if another customer already has that role.
        """
        [row] = Transaction.objects.lock_for_change(
            [get_owned_transaction(caller, transaction_id).pk]
        )
        role = _role(row, type)
        present = getattr(row, f"{role}_id")
        if present == customer_id and type == getattr(row, f"{role}_type"):
            return
        if present not in (None, customer_id) and not Customer.objects.is_erased(present):
            raise Conflict(f"transaction_id has another {role} already")
        if row.status not in OPEN:
            raise Conflict(f"transaction_id names a transaction that is {row.status}")
        setattr(row, f"{role}_id", customer_id)
        setattr(row, f"{role}_type", type)
        row.look_at = timezone.now()
        row.save(update_fields=[role, f"{role}_type", "look_at"])
        announce(transactions_touched, transaction_ids=[row.pk])

    def waiting(self, customer_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Waiting]]:
        """Open transactions by customer, whichever end of them the customer is; two queries."""
        found: dict[uuid.UUID, dict[str, Waiting]] = {}
        for role in ("sender", "receiver"):
            groups = (
                Transaction.objects.filter(**{f"{role}__in": customer_ids}, status__in=OPEN)
                .order_by()
                .values_list(role, "amount_in_asset")
                .annotate(Count("pk"), Sum("amount_in"))
            )
            for customer_id, asset, count, amount in groups:
                of_customer = found.setdefault(customer_id, {})
                other = of_customer.get(asset, Waiting(asset, 0, Decimal(0)))
                of_customer[asset] = Waiting(asset, other.count + count, other.amount + amount)
        return {customer_id: list(by_asset.values()) for customer_id, by_asset in found.items()}


def get_owned_transaction(caller: Caller, transaction_id: str) -> Transaction:
    """A transaction of the calling sending anchor. Raises `NotFound`, also for foreign ones."""
    row, _receipt, _refund = read_owned_transaction(caller, transaction_id)
    return row


def read_owned_transaction(
    caller: Caller, transaction_id: str
) -> tuple[Transaction, Receipt | None, Refund | None]:
    """A transaction of the calling sending anchor, what was credited to it and the refund of that.

    One query, which admits the caller too. Raises `NotFound`, also for foreign ones.
    """
    try:
        pk = uuid.UUID(transaction_id)
    except ValueError as error:
        raise no_such_transaction() from error
    anchor, row, receipt, refund = Transaction.read_owned(pk, caller.account) or (None,) * 4
    caller.admit(anchor)
    if row is None:
        raise no_such_transaction()
    return row, receipt, refund


def no_such_transaction() -> NotFound:
    return NotFound("There is no such transaction")


def _role(row: Transaction, type: str) -> str:
    """ "sender" or "receiver", whichever `type` stands for in this transaction."""
    roles = _roles_by_type(row)
    if not roles:
        raise BadRequest("transaction_id names a transaction that asks for no customers")
    if type not in roles:
        raise BadRequest(f"type must be {' or '.join(roles)} for this transaction")
    return roles[type]


def _roles_by_type(row: Transaction) -> dict[str, str]:
    """What the transaction asks for, and what it may ask for instead of a customer of another
    kind (a person, an organization)."""
    roles = {}
    asset = received_assets().get(parse_asset_name(row.amount_in_asset))
    for role, asked in (("sender", row.sender_type), ("receiver", row.receiver_type)):
        if asked:
            roles[asked] = role
            others = types_for(role, asset, row.funding_method, row.amount_in) if asset else ()
            roles |= {other.name: role for other in others}
    return roles
