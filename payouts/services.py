"""Create payouts and send them: claim and commit, call the rail, record its answer."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from kernel.announce import announce
from kernel.assets import AssetName, parse_asset_name
from kernel.money import fits_decimals
from kernel.wording import MAX_MESSAGE, clean_message
from payouts.machine import decide_after
from payouts.models import Attempt, Payout
from payouts.rails.base import Answer, Order, Outcome, Rail
from payouts.rails.registry import find_rail_path, load_rail
from payouts.signals import payout_changed, payout_due
from payouts.wording import clean_reference

logger = logging.getLogger(__name__)

SWEEP_LIMIT_SECONDS = 20.0


class PayoutInFlight(Exception):
    """The payout may have been paid, or may be yet: it can't be cancelled."""


class PayoutDiffers(Exception):
    """There is a payout for this reference already, of another amount, asset or method."""


@dataclass(frozen=True)
class Claim:
    """One payout that this worker alone may take to the rail, until the claim lapses."""

    payout_id: uuid.UUID
    attempt_id: uuid.UUID
    rail: Rail
    order: Order
    attempt_status: str
    called_before: bool


@dataclass(frozen=True)
class PayoutOrder:
    """A payout to be made. `reference` names what it is for; the same one makes one payout.

    Of `details` (SEP-9 fields) only those are kept that the rail knows; if some are missing, the
    payout ends as REFUSED and names them.
    """

    reference: str
    asset: AssetName
    amount: Decimal
    method: str
    details: dict[str, str]


def create_payout(
    *, reference: str, asset: AssetName, amount: Decimal, method: str, details: dict[str, str]
) -> Payout:
    """Make one payout; see `create_payouts`."""
    [payout] = create_payouts([PayoutOrder(reference, asset, amount, method, details)])
    return payout


def create_payouts(orders: Sequence[PayoutOrder]) -> list[Payout]:
    """The payouts of these orders, in their order, made now or found: asking twice makes one.

    Belongs in the caller's database transaction; the number of queries does not grow with the
    orders. Raises `UnknownMethod` if no rail delivers by a method, `PayoutDiffers`, and
    `ValueError` for an amount that the currency can't express or an asset that no rail could carry.
    """
    wanted = {order.reference: _make_payout(order) for order in orders}
    # The unique reference decides between two who ask at once; the loser waits, then finds it.
    # In the order of the references, or two batches could wait for each other.
    Payout.objects.bulk_create(
        sorted(wanted.values(), key=lambda payout: payout.reference), ignore_conflicts=True
    )
    found = {payout.reference: payout for payout in Payout.objects.filter(reference__in=wanted)}
    for order in orders:
        payout = found[order.reference]
        is_same = (payout.asset, payout.amount, payout.method) == (
            str(order.asset),
            order.amount,
            order.method,
        )
        if not is_same:
            raise PayoutDiffers(f"payout {payout.pk} for {order.reference} is of something else")
    for reference, payout in found.items():
        if payout.pk == wanted[reference].pk:
            announce(payout_due, payout_id=payout.pk)
    return [found[order.reference] for order in orders]


def _make_payout(order: PayoutOrder) -> Payout:
    asset, amount = order.asset, order.amount
    if asset.is_stellar or amount <= 0 or not fits_decimals(amount, asset.decimals):
        raise ValueError(f"{amount} {asset} can't be paid out")
    path = find_rail_path(order.method)
    return Payout(
        reference=order.reference,
        asset=str(asset),
        amount=amount,
        method=order.method,
        rail=path,
        details=_needed_details(load_rail(path), order.method, order.details),
        next_try_at=timezone.now(),
    )


def retry_payout(payout_id: uuid.UUID, *, details: dict[str, str] | None = None) -> Payout:
    """Make a REFUSED, FAILED or HELD payout DUE again, with other `details` if they are given.

    A payout that is DUE already only gets the new details; in any other status nothing changes,
    for there is nothing to retry. `status` of the result tells.
    """
    with transaction.atomic():
        payout = Payout.objects.lock_one(payout_id)
        retryable = payout.status in Payout.RETRYABLE
        if not retryable and payout.status != Payout.Status.DUE:
            return payout
        if details is not None:
            payout.details = _needed_details(load_rail(payout.rail), payout.method, details)
        if retryable:
            payout.status = Payout.Status.DUE
            payout.tries = 0
            payout.next_try_at = timezone.now()
            payout.refused_fields, payout.message, payout.rail_reference = {}, "", ""
            announce(payout_changed, payout_id=payout.pk)
            announce(payout_due, payout_id=payout.pk)
        payout.save()
    return payout


def hold_payout(payout_id: uuid.UUID) -> Payout:
    """Keep a payout back that waits for its (next) try, until `retry_payout` or `cancel_payout`.

    In any other status nothing changes, for there is nothing to keep back, or it may be paid
    already. `status` of the result tells.
    """
    with transaction.atomic():
        # The lock that a claim takes too: either we see its attempt, or it finds this HELD.
        payout = Payout.objects.lock_one(payout_id)
        if payout.status == Payout.Status.DUE:
            payout.status = Payout.Status.HELD
            payout.next_try_at = None
            payout.save(update_fields=["status", "next_try_at", "updated_at"])
    return payout


def cancel_payout(payout_id: uuid.UUID) -> Payout:
    """Give a payout up for good; cancelling it twice is the same as once.

    Raises `PayoutInFlight` if it was paid, or if anything that left us may still be.
    """
    with transaction.atomic():
        # The lock that a claim takes too: either we see its attempt, or it finds this CANCELLED.
        payout = Payout.objects.lock_one(payout_id)
        if payout.status == Payout.Status.CANCELLED:
            return payout
        if (
            payout.status in (Payout.Status.IN_FLIGHT, Payout.Status.ACCEPTED)
            or payout.attempts.filter(status__in=Attempt.LIVE).exists()
        ):
            raise PayoutInFlight(f"payout {payout.pk} is {payout.status}")
        payout.status = Payout.Status.CANCELLED
        payout.next_try_at = None
        payout.save(update_fields=["status", "next_try_at", "updated_at"])
        announce(payout_changed, payout_id=payout.pk)
    return payout


def send_due_payouts(limit: int = 100) -> int:
    """Take up to `limit` due payouts to their rails; how many this worker had to itself.

    Stops after 20 seconds as well: with a rail that hangs, sweeps must not pile up.
    """
    stop_at = time.monotonic() + SWEEP_LIMIT_SECONDS
    due = Payout.objects.due(timezone.now()).values_list("pk", flat=True)[:limit]
    handled = 0
    for payout_id in list(due):
        if time.monotonic() > stop_at:
            break
        try:
            handled += send_payout(payout_id)
        except Exception as error:
            # One that can't be unsealed or has lost its rail's code must not hold up the others.
            # The class alone: the text of an error may quote what we keep sealed.
            logger.error("payout %s could not be handled (%s)", payout_id, type(error).__name__)
    return handled


def send_payout(payout_id: uuid.UUID) -> bool:
    """Take one payout to its rail if it is due and no other worker has it; whether it was so.

    Must not be called inside a database transaction.
    """
    claim = _claim(payout_id)
    if claim is None:
        return False
    _record(claim, _ask(claim))
    return True


def _needed_details(rail: Rail, method: str, details: dict[str, str]) -> dict[str, str]:
    """Only what the rail knows what to do with: personal data that nobody needs is not copied."""
    names = rail.required_fields(method) | rail.optional_fields(method)
    return {name: details[name] for name in sorted(names) if name in details}


def _claim(payout_id: uuid.UUID) -> Claim | None:
    """Store the attempt, and that we have it, before anybody outside hears of it."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        payout = Payout.objects.lock_due(payout_id, now)
        if payout is None:
            return None
        rail = load_rail(payout.rail)
        attempt = payout.attempts.filter(status__in=Attempt.LIVE).first()
        if attempt is None:
            attempt = Attempt(
                payout=payout, number=payout.attempts.count() + 1, details=payout.details
            )
            payout.tries += 1
        called_before = attempt.calls > 0
        attempt.calls += 1
        attempt.save()
        # Longer than a look-up and a send may take: only a worker that died lets it lapse.
        payout.next_try_at = now + timedelta(seconds=2 * rail.call_seconds + 2)
        if payout.status == Payout.Status.DUE:
            payout.status = Payout.Status.IN_FLIGHT
            announce(payout_changed, payout_id=payout.pk)
        payout.save(update_fields=["status", "tries", "next_try_at", "updated_at"])
    order = Order(
        key=str(attempt.pk),
        reference=str(payout.pk),
        amount=payout.amount,
        asset=parse_asset_name(payout.asset),
        method=payout.method,
        details=attempt.details,
    )
    return Claim(payout.pk, attempt.pk, rail, order, attempt.status, called_before)


def _ask(claim: Claim) -> Answer:
    """Call the rail, with no lock and no open transaction; an attempt made before is looked up."""
    try:
        if claim.called_before:
            answer = claim.rail.look_up(claim.order.key)
            if answer is not None:
                return answer
            if claim.attempt_status == Attempt.Status.ACCEPTED:
                # It had it: that it has it no more is for people to clear up, not to send again.
                return Answer(Outcome.UNKNOWN, message="accepted before, never seen now")
        return claim.rail.send(claim.order)
    except Exception as error:
        # A rail must not raise. If one does, its order may have left all the same.
        logger.error("rail %s raised %s", claim.rail.name, type(error).__name__)
        return Answer(Outcome.UNKNOWN, message=f"the rail's code failed ({type(error).__name__})")


def _record(claim: Claim, answer: Answer) -> None:
    """Write what the answer means, unless an earlier one has settled the attempt."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        payout = Payout.objects.lock_one(claim.payout_id)
        attempt = payout.attempts.get(pk=claim.attempt_id)
        if attempt.status not in Attempt.UNSETTLED:
            _note_late_answer(attempt, answer)
            return
        decision = decide_after(
            answer,
            attempt=Attempt.Status(attempt.status),
            tries=payout.tries,
            max_tries=settings.PAYOUT_MAX_TRIES,
            calls=attempt.calls,
            now=now,
            first_delay=timedelta(seconds=settings.PAYOUT_FIRST_RETRY_SECONDS),
            spread=random.random(),  # noqa: S311 -- it spreads load, it keeps no secret
        )
        message = clean_message(answer.message, attempt.details)
        if answer.outcome == Outcome.UNKNOWN:
            message = f"outcome unknown, {attempt.calls} call(s) so far: {message}"[:MAX_MESSAGE]
        reference = clean_reference(answer.rail_reference) or attempt.rail_reference
        attempt.status, attempt.message = decision.attempt, message
        payout.message = message
        attempt.rail_reference = payout.rail_reference = reference
        if answer.outcome == Outcome.REFUSED:
            payout.refused_fields = {
                name: clean_message(reason, attempt.details) or "The rail refused it"
                for name, reason in answer.fields.items()
            }
        if decision.payout == Payout.Status.DELIVERED:
            payout.delivered_at = now
        payout.next_try_at = decision.next_try_at
        changed = payout.status != decision.payout
        payout.status = decision.payout
        attempt.save(update_fields=["status", "message", "rail_reference", "updated_at"])
        payout.save()
        if changed:
            announce(payout_changed, payout_id=payout.pk)


def _note_late_answer(attempt: Attempt, answer: Answer) -> None:
    """Two workers asked, or the rail changed its mind: the first settled answer stands."""
    if answer.outcome not in (attempt.status, Outcome.UNKNOWN, Outcome.ACCEPTED):
        logger.error(
            "attempt %s of payout %s is %s, but its rail now says %s: ask the rail",
            attempt.pk,
            attempt.payout_id,
            attempt.status,
            answer.outcome,
        )
