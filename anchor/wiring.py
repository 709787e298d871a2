"""Who listens to which announcement: a lower room's signal starts a higher room's task.

Only hints pass here. If Redis is down they are lost, and the sweeps do the work a little later.
"""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from callbacks.signals import callback_queued
from callbacks.tasks import deliver_callback
from payouts.signals import payout_changed, payout_due
from payouts.tasks import send_payout
from sep12.models import Customer
from sep12.screening import screening_enabled
from sep12.signals import case_due, codes_due, customer_changed
from sep12.tasks import ask_provider, screen_customer, send_codes
from sep31.models import Transaction
from sep31.signals import transactions_touched
from sep31.tasks import (
    advance_for_customer,
    advance_for_outgoing_payment,
    advance_for_payout,
    advance_transactions,
    sweep_transactions,
)
from stellar.signals import (
    outgoing_payment_changed,
    outgoing_payment_due,
    payments_recorded,
)
from stellar.tasks import submit_outgoing_payments


@receiver(payments_recorded)
def match_recorded_payments(**kwargs: Any) -> None:
    sweep_transactions.delay()


@receiver(transactions_touched)
def advance_touched(transaction_ids: list[Any], **kwargs: Any) -> None:
    advance_transactions.delay([str(transaction_id) for transaction_id in transaction_ids])


@receiver(customer_changed)
def advance_those_who_wait(customer_id: Any, is_new: bool, **kwargs: Any) -> None:
    # Most changes come before the customer's first transaction, and a message costs more than the
    # question whether there is one.
    if not is_new and Transaction.objects.waiting_for(customer_id, limit=1):
        advance_for_customer.delay(str(customer_id))


@receiver(customer_changed)
def screen_new_name(customer_id: Any, **kwargs: Any) -> None:
    if screening_enabled() and Customer.objects.is_due(customer_id):
        screen_customer.delay(str(customer_id))


@receiver(case_due)
def ask_provider_about_case(case_id: Any, **kwargs: Any) -> None:
    ask_provider.delay(str(case_id))


@receiver(codes_due)
def send_asked_codes(verification_ids: list[Any], **kwargs: Any) -> None:
    send_codes.delay([str(verification_id) for verification_id in verification_ids])


@receiver(payout_due)
def send_due_payout(payout_id: Any, **kwargs: Any) -> None:
    send_payout.delay(str(payout_id))


@receiver(payout_changed)
def advance_paid(payout_id: Any, **kwargs: Any) -> None:
    advance_for_payout.delay(str(payout_id))


@receiver(outgoing_payment_due)
def submit_due_payments(**kwargs: Any) -> None:
    submit_outgoing_payments.delay()


@receiver(outgoing_payment_changed)
def advance_refunded(outgoing_payment_id: int, **kwargs: Any) -> None:
    advance_for_outgoing_payment.delay(outgoing_payment_id)


@receiver(callback_queued)
def deliver_queued_callback(callback_id: int, **kwargs: Any) -> None:
    deliver_callback.delay(callback_id)
