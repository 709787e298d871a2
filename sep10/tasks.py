"""Celery's edge of SEP-10."""

from __future__ import annotations

from celery import shared_task

from sep10 import services


@shared_task
def purge_used_challenges() -> None:
    """Periodic; whether it runs twice, late or not at all, no challenge is taken twice."""
    services.purge_used_challenges()
