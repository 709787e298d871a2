"""Celery's way in."""

from __future__ import annotations

from celery import shared_task

from callbacks import services


@shared_task
def deliver_callback(callback_id: int) -> None:
    """Deliver a callback that was just queued, and what follows it in its stream."""
    services.deliver_callback(callback_id)


@shared_task
def deliver_due_callbacks() -> None:
    """The sweep: new callbacks whose message was lost, and all that are to be tried again."""
    services.deliver_due_callbacks()
