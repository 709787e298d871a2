"""Confirmation codes for fields that a customer must prove to be theirs (SEP-12, "Verification").

`[verification]` of the anchor's configuration names the fields, and who sends the codes of each. A
code leaves in three steps: claimed and committed, sent with no lock held, recorded.
"""

from __future__ import annotations

import hmac
import logging
import random
import secrets
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from kernel.announce import announce
from kernel.errors import BadRequest
from kernel.rows import delete_in_batches
from sep12.changes import changing
from sep12.models import Customer, CustomerField, SentCode, Verification
from sep12.senders import load_sender
from sep12.signals import codes_due
from sep12.status import ACCEPTED, VERIFICATION_REQUIRED
from sep12.sweeping import try_each

logger = logging.getLogger(__name__)

CODE_DIGITS = 6
SEND_SECONDS = 10.0  # what a sender may take
CLAIM = timedelta(seconds=2 * SEND_SECONDS + 5)
MAX_SEND_TRIES = 5
FIRST_RETRY_SECONDS = 2.0
LIMIT_WINDOW = timedelta(hours=1)
PURGE_BATCH = 1000
_SENDS_LOCK = 0x5E9_12  # of PostgreSQL's advisory locks; any number that nobody else uses

_SWEEPING = threading.Lock()


def fields_to_verify() -> frozenset[str]:
    """SEP-9 names of the fields that start as VERIFICATION_REQUIRED."""
    return frozenset(settings.ANCHOR.get("verification", {}))


# -- Codes that are asked for -----------------------------------------------------------------
def start_verifications(customer: Customer, values: Mapping[str, str]) -> None:
    """Make a code for each of these unverified values that has none which can still be answered.

    In the transaction of PUT, with the customer's lock. The same value again gets a new code only
    once the last one expired, was tried wrongly too often, or could not be sent.
    """
    now = timezone.now()
    held = {row.name: row for row in Verification.objects.filter(customer=customer)}
    new = {
        name: digest
        for name, digest in ((name, digest_of(value)) for name, value in values.items())
        if name not in held or _is_spent(held[name], now) or held[name].value_digest != digest
    }
    if not new:
        return
    # Not changed but replaced: the id is the key of this one code at its sender.
    Verification.objects.filter(pk__in=[held[name].pk for name in new if name in held]).delete()
    rows = Verification.objects.bulk_create(
        Verification(customer=customer, name=name, code=new_code(), value_digest=digest, due_at=now)
        for name, digest in new.items()
    )
    announce(codes_due, verification_ids=[row.pk for row in rows])


def new_code() -> str:
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


def digest_of(value: str) -> str:
    """What tells one value from another without saying what it is; hex, keyed by SECRET_KEY."""
    return salted_hmac("sep12.verification", value, algorithm="sha256").hexdigest()


def _is_spent(row: Verification, now: datetime) -> bool:
    """Whether no answer to this code can be right any more."""
    if row.wrong_tries >= settings.VERIFICATION_MAX_TRIES:
        return True
    return row.due_at is None and (row.expires_at is None or row.expires_at <= now)


# -- Codes that come back ---------------------------------------------------------------------
def check_codes(customer: Customer, codes: Mapping[str, str]) -> frozenset[str]:
    """Verify the fields whose codes are right, all or none of them; their names.

    Raises `BadRequest` naming the first code that is not right. Wrong tries are committed here, so
    call it outside of any transaction. A code for a field that was verified already is fine, for
    the first answer may have been lost.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        # The lock makes tries that come at once follow each other, so that all are counted.
        locked = Customer.objects.lock_present(pk=customer.pk)
        statuses: dict[str, str] = {}
        if locked is not None:
            rows = CustomerField.objects.filter(customer=locked, name__in=codes)
            statuses = dict(rows.values_list("name", "status"))
        for name in codes:
            _check_waits(name, statuses.get(name))
        pending = [name for name in codes if statuses[name] == VERIFICATION_REQUIRED]
        held = {
            row.name: row
            for row in Verification.objects.lock_all(customer=customer, name__in=pending)
        }
        refusals = [_try_code(name, held.get(name), codes[name], now) for name in pending]
        refusal = next((one for one in refusals if one), None)
        if refusal is None and pending:
            # In the same transaction: a PUT in between could bring a value that nobody proved.
            with changing(customer.pk):
                CustomerField.objects.filter(
                    customer=customer, name__in=pending, status=VERIFICATION_REQUIRED
                ).update(status=ACCEPTED, error="")
                Verification.objects.filter(pk__in=[row.pk for row in held.values()]).delete()
    if refusal is not None:
        raise BadRequest(refusal)
    return frozenset(codes)


def _check_waits(name: str, status: str | None) -> None:
    was_verified = status == ACCEPTED and name in fields_to_verify()
    if status != VERIFICATION_REQUIRED and not was_verified:
        raise BadRequest(f"{name}_verification: {name} is not waiting for verification")


def _try_code(name: str, row: Verification | None, code: str, now: datetime) -> str | None:
    """Why `code` is refused, None if it is right; a wrong one is counted."""
    again = f"PUT {name} again to get a new one"
    if row is None:
        return f"{name}_verification: there is no code for {name}; {again}"
    if row.wrong_tries >= settings.VERIFICATION_MAX_TRIES:
        return f"{name}_verification: there were too many wrong codes; {again}"
    if row.due_at is None and row.expires_at is None:
        return f"{name}_verification: the code could not be sent; {again}"
    if row.expires_at is not None and row.expires_at <= now:
        return f"{name}_verification: the code has expired; {again}"
    if hmac.compare_digest(code.strip().encode(), str(row.code).encode()):
        return None
    row.wrong_tries += 1
    row.save(update_fields=["wrong_tries"])
    left = settings.VERIFICATION_MAX_TRIES - row.wrong_tries
    return f"{name}_verification is not the code that was sent; " + (
        f"{left} more may be tried" if left else again
    )


# -- Sending ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Claim:
    """One try to send a code, which this worker alone may make. Personal data: never shown."""

    verification_id: uuid.UUID
    customer_id: uuid.UUID
    name: str
    send_tries: int
    value: str = field(repr=False)
    code: str = field(repr=False)


def send_code(verification_id: uuid.UUID) -> bool:
    """Send a code if it is due and nobody else has it; False if its sender failed."""
    claim = _claim(verification_id)
    if claim is None:
        return True
    error = _send(claim)
    _record(claim, error)
    return not error


def send_new_code(verification_id: uuid.UUID) -> None:
    """`send_code` for one that was just asked for, unless a sender is failing: the sweep goes on
    trying, and new codes for a dead gateway must not hold every worker."""
    if not Verification.objects.filter(due_at__isnull=False, send_tries__gt=0).exists():
        send_code(verification_id)


def send_due_codes(limit: int = 100) -> int:
    """Send up to `limit` codes, until one fails; how many were looked at."""
    due = Verification.objects.due(timezone.now()).values_list("pk", flat=True)[:limit]
    return try_each(due, send_code, _SWEEPING)


def purge_sent_codes() -> int:
    """Forget what no limit counts any more; how many rows."""
    old = SentCode.objects.filter(sent_at__lte=timezone.now() - LIMIT_WINDOW)
    return delete_in_batches(old, oldest="sent_at", batch=PURGE_BATCH)


def _claim(verification_id: uuid.UUID) -> Claim | None:
    now = timezone.now()
    with transaction.atomic(durable=True):
        owner = Verification.objects.filter(pk=verification_id).values_list("customer_id").first()
        customer = owner and Customer.objects.lock_present(pk=owner[0])
        if not customer:
            return None
        rows = Verification.objects.lock_all(pk=verification_id, due_at__lte=now)
        value = CustomerField.objects.filter(customer=customer, name__in=[r.name for r in rows])
        held = value.exclude(value=None).first()
        if not rows or held is None:
            return None
        [row] = rows
        if row.send_tries == 0 and not _count_send(customer, row, now):
            row.due_at = None
            row.save(update_fields=["due_at"])
            logger.warning("code %s is not sent: too many in an hour", row.pk)
            return None
        row.send_tries += 1
        row.due_at = now + CLAIM
        # From now on somebody may know it.
        row.expires_at = now + timedelta(seconds=settings.VERIFICATION_CODE_SECONDS)
        row.save(update_fields=["send_tries", "due_at", "expires_at"])
    return Claim(row.pk, customer.pk, row.name, row.send_tries, str(held.value), str(row.code))


def _count_send(customer: Customer, row: Verification, now: datetime) -> bool:
    """Note that a code leaves; False if that would be one too many within the last hour, for this
    field, for this value whoever's it is, or for the sending anchor."""
    with connection.cursor() as cursor:
        # Else codes that are claimed at once would not count each other.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SENDS_LOCK])
    recent = SentCode.objects.filter(sent_at__gt=now - LIMIT_WINDOW)
    each = settings.VERIFICATION_CODES_PER_HOUR
    if (
        recent.filter(customer=customer, name=row.name).count() >= each
        or recent.filter(value_digest=row.value_digest).count() >= each
        or recent.filter(sending_anchor_id=customer.sending_anchor_id).count()
        >= settings.VERIFICATION_CODES_PER_ANCHOR_PER_HOUR
    ):
        return False
    SentCode.objects.create(
        sending_anchor_id=customer.sending_anchor_id,
        customer=customer,
        name=row.name,
        value_digest=row.value_digest,
        sent_at=now,
    )
    return True


def _send(claim: Claim) -> str:
    """Call the sender, with no lock and no open transaction; what went wrong, or ""."""
    try:
        sender = load_sender(claim.name)
        sender.send(claim.name, claim.value, claim.code, key=str(claim.verification_id))
    except Exception as error:
        # Whatever a sender raises; its class alone, for its text may quote what it was given.
        return type(error).__name__
    return ""


def _record(claim: Claim, error: str) -> None:
    now = timezone.now()
    with transaction.atomic(durable=True):
        if Customer.objects.lock_present(pk=claim.customer_id) is None:
            return
        rows = Verification.objects.lock_all(pk=claim.verification_id, send_tries=claim.send_tries)
        for row in rows:
            if not error:
                row.due_at = None
                row.expires_at = now + timedelta(seconds=settings.VERIFICATION_CODE_SECONDS)
            elif row.send_tries >= MAX_SEND_TRIES:
                row.due_at = row.expires_at = None
            else:
                longest = FIRST_RETRY_SECONDS * 2**row.send_tries
                spread = random.uniform(0.5, 1)  # noqa: S311 - spreads load only
                row.due_at = now + timedelta(seconds=longest * spread)
            row.save(update_fields=["due_at", "expires_at"])
    if error:
        logger.warning("code %s, try %s: %s", claim.verification_id, claim.send_tries, error)
