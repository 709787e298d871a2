"""Celery's way in."""

from __future__ import annotations

import uuid

from celery import shared_task

from payouts import services


@shared_task
def send_payout(payout_id: str) -> None:
    """Send a payout that has just become due."""
    services.send_payout(uuid.UUID(payout_id))


@shared_task
def send_due_payouts() -> None:
    """The sweep: payouts to send, to send again, or to ask the rail about."""
    services.send_due_payouts()
