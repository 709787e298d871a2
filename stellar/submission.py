"""Paying on Stellar: sign and store, submit, record what the ledger says.

The rule that keeps us from paying twice: once signed, a transaction is settled by proof only.

- its hash stands in a closed ledger (paid, or failed for good), or
- another transaction used its sequence number, or
- a snapshot of our account, from after its upper time bound, shows the number unused.

Until one of these holds the same signed transaction is looked up and sent again, never another.
The single exception is a transaction that nobody but this very call could have sent, and that the
network turned away at its first submission for a reason that time doesn't mend.

Times are the ledger's: `valid_until` is measured from, and compared with, ledger close times.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from stellar_sdk import (
    Account,
    HashMemo,
    IdMemo,
    Memo,
    NoneMemo,
    ReturnHashMemo,
    TextMemo,
    TransactionBuilder,
    TransactionEnvelope,
)
from stellar_sdk.exceptions import SdkError

from kernel.announce import announce
from kernel.assets import parse_asset_name
from kernel.money import format_amount
from stellar.models import OutgoingPayment
from stellar.outcomes import explain_codes, is_passing
from stellar.signals import outgoing_payment_changed
from stellar.signing import Signer
from stellar.sources import LedgerSource, Refused, SourceUnavailable, TransactionOutcome

logger = logging.getLogger(__name__)

Status = OutgoingPayment.Status

MAX_TRIES = 10
# While one submitter waits for the network, others leave its payment alone for so long. Should
# two get to it all the same, they send the same transaction.
LEASE = timedelta(seconds=20)
# A sequence number that was used by nothing we can find: when to stop looking.
SEARCH = timedelta(minutes=10)


def submit_due_payments(source: LedgerSource, signer: Signer, *, limit: int = 20) -> int:
    """Settle signed payments, then sign and submit waiting ones, oldest first; how many were sent.

    Stops early when the network doesn't answer; the next sweep goes on from there.
    """
    sent = 0
    try:
        for payment in _lease_signed(limit):
            _settle(payment, source)
        while sent < limit and (claimed := claim_next_payment(source, signer)) is not None:
            sent += 1
            if not _submit(claimed, source, is_first=True):
                break
    except SourceUnavailable as error:
        logger.warning("outgoing payments wait for the network: %s", error)
    return sent


def claim_next_payment(source: LedgerSource, signer: Signer) -> OutgoingPayment | None:
    """Sign the signer's next due payment and store the signed transaction; None if none is due.

    One at a time per account, since each needs the next sequence number: the partial unique index
    decides between submitters that get here together. Raises `SourceUnavailable`.
    """
    now = timezone.now()
    ours = OutgoingPayment.objects.filter(source_account=signer.account)
    payment = ours.due(Status.PENDING, now).first()
    if payment is None or ours.filter(status=Status.SIGNED).exists():
        return None
    if payment.transaction_hash and _is_paid_after_all(payment, source):
        return None
    try:
        signed = _sign_payment(payment, source, signer)
    except (ValueError, SdkError) as error:
        _fail_pending(payment, f"it can't be made into a transaction: {error}")
        return None
    try:
        with transaction.atomic():
            claimed = OutgoingPayment.objects.lock_payment(payment.pk)
            if claimed.status != Status.PENDING or claimed.next_try_at != payment.next_try_at:
                return None
            claimed.status = Status.SIGNED
            claimed.transaction_hash = signed.hash
            claimed.envelope_xdr = signed.envelope_xdr
            claimed.valid_until = signed.valid_until
            claimed.tries += 1
            claimed.next_try_at = now + LEASE
            claimed.save()
    except IntegrityError:
        return None  # another submitter signed one first
    logger.info("outgoing payment %s: signed as %s", claimed.pk, claimed.transaction_hash)
    return claimed


@dataclass(frozen=True, slots=True)
class _Signed:
    hash: str
    envelope_xdr: str
    valid_until: datetime


def _sign_payment(payment: OutgoingPayment, source: LedgerSource, signer: Signer) -> _Signed:
    state = source.fetch_account(signer.account)
    # Whole seconds, as the ledger counts them.
    until = int(state.as_of.closed_at.timestamp()) + settings.OUTGOING_VALID_SECONDS
    # What the network charges is what it needs, not what we bid; so each new try bids more.
    bid = min(settings.MAX_BASE_FEE, source.fetch_base_fee() * 2 ** min(payment.tries, 10))
    envelope = (
        TransactionBuilder(
            Account(signer.account, state.sequence), settings.NETWORK_PASSPHRASE, base_fee=bid
        )
        .append_payment_op(
            payment.destination,
            parse_asset_name(payment.asset).to_stellar(),
            format_amount(payment.amount),
        )
        .add_memo(_build_memo(payment.memo_type, payment.memo))
        .add_time_bounds(0, until)
        .build()
    )
    signer.sign(envelope)
    return _Signed(
        hash=envelope.hash_hex(),
        envelope_xdr=envelope.to_xdr(),
        valid_until=datetime.fromtimestamp(until, tz=UTC),
    )


def _build_memo(memo_type: str, memo: str) -> Memo:
    if memo_type == "id":
        return IdMemo(int(memo))
    if memo_type == "text":
        return TextMemo(memo)
    if memo_type == "hash":
        return HashMemo(memo)
    if memo_type == "return":
        return ReturnHashMemo(memo)
    return NoneMemo()


def _lease_signed(limit: int) -> list[OutgoingPayment]:
    now = timezone.now()
    with transaction.atomic():
        payments = OutgoingPayment.objects.lock_due_signed(now, limit)
        for payment in payments:
            payment.next_try_at = now + LEASE
        OutgoingPayment.objects.bulk_update(payments, ["next_try_at"])
    return payments


def _settle(payment: OutgoingPayment, source: LedgerSource) -> None:
    """Find out what became of a signed payment; send the same transaction again if it may be."""
    assert payment.transaction_hash is not None and payment.valid_until is not None
    outcome = source.find_transaction(payment.transaction_hash)
    if outcome is not None:
        _record_outcome(payment, outcome)
        return
    sequence = _read_sequence(payment.envelope_xdr)
    state = source.fetch_account(payment.source_account)
    if state.sequence >= sequence:
        outcome = source.find_sequence(payment.source_account, sequence)
        if outcome is not None and outcome.hash == payment.transaction_hash:
            _record_outcome(payment, outcome)
        elif outcome is not None:
            _put_back(payment, "another transaction used its sequence number")
        elif state.as_of.closed_at > payment.valid_until + SEARCH:
            # Signing anew could pay twice if the node hides the first; a person can look.
            _fail(
                payment,
                "its sequence number is used, but the node shows no transaction that used it; "
                f"look up {payment.transaction_hash} before a retry",
            )
        else:
            _postpone(payment, "waiting until the ledger shows what used its sequence number")
    elif state.as_of.closed_at > payment.valid_until:
        _put_back(payment, "no ledger took it before its time bounds ended")
    else:
        _submit(payment, source, is_first=False)


def _submit(payment: OutgoingPayment, source: LedgerSource, *, is_first: bool) -> bool:
    """Hand the stored transaction to the network; whether its outcome is known now.

    `is_first`: this process has just signed it, so nobody can have sent it before.
    """
    assert payment.transaction_hash is not None
    try:
        outcome = source.submit(payment.envelope_xdr)
    except SourceUnavailable as error:
        _postpone(payment, f"sent, no answer yet: {error}")
        return False
    except Refused as refused:
        reason = explain_codes(refused.codes)
        found = source.find_transaction(payment.transaction_hash)
        if found is not None:
            _record_outcome(payment, found)
            return True
        if is_first and not is_passing(refused.codes) and _is_lease_ours(payment):
            _fail(payment, reason)
            return True
        _postpone(payment, reason)
        return False
    _record_outcome(payment, outcome)
    return True


def _is_lease_ours(payment: OutgoingPayment) -> bool:
    """Whether nobody took the payment up since we did, so that nobody sent it but us."""
    ours = OutgoingPayment.objects.filter(pk=payment.pk, next_try_at=payment.next_try_at)
    return payment.next_try_at > timezone.now() and ours.exists()


def _read_sequence(envelope_xdr: str) -> int:
    envelope = TransactionEnvelope.from_xdr(envelope_xdr, settings.NETWORK_PASSPHRASE)
    return envelope.transaction.sequence


def _record_outcome(payment: OutgoingPayment, outcome: TransactionOutcome) -> None:
    """Write down what a closed ledger says of the payment's transaction."""
    if outcome.successful:
        _change(
            payment,
            status=Status.CONFIRMED,
            ledger=outcome.ledger.sequence,
            confirmed_at=outcome.ledger.closed_at,
            last_error="",
        )
    elif is_passing(outcome.codes):
        _put_back(payment, explain_codes(outcome.codes))
    else:
        _fail(payment, explain_codes(outcome.codes))


def _put_back(payment: OutgoingPayment, reason: str) -> None:
    """Let a payment be signed anew: it is proven that its transaction paid nothing and never will.

    Its hash stays until the next one replaces it, so that it is looked up one last time.
    """
    if payment.tries >= MAX_TRIES:
        _fail(payment, f"given up after {payment.tries} tries: {reason}")
        return
    delay = min(300, 2**payment.tries) * random.uniform(0.5, 1.0)  # noqa: S311
    _change(
        payment,
        status=Status.PENDING,
        next_try_at=timezone.now() + timedelta(seconds=delay),
        last_error=reason[:300],
    )


def _fail(payment: OutgoingPayment, reason: str) -> None:
    logger.error("outgoing payment %s failed: %s", payment.pk, reason)
    _change(payment, status=Status.FAILED, last_error=reason[:300])


def _postpone(payment: OutgoingPayment, reason: str) -> None:
    delay = timedelta(seconds=random.uniform(1, 3))  # noqa: S311
    _change(payment, next_try_at=timezone.now() + delay, last_error=reason[:300])


def _change(
    payment: OutgoingPayment, *, held: OutgoingPayment.Status = Status.SIGNED, **values: object
) -> None:
    """Write `values` if the payment is still `held` with the transaction that we looked at."""
    with transaction.atomic():
        # Another submitter may have recorded the same outcome, and someone moved on from there.
        current = OutgoingPayment.objects.lock_payment(payment.pk)
        if (current.status, current.transaction_hash) != (held, payment.transaction_hash):
            return
        for name, value in values.items():
            setattr(current, name, value)
        current.save(update_fields=[*values])
        if "status" in values:
            logger.info("outgoing payment %s: %s", current.pk, current.status)
            announce(outgoing_payment_changed, outgoing_payment_id=current.pk)


def _is_paid_after_all(payment: OutgoingPayment, source: LedgerSource) -> bool:
    """A last look at the transaction before this one, however sure we were that it is void."""
    assert payment.transaction_hash is not None
    outcome = source.find_transaction(payment.transaction_hash)
    if outcome is None or not outcome.successful:
        return False
    logger.error("outgoing payment %s was paid by %s after all", payment.pk, outcome.hash)
    _change(
        payment,
        held=Status.PENDING,
        status=Status.CONFIRMED,
        ledger=outcome.ledger.sequence,
        confirmed_at=outcome.ledger.closed_at,
        last_error="",
    )
    return True


def _fail_pending(payment: OutgoingPayment, reason: str) -> None:
    logger.error("outgoing payment %s failed: %s", payment.pk, reason)
    _change(payment, held=Status.PENDING, status=Status.FAILED, last_error=reason[:300])
