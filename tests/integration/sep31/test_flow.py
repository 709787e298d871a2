"""From a payment on the ledger to its end, with the rail's and the network's answers written
straight into their tables: what `advance` makes of them."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from callbacks.models import Callback
from kernel.errors import BadRequest
from payouts.models import Attempt, Payout
from sep31 import services
from sep31.machine import Reason, Wish
from sep31.models import Event, Receipt, Refund, Transaction
from sep31.receipts import match_payments
from sep31.reconcile import balance_books
from sep31.tasks import sweep_transactions
from sep38.models import Rate
from stellar.models import OutgoingPayment, ReceivedPayment
from tests.fixtures.transactions import (
    RECEIVER,
    SENDER,
    deadline_passes,
    make_transaction,
    move_ledger_clock,
    post_transaction,
    record_payment,
    register_customer,
    usdc,
)

pytestmark = pytest.mark.django_db
JSON = "application/json"


def pay(row, **changes):
    payment = record_payment(row, **changes)
    match_payments()
    services.advance([row.pk])
    row.refresh_from_db()
    return payment


def rail_says(row, status, **more):
    again = timezone.now() if status == "accepted" else None
    Payout.objects.filter(pk=row.payout_id).update(status=status, next_try_at=again, **more)
    services.advance([row.pk])
    row.refresh_from_db()


def network_confirms(refund):
    OutgoingPayment.objects.filter(pk=refund.outgoing_id).update(
        status="confirmed", transaction_hash=f"{refund.pk:064x}", confirmed_at=timezone.now()
    )
    if refund.transaction_id:
        services.advance([refund.transaction_id])


def history(row):
    return [(event.to_status, event.reason) for event in row.events.all()]


def assert_books_balance():
    for balance in balance_books():
        assert balance.difference == 0, balance


# -- The plain way ----------------------------------------------------------------------------


def test_a_payment_as_agreed_is_credited_and_paid_out(anchor):
    row = make_transaction(anchor)
    payment = pay(row)
    assert row.status == "pending_receiver"
    receipt = payment.receipt
    assert (receipt.outcome, receipt.credited, receipt.uncredited) == ("agreed", 100, 0)
    assert (row.payout.amount, row.payout.asset) == (Decimal("98.5"), "iso4217:USD")
    assert row.payout.details["bank_account_number"] == RECEIVER["bank_account_number"]
    assert_books_balance()
    rail_says(row, "accepted")
    assert row.status == "pending_external"
    rail_says(row, "delivered", rail_reference="BANK-1")
    assert row.status == "completed"
    assert history(row) == [
        ("pending_sender", Reason.CREATED_READY),
        ("pending_receiver", Reason.PAYMENT_RECEIVED),
        ("pending_external", Reason.RAIL_ACCEPTED),
        ("completed", Reason.RAIL_DELIVERED),
    ]
    answer = Client().get(f"/sep31/transactions/{row.pk}", headers=anchor.headers())
    shown = answer.json()["transaction"]
    assert shown["stellar_transaction_id"] == payment.transaction_hash
    assert shown["external_transaction_id"] == "BANK-1"
    assert shown["completed_at"]
    [books] = balance_books()
    assert (books.received, books.paid_out, books.fees) == (100, Decimal("98.5"), Decimal("1.5"))
    assert_books_balance()


def test_advancing_again_changes_nothing(anchor):
    row = make_transaction(anchor)
    pay(row)
    for _ in range(3):
        assert services.advance([row.pk]) == 0
    assert Payout.objects.count() == 1
    assert Event.objects.filter(transaction=row).count() == 2


def test_the_sweep_finds_a_payment_that_nobody_announced(anchor):
    row = make_transaction(anchor)
    record_payment(row)
    sweep_transactions()
    row.refresh_from_db()
    assert row.status == "pending_receiver"
    assert row.payout is not None


def test_customers_accepted_later_open_the_door(anchor):
    created = post_transaction(anchor).json()
    row = Transaction.objects.get()
    for memo, kind, fields in (("1", "sep31-sender", SENDER), ("2", "sep31-receiver", RECEIVER)):
        services.advance([row.pk])
        row.refresh_from_db()
        assert row.status == "pending_receiver"
        register_customer(anchor, memo, kind, transaction_id=created["id"], **fields)
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.status == "pending_sender"
    assert row.ready_at is not None


def test_without_a_quote_the_rate_of_the_moment_of_payment_counts(anchor, rate):
    row = make_transaction(anchor, destination_asset="iso4217:MXN")
    assert row.amount_out is None
    Rate.objects.create(sell_asset=usdc(), buy_asset="iso4217:MXN", rate=20, source="test")
    pay(row)
    assert row.amount_out == row.payout.amount
    assert row.amount_out > Decimal("17.5") * 100
    assert_books_balance()


def test_without_a_fresh_rate_the_payout_waits(anchor, rate):
    row = make_transaction(anchor, destination_asset="iso4217:MXN")
    Rate.objects.update(created_at=timezone.now() - timedelta(days=365))
    pay(row)
    assert (row.status, row.payout) == ("pending_receiver", None)
    Rate.objects.update(created_at=timezone.now())
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.payout is not None


def test_what_can_no_longer_be_converted_goes_back(anchor, rate, monkeypatch):
    row = make_transaction(anchor, destination_asset="iso4217:MXN")

    def no_such_pair(*_, **__):
        raise BadRequest("no longer offered")

    monkeypatch.setattr(services, "price_now", no_such_pair)
    pay(row)
    assert row.payout is None
    assert Refund.objects.get().amount == 100
    assert row.events.last().reason == Reason.UNDELIVERABLE
    assert_books_balance()


# -- Payments that are not as agreed ----------------------------------------------------------

OTHER_USDC = "stellar:USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"amount": Decimal("99.9999999")}, "underpaid"),
        ({"asset": OTHER_USDC}, "wrong_asset"),
        ({"asset": "stellar:native"}, "wrong_asset"),
        ({"closed_at": timezone.now() + timedelta(days=30)}, "late"),
    ],
)
def test_a_payment_that_is_not_as_agreed_goes_back_and_the_transaction_waits_on(
    anchor, changes, outcome
):
    row = make_transaction(anchor, refund_memo="77", refund_memo_type="id")
    payment = pay(row, **changes)
    assert row.status == "pending_sender"
    assert payment.receipt.outcome == outcome
    refund = payment.receipt.refunds.get()
    assert refund.outgoing.amount == payment.amount
    assert refund.outgoing.asset == payment.asset
    assert refund.outgoing.destination == payment.from_account
    assert (refund.outgoing.memo_type, refund.outgoing.memo) == ("id", "77")
    assert row.events.last().reason == f"payment_{outcome}"
    answer = Client().get(f"/sep31/transactions/{row.pk}", headers=anchor.headers())
    assert "was not taken" in answer.json()["transaction"]["status_message"]
    assert_books_balance()
    network_confirms(refund)
    assert_books_balance()
    pay(row)
    assert row.payout is not None


def test_what_was_paid_too_much_goes_back_and_the_rest_is_delivered(anchor):
    row = make_transaction(anchor)
    payment = pay(row, amount=Decimal("100.5"))
    assert row.payout.amount == Decimal("98.5")
    refund = payment.receipt.refunds.get()
    assert refund.outgoing.amount == Decimal("0.5")
    assert (refund.outgoing.memo_type, refund.outgoing.memo) == (row.memo_type, row.memo)
    network_confirms(refund)
    rail_says(row, "delivered")
    assert row.status == "completed"
    assert_books_balance()


def test_a_second_payment_on_the_same_memo_goes_back(anchor):
    row = make_transaction(anchor)
    pay(row)
    second = pay(row)
    assert second.receipt.outcome == "second_payment"
    assert second.receipt.credited == 0
    assert second.receipt.refunds.get().outgoing.amount == 100
    assert Payout.objects.count() == 1
    assert_books_balance()


def test_a_payment_with_no_known_memo_waits_in_the_operators_inbox(anchor):
    row = make_transaction(anchor)
    for changes in ({"memo": "12345"}, {"memo_type": "text"}, {"memo_type": "none", "memo": ""}):
        payment = pay(row, **changes)
        assert (payment.receipt.outcome, payment.receipt.rest) == ("unknown_memo", "inbox")
    assert row.status == "pending_sender"
    assert not Refund.objects.exists()
    assert_books_balance()


def test_a_muxed_destination_carries_the_memo(anchor):
    row = make_transaction(anchor)
    pay(row, memo_type="none", memo="", muxed_id=Decimal(row.memo))
    assert row.status == "pending_receiver"


def test_another_payer_than_the_one_who_asked_is_as_good(anchor, stranger):
    row = make_transaction(anchor)
    pay(row, from_account=stranger.account)
    assert row.status == "pending_receiver"


def test_a_payment_that_cant_be_sent_back_waits_for_an_operator_and_holds_up_nobody(anchor):
    row, other = make_transaction(anchor), make_transaction(anchor)
    odd = record_payment(row, amount=1, from_account="not an account")
    record_payment(other)
    match_payments()
    odd.refresh_from_db()
    assert (odd.receipt.outcome, odd.receipt.rest) == ("underpaid", "inbox")
    services.advance([other.pk])
    other.refresh_from_db()
    assert other.status == "pending_receiver"
    assert_books_balance()


def test_a_transaction_that_cant_be_advanced_holds_up_nobody(anchor):
    row, other = make_transaction(anchor), make_transaction(anchor)
    record_payment(row)
    record_payment(other)
    Transaction.objects.filter(pk=row.pk).update(funding_method="no rail has it")
    sweep_transactions()
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.status, other.status) == ("pending_sender", "pending_receiver")
    assert row.look_at > timezone.now()


# -- Time -------------------------------------------------------------------------------------


def test_a_transaction_expires_only_once_the_ledger_clock_has_passed_its_deadline(anchor):
    row = make_transaction(anchor)
    Transaction.objects.update(deadline=timezone.now() - timedelta(minutes=1))
    row.refresh_from_db()
    for clock in (None, row.deadline - timedelta(seconds=1), row.deadline):
        if clock:
            move_ledger_clock(clock)
        services.advance([row.pk])
        row.refresh_from_db()
        assert row.status == "pending_sender"
    deadline_passes(row)
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.status == "expired"


def test_a_payment_in_time_that_is_recorded_but_not_matched_yet_keeps_it_alive(anchor):
    row = make_transaction(anchor)
    record_payment(row, closed_at=row.deadline - timedelta(seconds=1))
    deadline_passes(row)
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.status == "pending_sender"
    sweep_transactions()
    row.refresh_from_db()
    assert row.status == "pending_receiver"


def test_a_payment_after_expiry_goes_back(anchor):
    row = make_transaction(anchor)
    deadline_passes(row)
    services.advance([row.pk])
    payment = pay(row, closed_at=row.deadline + timedelta(seconds=1))
    assert row.status == "expired"
    assert payment.receipt.outcome == "late"
    assert payment.receipt.refunds.count() == 1
    assert_books_balance()


# -- When the rail says no --------------------------------------------------------------------


def test_refused_fields_go_to_the_sending_anchor_and_their_correction_is_paid(anchor):
    row = make_transaction(anchor)
    pay(row)
    rail_says(row, "refused", refused_fields={"bank_account_number": "no such account"})
    assert row.status == "pending_customer_info_update"
    answer = Client().get(
        "/sep12/customer",
        {"id": str(row.receiver_id), "type": "sep31-receiver"},
        headers=anchor.headers(),
    )
    assert answer.json()["status"] == "NEEDS_INFO"
    assert "no such account" in answer.content.decode()
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.status == "pending_customer_info_update"
    register_customer(
        anchor, "2", "sep31-receiver", **{**RECEIVER, "bank_account_number": "1000000009"}
    )
    services.advance([row.pk])
    row.refresh_from_db()
    assert row.status == "pending_receiver"
    assert row.payout.status == "due"
    assert row.payout.details["bank_account_number"] == "1000000009"
    rail_says(row, "delivered")
    assert row.status == "completed"


def test_refused_transaction_fields_are_patched_and_paid(anchor, monkeypatch, settings):
    from sep1 import assets

    [entry, *_] = settings.ANCHOR["assets"]
    fields = {"purpose": {"description": "Purpose of the payment", "optional": True}}
    monkeypatch.setitem(entry, "fields", fields)
    assets.received_assets.cache_clear()
    try:
        row = make_transaction(anchor, fields={"transaction": {"purpose": "none"}})
        pay(row)
        rail_says(row, "refused", refused_fields={"purpose": "must say what for"})
        assert row.status == "pending_transaction_info_update"
        path = f"/sep31/transactions/{row.pk}"
        shown = Client().get(path, headers=anchor.headers()).json()["transaction"]
        assert shown["required_info_updates"] == {
            "transaction": {"purpose": {"description": "must say what for"}}
        }
        for bad in ({"x": "y"}, {}, {"purpose": 5}, "purpose"):
            answer = Client().patch(
                path, {"fields": {"transaction": bad}}, content_type=JSON, headers=anchor.headers()
            )
            assert answer.status_code == 400, bad
        answer = Client().patch(
            path,
            {"fields": {"transaction": {"purpose": "school fees"}}},
            content_type=JSON,
            headers=anchor.headers(),
        )
        assert answer.status_code == 200
        assert answer.json()["transaction"]["status"] == "pending_receiver"
        row.refresh_from_db()
        assert row.payout.status == "due"
    finally:
        monkeypatch.undo()
        assets.received_assets.cache_clear()


def test_a_refusal_that_nobody_could_correct_ends_as_undeliverable(anchor):
    row = make_transaction(anchor)
    pay(row)
    rail_says(row, "refused", refused_fields={"flux_capacitor": "missing"})
    assert row.payout.status == "cancelled"
    assert Refund.objects.get().amount == 100


def test_what_cant_be_delivered_is_refunded_in_full(anchor):
    row = make_transaction(anchor)
    payment = pay(row)
    rail_says(row, "failed")
    assert row.status == "pending_receiver"
    assert row.payout.status == "cancelled"
    refund = Refund.objects.get()
    assert (refund.part, refund.outgoing.amount) == ("credited", 100)
    assert (refund.reason, refund.actor) == (Reason.UNDELIVERABLE, "landfall")
    assert_books_balance()
    network_confirms(refund)
    row.refresh_from_db()
    assert row.status == "refunded"
    answer = Client().get(f"/sep31/transactions/{row.pk}", headers=anchor.headers())
    shown = answer.json()["transaction"]
    assert shown["refunds"] == {
        "amount_refunded": "100",
        "amount_fee": "0",
        "payments": [{"id": f"{refund.pk:064x}", "amount": "100", "fee": "0"}],
    }
    refunds = shown["refunds"]
    assert Decimal(shown["amount_out"]) == (
        Decimal(shown["amount_in"])
        - Decimal(shown["amount_fee"])
        - Decimal(refunds["amount_refunded"])
        - Decimal(refunds["amount_fee"])
    )
    assert payment.receipt.refunds.count() == 1
    assert_books_balance()


def test_a_refund_that_the_network_refuses_waits_for_an_operator_and_can_be_retried(anchor):
    row = make_transaction(anchor)
    pay(row)
    rail_says(row, "failed")
    refund = Refund.objects.get()
    OutgoingPayment.objects.update(status="failed")
    services.advance([row.pk])
    row.refresh_from_db()
    assert (row.status, row.reason) == ("error", "refund_failed")
    assert_books_balance()
    services.request_by_operator(row.pk, Wish.RETRY, "olga")
    refund.outgoing.refresh_from_db()
    assert refund.outgoing.status == "pending"
    assert Refund.objects.count() == 1
    network_confirms(refund)
    row.refresh_from_db()
    assert row.status == "refunded"


def test_a_customer_erased_before_the_payout_is_asked_for_again(anchor):
    row = make_transaction(anchor)
    Client().delete(
        f"/sep12/customer/{anchor.account}",
        {"memo": "2", "memo_type": "id"},
        content_type=JSON,
        headers=anchor.headers(),
    )
    pay(row)
    assert row.status == "pending_customer_info_update"
    assert row.payout is None


def test_an_erased_customer_can_be_replaced_in_an_open_transaction(anchor):
    row = make_transaction(anchor)
    Client().delete(
        f"/sep12/customer/{anchor.account}",
        {"memo": "2", "memo_type": "id"},
        content_type=JSON,
        headers=anchor.headers(),
    )
    pay(row)
    other = register_customer(anchor, "3", "sep31-receiver", transaction_id=str(row.pk), **RECEIVER)
    services.advance([row.pk])
    row.refresh_from_db()
    assert str(row.receiver_id) == other
    assert row.payout is not None


# -- Operators --------------------------------------------------------------------------------


def test_an_operator_cant_refund_what_may_still_be_delivered(anchor):
    row = make_transaction(anchor)
    pay(row)
    attempt = Attempt.objects.create(payout=row.payout, number=1, details={})
    Payout.objects.update(status="in_flight")
    with pytest.raises(services.Conflict, match="on its way"):
        services.request_by_operator(row.pk, Wish.REFUND, "olga")
    attempt.status = "failed"
    attempt.save()
    Payout.objects.update(status="due")
    services.request_by_operator(row.pk, Wish.REFUND, "olga")
    row.refresh_from_db()
    assert row.payout.status == "cancelled"
    assert Refund.objects.get().actor == "olga"
    assert Refund.objects.get().reason == Reason.REFUND_STARTED
    assert row.events.last().actor == "olga"
    with pytest.raises(services.Conflict):
        services.request_by_operator(row.pk, Wish.REFUND, "olga")


def test_events_can_neither_be_changed_nor_deleted(anchor):
    make_transaction(anchor)
    for change in (
        lambda: Event.objects.update(reason="undeliverable"),
        lambda: Event.objects.all()._raw_delete("default"),
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


# -- Callbacks --------------------------------------------------------------------------------


def test_each_change_of_status_queues_one_callback_with_the_transaction_as_it_was_then(anchor):
    row = make_transaction(anchor)
    Transaction.objects.update(callback_url="https://a.example/callback")
    pay(row)
    rail_says(row, "delivered", rail_reference="BANK-1")
    bodies = [json.loads(c.body) for c in Callback.objects.order_by("pk")]
    assert [body["transaction"]["status"] for body in bodies] == ["pending_receiver", "completed"]
    assert "completed_at" not in bodies[0]["transaction"]
    assert bodies[1]["transaction"]["external_transaction_id"] == "BANK-1"
    shown = Client().get(f"/sep31/transactions/{row.pk}", headers=anchor.headers())
    assert bodies[1] == shown.json()


# -- Many at once -----------------------------------------------------------------------------


def count_queries(django_assert_num_queries, call):
    with connection.execute_wrapper(lambda execute, *args: (seen.append(1), execute(*args))[1]):
        seen: list[int] = []
        call()
    return len(seen)


def test_a_batch_costs_as_many_queries_as_a_single_transaction(anchor, django_assert_num_queries):
    def batch_of(size):
        rows = [make_transaction(anchor) for _ in range(size)]
        for row in rows:
            record_payment(row)
        ids = [row.pk for row in rows]
        return (
            count_queries(django_assert_num_queries, match_payments),
            count_queries(django_assert_num_queries, lambda: services.advance(ids)),
        )

    few, many = batch_of(2), batch_of(20)
    assert few == many
    assert sum(many) <= 30


def in_threads(number, work):
    errors = []
    barrier = threading.Barrier(number)

    def run():
        try:
            barrier.wait()
            work()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_credit_and_pay_each_payment_once(anchor):
    rows = [make_transaction(anchor) for _ in range(10)]
    for row in rows:
        record_payment(row)
        record_payment(row)
    assert in_threads(8, sweep_transactions) == []
    sweep_transactions()
    assert Receipt.objects.filter(credited__gt=0).count() == 10
    assert Receipt.objects.filter(outcome="second_payment").count() == 10
    assert Payout.objects.count() == 10
    assert Refund.objects.count() == 10
    assert Event.objects.filter(reason="payment_received").count() == 10
    assert not ReceivedPayment.objects.filter(claimed=False).exists()
    assert_books_balance()


def wait_until_a_session_waits_for_a_lock():
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
            if cursor.fetchone():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.django_db(transaction=True)
def test_who_waited_for_a_transaction_sees_its_payout_as_it_is_now(anchor):
    row = make_transaction(anchor)
    pay(row)
    rail_says(row, "refused", refused_fields={"bank_account_number": "no such account"})
    seen = []

    def look():
        try:
            with transaction.atomic():
                [late] = Transaction.objects.lock_for_change([row.pk])
                seen.append((late.status, late.payout.status))
        finally:
            connections.close_all()

    other = threading.Thread(target=look)
    with transaction.atomic():
        [mine] = Transaction.objects.lock_for_change([row.pk])
        other.start()
        wait_until_a_session_waits_for_a_lock()
        mine.payout.status, mine.payout.next_try_at = "due", timezone.now()
        mine.payout.save()
        mine.status = "pending_receiver"
        mine.save()
    other.join()
    assert seen == [("pending_receiver", "due")]


@pytest.mark.django_db(transaction=True)
def test_one_quote_is_redeemed_once_by_many_requests_at_once(anchor, rate):
    from tests.fixtures.transactions import register_both
    from tests.integration.sep31.test_api import make_quote

    quote = make_quote(anchor)
    terms = {"quote_id": quote["id"], "amount": "100", **register_both(anchor)}
    answers = []
    assert in_threads(12, lambda: answers.append(post_transaction(anchor, **terms))) == []
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 11
    assert Transaction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_crash_in_the_middle_of_advance_leaves_no_half(anchor, monkeypatch):
    row = make_transaction(anchor)
    Transaction.objects.update(callback_url="https://a.example/callback")
    record_payment(row)

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(services, "queue_callbacks", die)
    match_payments()
    with pytest.raises(KeyboardInterrupt):
        services.advance([row.pk])
    row.refresh_from_db()
    assert (row.status, Payout.objects.count()) == ("pending_sender", 0)
    monkeypatch.undo()
    sweep_transactions()
    row.refresh_from_db()
    assert row.status == "pending_receiver"
    assert Callback.objects.count() == 1


def test_matching_without_new_payments_touches_no_transaction(anchor):
    row = make_transaction(anchor)
    with CaptureQueriesContext(connection) as queries:
        assert match_payments() == 0
    assert not [query for query in queries if "sep31_transaction" in query["sql"]]
    assert Transaction.objects.get(pk=row.pk).look_at == row.look_at
