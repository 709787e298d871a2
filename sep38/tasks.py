"""Celery's edge of SEP-38."""

from __future__ import annotations

from celery import shared_task

from sep38 import feeds, services


@shared_task
def fetch_due_rates() -> None:
    """Periodic: rates of the sources whose turn it is."""
    feeds.fetch_due_rates()


@shared_task
def purge_expired_quotes() -> None:
    """Periodic; whether it runs twice, late or not at all, no quote is redeemed late."""
    services.purge_expired_quotes()
