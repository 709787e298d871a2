"""POST /transactions/:id/cancel: before any payment, as the ledger's clock has it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from callbacks.models import Callback
from sep31 import services
from sep31.machine import Reason
from sep31.models import Refund, Transaction
from sep31.receipts import match_payments
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import (
    make_transaction,
    move_ledger_clock,
    post_transaction,
    record_payment,
)
from tests.integration.sep31.test_flow import assert_books_balance, history, pay, rail_says

pytestmark = pytest.mark.django_db


def cancel(anchor: RegisteredAnchor, row: Transaction) -> Any:
    return Client().post(f"/sep31/transactions/{row.pk}/cancel", headers=anchor.headers())


def ledger_is_read(row: Transaction) -> None:
    """The watcher has passed the moment of the cancellation."""
    row.refresh_from_db()
    move_ledger_clock(row.deadline + timedelta(seconds=1))
    services.advance([row.pk])
    row.refresh_from_db()


def test_an_unpaid_transaction_ends_when_the_ledger_shows_that_nothing_came(
    anchor: RegisteredAnchor,
) -> None:
    row = make_transaction(anchor)
    Transaction.objects.update(callback_url="https://a.example/callback")
    answer = cancel(anchor, row)
    assert answer.status_code == 200
    shown = answer.json()["transaction"]
    assert shown["status"] == "pending_sender"
    assert shown["status_message"].startswith("You cancelled it.")
    ledger_is_read(row)
    assert (row.status, row.reason) == ("expired", Reason.CANCELLED)
    assert history(row)[1:] == [
        ("pending_sender", Reason.CANCEL_ASKED),
        ("expired", Reason.CANCELLED),
    ]
    assert [event.actor for event in row.events.all()][1:] == [anchor.account, "landfall"]
    assert Callback.objects.count() == 1


def test_one_that_never_said_where_to_pay_ends_at_once(anchor: RegisteredAnchor) -> None:
    post_transaction(anchor)
    row = Transaction.objects.get()
    shown = cancel(anchor, row).json()["transaction"]
    assert (shown["status"], "stellar_memo" in shown) == ("expired", False)


def test_one_that_stopped_for_its_customers_can_be_cancelled_too(anchor: RegisteredAnchor) -> None:
    post_transaction(anchor)
    row = Transaction.objects.get()
    Transaction.objects.update(status="error", reason="customer_rejected")
    assert cancel(anchor, row).json()["transaction"]["status"] == "expired"


def test_cancelling_again_is_the_same_as_once(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor)
    first = cancel(anchor, row)
    deadline = Transaction.objects.get().deadline
    assert cancel(anchor, row).content == first.content
    assert Transaction.objects.get().deadline == deadline
    ledger_is_read(row)
    assert cancel(anchor, row).status_code == 200
    assert row.events.filter(reason=Reason.CANCEL_ASKED).count() == 1


@pytest.mark.parametrize("outcome", ["due", "accepted", "delivered", "failed"])
def test_what_was_paid_can_not_be_cancelled(anchor: RegisteredAnchor, outcome: str) -> None:
    row = make_transaction(anchor)
    pay(row)
    if outcome != "due":
        rail_says(row, outcome)
    before = Transaction.objects.values().get()
    answer = cancel(anchor, row)
    assert answer.status_code == 409
    assert answer.json() == {
        "error": "The transaction was paid already, so it can't be cancelled any more"
    }
    assert Transaction.objects.values().get() == before


def test_a_payment_that_the_ledger_closed_before_is_delivered(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor)
    closed_at = timezone.now()
    cancel(anchor, row)
    record_payment(row, closed_at=closed_at)
    match_payments()
    ledger_is_read(row)
    assert (row.status, row.reason) == ("pending_receiver", Reason.PAYMENT_RECEIVED)
    assert row.payout is not None
    assert cancel(anchor, row).status_code == 409
    assert_books_balance()


@pytest.mark.parametrize("read_first", [True, False])
def test_a_payment_that_the_ledger_closed_after_goes_back(
    anchor: RegisteredAnchor, read_first: bool
) -> None:
    row = make_transaction(anchor)
    cancel(anchor, row)
    if read_first:
        ledger_is_read(row)
    record_payment(row, closed_at=timezone.now() + timedelta(seconds=5))
    match_payments()
    ledger_is_read(row)
    assert row.status == "expired"
    assert row.payout is None
    refund = Refund.objects.get()
    assert (refund.amount, refund.part) == (100, "uncredited")
    assert_books_balance()


def test_a_payment_that_is_read_but_not_matched_yet_is_waited_for(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor)
    record_payment(row, closed_at=timezone.now())
    cancel(anchor, row)
    ledger_is_read(row)
    assert row.status == "pending_sender"
    match_payments()
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.status == "pending_receiver"


def test_accepted_customers_do_not_open_a_cancelled_transaction(anchor: RegisteredAnchor) -> None:
    """Nobody is to be told where to pay for what ends."""
    post_transaction(anchor)
    row = Transaction.objects.get()
    Transaction.objects.update(sender_type="", receiver_type="")  # nobody must be known any more
    cancel(anchor, row)
    row.refresh_from_db()
    assert (row.status, row.ready_at) == ("expired", None)


def test_another_sending_anchors_transaction_is_404(
    anchor: RegisteredAnchor, stranger: RegisteredAnchor
) -> None:
    row = make_transaction(anchor)
    assert cancel(stranger, row).status_code == 404
    assert Transaction.objects.get().cancelled_at is None


@pytest.mark.django_db(transaction=True)
def test_of_a_cancellation_and_a_payment_at_once_one_wins_and_no_money_is_lost(
    anchor: RegisteredAnchor,
) -> None:
    rows = [make_transaction(anchor) for _ in range(8)]
    for row in rows:
        record_payment(row, closed_at=timezone.now())
    statuses: list[int] = []
    start = threading.Barrier(2)

    def cancel_all() -> None:
        start.wait()
        try:
            statuses.extend(cancel(anchor, row).status_code for row in rows)
        finally:
            connections.close_all()

    def match_all() -> None:
        start.wait()
        try:
            while match_payments(1):
                pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for work in (cancel_all, match_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == len(rows)
    assert set(statuses) <= {200, 409}
    for row in rows:
        ledger_is_read(row)
        # The ledger had closed all of them before.
        assert row.status == "pending_receiver"
    assert_books_balance()
