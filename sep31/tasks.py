"""Celery edges of SEP-31. Each is only a hint but `sweep_transactions`, which needs none."""

from __future__ import annotations

import uuid

from celery import shared_task

from sep31 import idempotency, timing
from sep31.models import Transaction
from sep31.receipts import match_payments
from sep31.services import advance, advance_due

BATCH = 200
# One sweep may not hold a worker for ever; the next one goes on.
MAX_BATCHES = 50


@shared_task
def sweep_transactions() -> None:
    """Match every unmatched payment and advance every transaction whose turn has come."""
    for _ in range(MAX_BATCHES):
        if not match_payments(BATCH):
            break
    for _ in range(MAX_BATCHES):
        if advance_due(BATCH) < BATCH:
            break


@shared_task
def measure_status_times() -> None:
    """Periodic: how long each status takes, for `status_eta`."""
    timing.measure_status_times()


@shared_task
def purge_idempotent_requests() -> None:
    """Periodic: forget answers that nobody may ask for again."""
    idempotency.purge_idempotent_requests()


@shared_task
def advance_transactions(transaction_ids: list[str]) -> None:
    """Advance these transactions."""
    advance([uuid.UUID(transaction_id) for transaction_id in transaction_ids])


@shared_task
def advance_for_payout(payout_id: str) -> None:
    """Advance the transaction of a payout that changed."""
    advance(Transaction.objects.filter(payout=uuid.UUID(payout_id)).values_list("pk", flat=True))


@shared_task
def advance_for_outgoing_payment(outgoing_payment_id: int) -> None:
    """Advance the transaction whose refund changed."""
    advance(
        Transaction.objects.filter(refunds__outgoing=outgoing_payment_id).values_list(
            "pk", flat=True
        )
    )


@shared_task
def advance_for_customer(customer_id: str) -> None:
    """Advance the open transactions that wait for a customer."""
    advance(Transaction.objects.waiting_for(uuid.UUID(customer_id)))
