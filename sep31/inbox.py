"""The operators' inbox: money that arrived and that no rule decides about.

Each receipt in it is decided once, by one operator: sent back, or kept.
"""

from __future__ import annotations

from django.db import transaction

from kernel.errors import Conflict
from sep31.models import Receipt, Refund
from sep31.refunds import create_refunds

REASON = "operator_inbox"


def refund_inbox_receipt(receipt_id: int, operator: str) -> Refund:
    """Send the uncredited part of a receipt back to where it came from.

    Raises `Conflict` if it is not in the inbox (any more), or if no payment could carry it back.
    """
    with transaction.atomic():
        receipt = _take(receipt_id, operator, Receipt.Rest.REFUND)
        try:
            [refund] = create_refunds([(receipt, Refund.Part.UNCREDITED, REASON, operator)])
        except ValueError as error:
            raise Conflict(f"It can't be sent back: {error}") from error
    return refund


def keep_inbox_receipt(receipt_id: int, operator: str) -> Receipt:
    """Keep the uncredited part of a receipt, for example because it is our own funding.

    Raises `Conflict` if it is not in the inbox (any more).
    """
    with transaction.atomic():
        return _take(receipt_id, operator, Receipt.Rest.KEPT)


def _take(receipt_id: int, operator: str, fate: Receipt.Rest) -> Receipt:
    receipt = Receipt.objects.lock_in_inbox(receipt_id)
    if receipt is None:
        raise Conflict("This receipt is not in the inbox any more: somebody decided already.")
    receipt.rest = fate
    receipt.decided_by = operator
    receipt.save(update_fields=["rest", "decided_by"])
    return receipt
