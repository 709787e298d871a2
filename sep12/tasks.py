"""Celery's edge of SEP-12."""

from __future__ import annotations

import uuid

from celery import shared_task

from sep12 import provider, stored_files, verification
from sep12.screening import lists, screening_enabled
from sep12.screening import services as screening


@shared_task
def purge_unused_files() -> None:
    """Periodic; a file that is not purged yet is not found any more all the same."""
    stored_files.purge_unused_files()


@shared_task
def ask_provider(case_id: str) -> None:
    """Tell the KYC provider of a case that was just opened."""
    provider.ask_about_new_case(uuid.UUID(case_id))


@shared_task
def ask_provider_about_due_cases() -> None:
    """The sweep: cases whose message was lost, that the provider didn't take, or is silent on."""
    provider.ask_about_due_cases()


@shared_task
def send_codes(verification_ids: list[str]) -> None:
    """Send confirmation codes that were just asked for."""
    for verification_id in verification_ids:
        verification.send_new_code(uuid.UUID(verification_id))


@shared_task
def send_due_codes() -> None:
    """The sweep: codes whose message was lost, or whose sender failed."""
    verification.send_due_codes()


@shared_task
def purge_sent_codes() -> None:
    """Periodic: forget to whom codes went, as soon as no limit counts it."""
    verification.purge_sent_codes()


@shared_task
def screen_customer(customer_id: str) -> None:
    """Hold a customer with a new name against the sanctions lists."""
    screening.screen_customer(uuid.UUID(customer_id))


@shared_task
def screen_due_customers() -> None:
    """The sweep: customers whose message was lost, and all of them after a list changed."""
    screening.screen_due_customers()


@shared_task
def reload_sanctions_lists() -> None:
    """Periodic: load the lists whose files changed, and say what is wrong with them."""
    if screening_enabled():
        lists.reload_changed_lists()
