"""Outgoing payments against a Horizon that loses answers (`stellar.submission`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from stellar_sdk import (
    HashMemo,
    IdMemo,
    Memo,
    NoneMemo,
    ReturnHashMemo,
    TextMemo,
    TransactionEnvelope,
)

from kernel.assets import AssetName, stellar_asset_name
from stellar import submission
from stellar.models import OutgoingPayment
from stellar.services import create_outgoing_payment, retry_outgoing_payment
from stellar.signals import outgoing_payment_changed
from stellar.signing import SecretKeySigner, Signer, SigningUnavailable
from stellar.sources import HorizonSource
from stellar.submission import claim_next_payment, submit_due_payments
from tests.fixtures.horizon import OURS, PAYER, FakeHorizon, close_time, include, refuse

pytestmark = pytest.mark.django_db

Status = OutgoingPayment.Status
XLM = stellar_asset_name("native")
Answer = tuple[int, dict[str, Any]]
TIMEOUT: Answer = (504, {"title": "Timeout", "status": 504})


def pay(**changes: Any) -> OutgoingPayment:
    """Queue a refund of 5 XLM."""
    wanted: dict[str, Any] = {"destination": PAYER, "asset": XLM, "amount": Decimal(5)} | changes
    return create_outgoing_payment(**wanted)


def make_due() -> None:
    """Let the time pass for which payments wait."""
    OutgoingPayment.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def sweep(source: HorizonSource, signer: Signer) -> None:
    make_due()
    submit_due_payments(source, signer)


def paid(horizon: FakeHorizon) -> int:
    """How many payments the ledger shows."""
    return sum(found["successful"] for found in horizon.transactions.values())


def lose_answer(horizon: FakeHorizon, envelope_xdr: str) -> Answer:
    """Take the transaction in, and answer that nobody knows."""
    include(horizon, envelope_xdr)
    return TIMEOUT


def fail_on_ledger(horizon: FakeHorizon, envelope_xdr: str) -> Answer:
    """Take the transaction into a ledger, in which it fails and uses its sequence number."""
    include(horizon, envelope_xdr)
    for found in horizon.transactions.values():
        # PAYMENT_NO_DESTINATION inside txFAILED.
        found["successful"] = False
        found["result_xdr"] = "AAAAAAAAAGT/////AAAAAQAAAAAAAAAB////+wAAAAA="
    return refuse("tx_failed", "op_no_destination")


def envelope_of(payment: OutgoingPayment, settings: Settings) -> TransactionEnvelope:
    return TransactionEnvelope.from_xdr(payment.envelope_xdr, settings.NETWORK_PASSPHRASE)


def test_a_payment_is_signed_stored_submitted_and_confirmed(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    assert submit_due_payments(source, signer) == 1
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED
    assert (payment.ledger, payment.confirmed_at) == (21, close_time(21))
    assert payment.transaction_hash in horizon.transactions and paid(horizon) == 1


def test_the_transaction_is_stored_before_it_leaves(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    claimed = claim_next_payment(source, signer)
    assert claimed is not None and claimed.pk == payment.pk
    payment.refresh_from_db()
    assert payment.status == Status.SIGNED
    assert payment.envelope_xdr and payment.transaction_hash and payment.valid_until
    assert horizon.submitted == []


def test_several_payments_go_out_one_after_another(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    for _ in range(4):
        pay()
    assert submit_due_payments(source, signer) == 4
    assert OutgoingPayment.objects.filter(status=Status.CONFIRMED).count() == 4
    assert paid(horizon) == 4


@pytest.mark.parametrize(
    ("memo_type", "memo", "expected"),
    [
        ("none", "", NoneMemo()),
        ("id", "18446744073709551615", IdMemo(2**64 - 1)),
        ("text", "São Tomé", TextMemo("São Tomé")),
        ("hash", "ab" * 32, HashMemo("ab" * 32)),
        ("return", "cd" * 32, ReturnHashMemo("cd" * 32)),
    ],
)
def test_each_memo_type_reaches_the_ledger(
    source: HorizonSource,
    signer: SecretKeySigner,
    settings: Settings,
    memo_type: str,
    memo: str,
    expected: Memo,
) -> None:
    pay(memo_type=memo_type, memo=memo)
    claimed = claim_next_payment(source, signer)
    assert claimed is not None
    assert envelope_of(claimed, settings).transaction.memo == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": "nobody"},
        {"destination": OURS[:-1] + "A"},
        {"asset": AssetName("iso4217", "USD")},
        {"amount": Decimal(0)},
        {"amount": Decimal("-1")},
        {"amount": Decimal("NaN")},
        {"amount": Decimal("0.00000001")},
        {"amount": Decimal("922337203685.4775808")},
        {"memo_type": "id", "memo": ""},
        {"memo_type": "id", "memo": "١"},
        {"memo_type": "id", "memo": str(2**64)},
        {"memo_type": "text", "memo": "é" * 15},
        {"memo_type": "hash", "memo": "zz" * 32},
        {"memo_type": "none", "memo": "7"},
        {"memo_type": "bytes", "memo": "ff"},
    ],
)
def test_what_no_transaction_could_carry_is_refused_at_once(
    horizon: FakeHorizon, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"must|is not"):
        pay(**changes)
    assert not OutgoingPayment.objects.exists()


def test_time_bounds_are_measured_from_the_ledgers_clock(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner, settings: Settings
) -> None:
    settings.OUTGOING_VALID_SECONDS = 120
    pay()
    claimed = claim_next_payment(source, signer)
    assert claimed is not None
    assert claimed.valid_until == close_time(20) + timedelta(seconds=120)
    bounds = envelope_of(claimed, settings).transaction.preconditions
    assert bounds is not None and bounds.time_bounds is not None
    assert bounds.time_bounds.max_time == claimed.valid_until.timestamp()


def test_the_fee_never_exceeds_what_we_are_willing_to_bid(
    source: HorizonSource, signer: SecretKeySigner, settings: Settings
) -> None:
    settings.MAX_BASE_FEE = 150
    OutgoingPayment.objects.filter(pk=pay().pk).update(tries=9)
    claimed = claim_next_payment(source, signer)
    assert claimed is not None
    assert envelope_of(claimed, settings).transaction.fee == 150


# -- Lost answers and crashes -----------------------------------------------------------------


def test_a_timeout_after_inclusion_is_found_by_hash_and_paid_once(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lose_answer
    submit_due_payments(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.SIGNED and "no answer" in payment.last_error
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and payment.ledger == 21
    assert len(horizon.submitted) == 1 and paid(horizon) == 1


def test_a_timeout_without_inclusion_sends_the_same_transaction_again(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lambda *_: TIMEOUT
    submit_due_payments(source, signer)
    horizon.on_submit = include
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED
    assert len(set(horizon.submitted)) == 1 and paid(horizon) == 1


def test_a_crash_between_signing_and_submitting_sends_what_was_signed(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    claimed = claim_next_payment(source, signer)  # and here the process dies
    assert claimed is not None
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED
    assert horizon.submitted == [claimed.envelope_xdr]


def test_a_crash_after_submitting_is_found_by_hash(
    horizon: FakeHorizon,
    source: HorizonSource,
    signer: SecretKeySigner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payment = pay()

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(submission, "_record_outcome", crash)
        submit_due_payments(source, signer)
    assert paid(horizon) == 1
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED
    assert len(horizon.submitted) == 1 and paid(horizon) == 1


def test_another_submitter_leaves_a_payment_alone_that_is_on_its_way(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    pay()
    claim_next_payment(source, signer)
    assert submit_due_payments(source, signer) == 0
    assert horizon.submitted == []


@pytest.mark.django_db(transaction=True)
def test_two_submitters_at_once_pay_each_payment_once(
    horizon: FakeHorizon, signer: SecretKeySigner
) -> None:
    payments = [pay() for _ in range(5)]
    meet = threading.Barrier(2, timeout=5)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with HorizonSource() as source:
                meet.wait()
                for _ in range(8):
                    submit_due_payments(source, signer)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with HorizonSource() as source:
        for _ in range(10):
            sweep(source, signer)
    assert paid(horizon) == len(payments)
    assert set(OutgoingPayment.objects.values_list("status", flat=True)) == {Status.CONFIRMED}


# -- Signing anew -----------------------------------------------------------------------------


def test_a_transaction_is_replaced_only_once_a_ledger_closed_after_its_time_bounds(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lambda *_: TIMEOUT
    submit_due_payments(source, signer)
    first = OutgoingPayment.objects.get().transaction_hash

    horizon.latest = 44  # 120 seconds after ledger 20: the last one that could take it
    sweep(source, signer)
    assert OutgoingPayment.objects.get().transaction_hash == first

    horizon.latest = 45
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.PENDING and "time bounds" in payment.last_error

    horizon.on_submit = include
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and payment.transaction_hash != first
    assert paid(horizon) == 1


def test_our_own_clock_does_not_end_a_transactions_time(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    """The fake ledger's times are far in the past for our clock; only its own count."""
    payment = pay()
    horizon.on_submit = lambda *_: TIMEOUT
    submit_due_payments(source, signer)
    payment.refresh_from_db()
    assert payment.valid_until is not None and payment.valid_until < timezone.now()
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.SIGNED


def test_a_node_that_hides_the_inclusion_never_makes_us_pay_twice(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lose_answer
    submit_due_payments(source, signer)
    hidden, horizon.transactions = horizon.transactions, {}
    horizon.latest = 60  # long after its time bounds
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.SIGNED
    horizon.transactions = hidden
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and paid(horizon) == 1


def test_an_inclusion_that_only_the_accounts_history_shows_is_found(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lose_answer
    horizon.hides_hashes = True
    submit_due_payments(source, signer)
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and paid(horizon) == 1


def test_a_payment_that_another_submitter_made_while_we_signed_it_is_not_made_again(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()

    class Slow(SecretKeySigner):
        def sign(self, envelope: TransactionEnvelope) -> None:
            super().sign(envelope)
            submit_due_payments(source, signer)

    assert claim_next_payment(source, Slow()) is None
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED
    sweep(source, signer)
    assert paid(horizon) == 1


def test_an_inclusion_that_stays_hidden_ends_with_an_operator_and_not_with_a_second_payment(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lose_answer
    submit_due_payments(source, signer)
    hidden, horizon.transactions = horizon.transactions, {}
    horizon.latest = 500
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.FAILED and "look up" in payment.last_error
    # And if the operator retries without looking, the transaction is looked up once more.
    horizon.transactions = hidden
    retry_outgoing_payment(payment.pk)
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED
    assert len(horizon.submitted) == 1


def test_a_sequence_number_that_another_transaction_used_means_signing_anew(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    claimed = claim_next_payment(source, signer)
    assert claimed is not None
    horizon.sequence += 1
    horizon.transactions["ff" * 32] = {
        "hash": "ff" * 32,
        "ledger": 21,
        "created_at": "2026-11-01T12:01:45Z",
        "successful": False,
        "result_xdr": "",
        "source_account": OURS,
        "source_account_sequence": str(horizon.sequence),
        "paging_token": "1",
    }
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status in (Status.PENDING, Status.CONFIRMED)
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and paid(horizon) == 1


def test_a_refusal_that_time_mends_is_not_final_while_the_transaction_may_be_included(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lambda *_: refuse("tx_insufficient_fee")
    submit_due_payments(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.SIGNED and "fee is too low" in payment.last_error
    first = payment.transaction_hash
    horizon.latest = 50
    sweep(source, signer)
    horizon.on_submit = include
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and payment.transaction_hash != first


def test_a_bad_sequence_number_that_hides_our_own_success_is_seen_through(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()

    def include_and_refuse(horizon: FakeHorizon, envelope_xdr: str) -> Answer:
        include(horizon, envelope_xdr)
        return refuse("tx_bad_seq")

    horizon.on_submit = include_and_refuse
    submit_due_payments(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and paid(horizon) == 1


def test_it_is_not_tried_for_ever(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lambda *_: TIMEOUT
    for _ in range(submission.MAX_TRIES):
        sweep(source, signer)
        horizon.latest += 50
        sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.FAILED and "given up" in payment.last_error


# -- Refusals for good ------------------------------------------------------------------------


def test_a_payment_that_failed_in_a_ledger_says_why_in_plain_words(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = fail_on_ledger
    submit_due_payments(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.FAILED
    assert "the destination account does not exist" in payment.last_error


def test_a_payment_turned_away_at_its_first_submission_fails_at_once(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lambda *_: refuse("tx_failed", "op_no_trust")
    submit_due_payments(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.FAILED and "no trustline" in payment.last_error


def test_a_refusal_after_an_earlier_submission_is_not_believed_without_proof(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.on_submit = lambda *_: TIMEOUT
    submit_due_payments(source, signer)
    horizon.on_submit = lambda *_: refuse("tx_failed", "op_no_trust")
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.SIGNED


def test_one_payment_that_fails_does_not_hold_up_the_next(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    failing, fine = pay(), pay(amount=Decimal(6))

    def refuse_first(horizon: FakeHorizon, envelope_xdr: str) -> Answer:
        if len(horizon.submitted) == 1:
            return refuse("tx_failed", "op_line_full")
        return include(horizon, envelope_xdr)

    horizon.on_submit = refuse_first
    submit_due_payments(source, signer)
    failing.refresh_from_db()
    fine.refresh_from_db()
    assert (failing.status, fine.status) == (Status.FAILED, Status.CONFIRMED)


def test_an_operator_may_retry_a_failed_payment_and_only_that(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    with pytest.raises(ValueError, match="only a failed payment"):
        retry_outgoing_payment(payment.pk)
    horizon.on_submit = fail_on_ledger
    submit_due_payments(source, signer)
    retry_outgoing_payment(payment.pk)
    horizon.on_submit = include
    sweep(source, signer)
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED and paid(horizon) == 1


def test_every_change_is_announced(
    horizon: FakeHorizon,
    source: HorizonSource,
    signer: SecretKeySigner,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    heard: list[object] = []

    def listen(**facts: object) -> None:
        heard.append(facts["outgoing_payment_id"])

    outgoing_payment_changed.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            payment = pay()
            submit_due_payments(source, signer)
    finally:
        outgoing_payment_changed.disconnect(listen)
    assert heard == [payment.pk]


def test_a_network_that_does_not_answer_leaves_everything_waiting(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    payment = pay()
    horizon.broken = True
    assert submit_due_payments(source, signer) == 0
    payment.refresh_from_db()
    assert payment.status == Status.PENDING


def test_the_network_is_never_called_within_a_transaction(
    horizon: FakeHorizon, source: HorizonSource, signer: SecretKeySigner
) -> None:
    outer = len(connection.savepoint_ids)
    depths: list[int] = []

    def note(call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            depths.append(len(connection.savepoint_ids))
            return call(*arguments)

        return noted

    for name in ("fetch_account", "fetch_base_fee", "submit", "find_transaction"):
        setattr(source, name, note(getattr(source, name)))
    pay()
    submit_due_payments(source, signer)
    assert set(depths) == {outer} and len(depths) >= 3


def test_a_payment_whose_caller_rolls_back_was_never_queued(horizon: FakeHorizon) -> None:
    with transaction.atomic():
        pay()
        transaction.set_rollback(True)
    assert not OutgoingPayment.objects.exists()


def test_without_a_secret_nothing_is_signed_and_the_error_says_what_to_set(
    settings: Settings,
) -> None:
    settings.DISTRIBUTION_SECRET = ""
    with pytest.raises(SigningUnavailable, match="DISTRIBUTION_SECRET"):
        SecretKeySigner()
