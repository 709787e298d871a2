"""What the rooms above ask of the network: to pay, to try again, and how far the ledger is read."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from stellar_sdk.strkey import StrKey

from kernel.announce import announce
from kernel.assets import AssetName
from kernel.money import MAX_STELLAR_AMOUNT, STELLAR_DECIMALS, fits_decimals
from stellar.models import Cursor, OutgoingPayment
from stellar.signals import outgoing_payment_changed, outgoing_payment_due

_ID_MEMO = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_HASH_MEMO = re.compile(r"[0-9a-f]{64}", re.ASCII)


def ledger_clock(account: str) -> datetime | None:
    """The time up to which every payment to `account` has been recorded, by the ledger's clock.

    A payment in a ledger that closed at or before it is in the database. None before the watcher
    has read anything.
    """
    return Cursor.objects.filter(account=account).values_list("passed_at", flat=True).first()


def create_outgoing_payment(
    *,
    destination: str,
    asset: AssetName,
    amount: Decimal,
    memo_type: str = "none",
    memo: str = "",
) -> OutgoingPayment:
    """Queue a payment from the distribution account, within the caller's database transaction.

    `destination` is a G or M address; `memo` is written as `stellar.models.ReceivedPayment` keeps
    it (id in decimal, hash and return in lower-case hex). Raises `ValueError` for what no
    transaction could carry.
    """
    if not (
        StrKey.is_valid_ed25519_public_key(destination)
        or StrKey.is_valid_med25519_public_key(destination)
    ):
        raise ValueError("destination must be a Stellar account, G... or M...")
    if not asset.is_stellar:
        raise ValueError(f"{asset} is not on Stellar")
    if not (amount.is_finite() and 0 < amount <= MAX_STELLAR_AMOUNT):
        raise ValueError("amount must be positive and no more than the network can carry")
    if not fits_decimals(amount, STELLAR_DECIMALS):
        raise ValueError("amount must have at most 7 decimals")
    _check_memo(memo_type, memo)
    payment = OutgoingPayment.objects.create(
        source_account=settings.DISTRIBUTION_ACCOUNT,
        destination=destination,
        asset=str(asset),
        amount=amount,
        memo_type=memo_type,
        memo=memo,
        next_try_at=timezone.now(),
    )
    announce(outgoing_payment_due, outgoing_payment_id=payment.pk)
    return payment


def _check_memo(memo_type: str, memo: str) -> None:
    allowed = {
        "none": memo == "",
        "id": bool(_ID_MEMO.fullmatch(memo)) and int(memo or 0) < 2**64,
        "text": len(memo.encode(errors="surrogatepass")) <= 28 and "\x00" not in memo,
        "hash": bool(_HASH_MEMO.fullmatch(memo)),
        "return": bool(_HASH_MEMO.fullmatch(memo)),
    }
    if not allowed.get(memo_type, False):
        raise ValueError(f"the memo is not a valid {memo_type} memo")


def retry_outgoing_payment(payment_id: int) -> OutgoingPayment:
    """Let a failed payment be signed anew: FAILED to PENDING. For operators, once the cause is
    mended.

    Its last transaction can't be included any more, and is looked up once more before a new one
    is signed. Raises `ValueError` in any other status, `OutgoingPayment.DoesNotExist`.
    """
    with transaction.atomic():
        # Locked, so that two operators who press at once retry once.
        payment = OutgoingPayment.objects.lock_payment(payment_id)
        if payment.status != OutgoingPayment.Status.FAILED:
            raise ValueError(f"only a failed payment can be retried; this one is {payment.status}")
        payment.status = OutgoingPayment.Status.PENDING
        payment.tries = 0
        payment.next_try_at = timezone.now()
        payment.save()
        announce(outgoing_payment_changed, outgoing_payment_id=payment.pk)
        announce(outgoing_payment_due, outgoing_payment_id=payment.pk)
    return payment
