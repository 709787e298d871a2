"""From a payment on the ledger to the transaction that it pays. `judge_payment` is pure.

Matching is by memo alone, never by payer (SEP-31, Authentication: "Only the payment transaction's
memo should be used to match incoming payments").
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from kernel.assets import parse_asset_name
from sep1.assets import PaymentPolicy, received_assets
from sep31.machine import Reason, Status
from sep31.models import Event, Receipt, Refund, Transaction
from sep31.refunds import create_refunds
from stellar.models import ReceivedPayment

Outcome = Receipt.Outcome

_NOTES = {
    Outcome.UNDERPAID: Reason.PAYMENT_UNDERPAID,
    Outcome.OVERPAID: Reason.PAYMENT_OVERPAID,
    Outcome.LATE: Reason.PAYMENT_LATE,
    Outcome.WRONG_ASSET: Reason.PAYMENT_WRONG_ASSET,
    Outcome.SECOND_PAYMENT: Reason.PAYMENT_SECOND,
    Outcome.NOT_READY: Reason.PAYMENT_NOT_READY,
}


_NO_REST, _INBOX = Receipt.Rest.NONE, Receipt.Rest.INBOX

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judgement:
    """What becomes of one payment; `credited` plus the rest is its whole amount."""

    outcome: Receipt.Outcome
    credited: Decimal = Decimal(0)


def judge_payment(
    payment: ReceivedPayment, target: Transaction | None, *, paid_already: bool
) -> Judgement:
    """Hold what arrived against what was agreed.

    The asset must be equal in code and issuer. A payment in a ledger that closed at the deadline
    is late (SEP-31, Receiving Anchor Asset Conversion: "must be earlier than the quote's
    expiration").
    """
    if target is None:
        return Judgement(Outcome.UNKNOWN_MEMO)
    if payment.asset != target.amount_in_asset:
        return Judgement(Outcome.WRONG_ASSET)
    if paid_already:
        return Judgement(Outcome.SECOND_PAYMENT)
    if payment.closed_at >= target.deadline:
        return Judgement(Outcome.LATE)
    if target.status != Status.PENDING_SENDER:
        return Judgement(Outcome.NOT_READY)
    if payment.amount < target.amount_in:
        return Judgement(Outcome.UNDERPAID)
    if payment.amount > target.amount_in:
        return Judgement(Outcome.OVERPAID, credited=target.amount_in)
    return Judgement(Outcome.AGREED, credited=target.amount_in)


def memo_of(payment: ReceivedPayment) -> tuple[str, str, str]:
    """(account, memo type, memo) that the payment names. A muxed destination's id counts as an
    id memo where the transaction itself has no memo."""
    if payment.memo_type == "none" and payment.muxed_id is not None:
        return payment.account, "id", format(payment.muxed_id, "f")
    return payment.account, payment.memo_type, payment.memo


def match_payments(limit: int = 500) -> int:
    """Give each recorded payment that has none its receipt; returns how many got one.

    One database transaction: receipts, refunds of what was not as agreed, and the mark on the
    payments. Runs any number of times at once: payments are claimed with SKIP LOCKED, and a
    receipt's primary key is its payment.
    """
    with transaction.atomic():
        payments = ReceivedPayment.objects.lock_unclaimed(limit)
        if not payments:
            return 0
        try:
            with transaction.atomic():
                _match(payments)
            return len(payments)
        except Exception as error:
            logger.error("a batch could not be matched (%s); one by one", type(error).__name__)
        for payment in payments:
            _match_or_leave_to_operator(payment)
    return len(payments)


def _match_or_leave_to_operator(payment: ReceivedPayment) -> None:
    """One payment that can't be sent back must not hold up the others."""
    try:
        with transaction.atomic():
            _match([payment])
    except OperationalError:
        raise  # the database's trouble, not the payment's: the next sweep tries again
    except Exception as error:
        logger.error("payment %s goes to the inbox (%s)", payment.pk, type(error).__name__)
        with transaction.atomic():
            _match([payment], refund=False)


def _match(payments: list[ReceivedPayment], *, refund: bool = True) -> None:
    targets = _lock_targets(payments)
    paid = set(
        Receipt.objects.filter(
            transaction__in=[target.pk for target in targets.values()], credited__gt=0
        ).values_list("transaction_id", flat=True)
    )
    receipts = []
    for payment in payments:
        target = targets.get(memo_of(payment))
        judgement = judge_payment(
            payment, target, paid_already=target is not None and target.pk in paid
        )
        if judgement.credited and target is not None:
            paid.add(target.pk)
        receipts.append(_make_receipt(payment, target, judgement, refund=refund))
    _store(receipts, targets.values())


def _lock_targets(payments: list[ReceivedPayment]) -> dict[tuple[str, str, str], Transaction]:
    named = Q()
    for account, memo_type in {memo_of(payment)[:2] for payment in payments}:
        memos = [m for a, t, m in map(memo_of, payments) if (a, t) == (account, memo_type)]
        named |= Q(stellar_account=account, memo_type=memo_type, memo__in=memos)
    ids = Transaction.objects.filter(named).values_list("pk", flat=True)
    return {
        (target.stellar_account, target.memo_type, target.memo): target
        for target in Transaction.objects.lock_for_change(ids)
    }


def _make_receipt(
    payment: ReceivedPayment, target: Transaction | None, judgement: Judgement, *, refund: bool
) -> Receipt:
    uncredited = payment.amount - judgement.credited
    rest = _NO_REST
    if uncredited:
        rest = _fate_of_rest(payment, target, judgement.outcome) if refund else _INBOX
    return Receipt(
        payment=payment,
        transaction=target,
        outcome=judgement.outcome,
        credited=judgement.credited,
        uncredited=uncredited,
        rest=rest,
    )


def _fate_of_rest(
    payment: ReceivedPayment, target: Transaction | None, outcome: Receipt.Outcome
) -> Receipt.Rest:
    # What nobody announced waits for a person: it may be the treasury's own funding. A merged
    # account is gone, so there is nobody to send it back to.
    if target is None or payment.operation_type == "account_merge":
        return _INBOX
    asset = received_assets().get(parse_asset_name(target.amount_in_asset))
    return Receipt.Rest(_policy_for(outcome, asset.policy)) if asset else _INBOX


def _policy_for(outcome: Receipt.Outcome, policy: PaymentPolicy) -> str:
    return {
        Outcome.UNDERPAID: policy.underpaid,
        Outcome.OVERPAID: policy.overpaid,
        Outcome.LATE: policy.late,
    }.get(outcome, policy.not_as_agreed)


def _store(receipts: list[Receipt], targets: Iterable[Transaction]) -> None:
    Receipt.objects.bulk_create(receipts)
    create_refunds(
        [
            (receipt, Refund.Part.UNCREDITED, receipt.outcome, "landfall")
            for receipt in receipts
            if receipt.rest == Receipt.Rest.REFUND
        ]
    )
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            transaction=receipt.transaction,
            from_status=receipt.transaction.status,
            to_status=receipt.transaction.status,
            reason=_NOTES[Outcome(receipt.outcome)],
            at=now,
        )
        for receipt in receipts
        if receipt.transaction is not None and receipt.outcome in _NOTES
    )
    _tell_who_still_waits(receipts)
    ReceivedPayment.objects.filter(pk__in=[receipt.payment_id for receipt in receipts]).update(
        claimed=True
    )
    touched = [target.pk for target in targets]
    # The sweep that matches goes on to advance what is due.
    Transaction.objects.filter(pk__in=touched).update(look_at=now)


def _tell_who_still_waits(receipts: list[Receipt]) -> None:
    """Where a payment was not taken, `status_message` says so until something else happens."""
    for receipt in receipts:
        note = _NOTES.get(Outcome(receipt.outcome))
        if receipt.transaction is not None and note and not receipt.credited:
            Transaction.objects.filter(
                pk=receipt.transaction.pk, status__in=[Status.PENDING_SENDER, Status.EXPIRED]
            ).update(reason=note)
