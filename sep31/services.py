"""The rules that change a transaction once it is there; creation.py makes it.

`advance` is the one writer of `Transaction.status`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from callbacks.services import (
    CallbackOrder,
    check_callback_url,
    queue_callbacks,
    redirect_callbacks,
)
from kernel.api import require_text
from kernel.assets import parse_asset_name
from kernel.errors import BadRequest, Conflict
from payouts.models import Payout
from payouts.services import (
    PayoutInFlight,
    PayoutOrder,
    cancel_payout,
    create_payouts,
    hold_payout,
    retry_payout,
)
from sep10.models import SendingAnchor
from sep12.services import reject_fields, reveal_fields
from sep31.facts import Gathered, facts_of, gather
from sep31.feed import number_changes
from sep31.machine import (
    EDGES,
    FINAL,
    Decision,
    Effect,
    Facts,
    PayoutFact,
    Reason,
    RefundFact,
    Status,
    Wish,
    decide,
    refuse_cancellation,
    refuse_wish,
)
from sep31.models import Event, Refund, Transaction
from sep31.refunds import create_refunds
from sep31.serializers import describe_transaction
from sep38.rates import NoFreshRate
from sep38.services import price_now
from stellar.services import retry_outgoing_payment

logger = logging.getLogger(__name__)

# The longest chain that one commit may take, for example: paid, priced, handed to the rail.
MAX_STEPS = 6

# How soon the sweep looks at an open transaction again if no announcement came through.
LOOK_AGAIN = {
    Status.PENDING_SENDER: timedelta(minutes=10),
    Status.PENDING_RECEIVER: timedelta(seconds=5),
    Status.PENDING_EXTERNAL: timedelta(seconds=15),
    Status.PENDING_CUSTOMER_INFO_UPDATE: timedelta(seconds=30),
    Status.PENDING_TRANSACTION_INFO_UPDATE: timedelta(seconds=30),
    Status.ERROR: timedelta(seconds=60),
}
# After its deadline a transaction waits for the ledger clock only, which moves by seconds.
LOOK_AGAIN_PAST_DEADLINE = timedelta(seconds=5)


class ForbiddenEdge(Exception):
    """A decision that the state table does not have: a defect, and nothing of it is written."""


def advance(ids: Iterable[uuid.UUID]) -> int:
    """Take each of these transactions as far as the facts allow; returns how many changed.

    One database transaction: status, events, callbacks and effects are written together or not
    at all. Harmless to call at any time, any number of times, from any number of processes.
    """
    with transaction.atomic():
        return _advance_locked(Transaction.objects.lock_for_change(ids))


def advance_due(limit: int = 200) -> int:
    """Advance open transactions whose turn has come (the sweep); returns how many it looked at."""
    with transaction.atomic():
        rows = Transaction.objects.lock_due(timezone.now(), limit)
        ids = [row.pk for row in rows]
        try:
            with transaction.atomic():
                _advance_locked(rows)
            return len(ids)
        except Exception as error:
            # The class alone: the text of an error may quote what we keep sealed.
            logger.error("a batch could not be advanced (%s); one by one", type(error).__name__)
    for transaction_id in ids:
        _advance_or_postpone(transaction_id)
    return len(ids)


def _advance_or_postpone(transaction_id: uuid.UUID) -> None:
    """One transaction that can't be advanced must not hold up the others, nor come back at once."""
    try:
        advance([transaction_id])
    except Exception as error:
        logger.error(
            "transaction %s could not be advanced (%s)", transaction_id, type(error).__name__
        )
        Transaction.objects.filter(pk=transaction_id).update(
            look_at=timezone.now() + LOOK_AGAIN[Status.ERROR]
        )


@dataclass
class _Batch:
    """What one call of `advance` reads at its start and writes at its end, all rows together."""

    gathered: Gathered
    now: datetime
    events: list[Event] = field(default_factory=list)
    callbacks: list[CallbackOrder] = field(default_factory=list)
    to_pay: list[Transaction] = field(default_factory=list)


def _advance_locked(rows: Sequence[Transaction]) -> int:
    rows = [row for row in rows if row.status not in FINAL]
    if not rows:
        return 0
    batch = _Batch(gathered=gather(rows), now=timezone.now())
    for row in rows:
        _run_machine(row, batch)
        row.look_at = _look_again(row, batch.now)
    _create_payouts(batch.to_pay)
    changed = {event.transaction_id for event in batch.events}
    Transaction.objects.bulk_update([row for row in rows if row.pk in changed], _WRITTEN)
    Transaction.objects.bulk_update([row for row in rows if row.pk not in changed], _LOOKED_AT)
    queue_callbacks(batch.callbacks)
    # Last, since whoever numbers events holds up all others that do.
    number_changes(batch.events)
    Event.objects.bulk_create(batch.events)
    return len(changed)


_LOOKED_AT = [
    *("look_at", "payout", "operator_request"),
    *("amount_out", "amount_fee", "amount_fee_asset", "fee_details"),
]
_WRITTEN = [
    *_LOOKED_AT,
    "status",
    "reason",
    "recover_to",
    "required_info_updates",
    "ready_at",
    "updated_at",
    "completed_at",
]


def _look_again(row: Transaction, now: datetime) -> datetime:
    status = Status(row.status)
    if status in FINAL:
        return now
    again = now + LOOK_AGAIN[status]
    if status is Status.PENDING_SENDER:
        if now >= row.deadline:
            return now + LOOK_AGAIN_PAST_DEADLINE
        return min(again, row.deadline)
    return again


def _run_machine(row: Transaction, batch: _Batch) -> None:
    facts = facts_of(row, batch.gathered)
    for _ in range(MAX_STEPS):
        decision = decide(Status(row.status), facts)
        if decision is None:
            return
        after = _carry_out(decision, row, facts, batch)
        if after is None:  # what the effect relies on changed meanwhile, or can't be had now
            return
        facts = after
        if decision.to != row.status:
            _move(row, decision, batch)
        elif decision.note:
            row.reason = decision.reason
            batch.events.append(_event(row, row.status, decision.reason, batch.now))
        if facts.wish is Wish.NONE:
            row.operator_request = ""


def _move(row: Transaction, decision: Decision, batch: _Batch) -> None:
    """Change the status: the only place that does, and only along an edge of the table.

    Leaves one event and, where the sending anchor asked for it, one callback.
    """
    before, now = Status(row.status), batch.now
    if decision.reason not in EDGES.get((before, decision.to), ()):
        raise ForbiddenEdge(f"{before} to {decision.to} because of {decision.reason}")
    row.status = decision.to
    row.reason = decision.reason
    row.updated_at = now
    if decision.to is Status.ERROR:
        row.recover_to = before
    if decision.to is Status.PENDING_SENDER:
        row.ready_at = row.ready_at or now
    if decision.to in (Status.COMPLETED, Status.REFUNDED):
        row.completed_at = now
    batch.events.append(_event(row, before, decision.reason, now))
    if row.callback_url:
        batch.callbacks.append(
            CallbackOrder(
                stream=f"sep31:{row.pk}",
                url=row.callback_url,
                body={
                    "transaction": describe_transaction(
                        row,
                        receipt=batch.gathered.credited.get(row.pk),
                        refund=batch.gathered.refunds.get(row.pk),
                    )
                },
            )
        )


def _event(row: Transaction, before: str, reason: Reason, now: datetime) -> Event:
    by_operator = reason in (Reason.OPERATOR_RETRY, Reason.REFUND_STARTED)
    return Event(
        transaction=row,
        from_status=before,
        to_status=row.status,
        reason=reason,
        actor=row.operator if by_operator and row.operator else "landfall",
        at=now,
    )


def _carry_out(decision: Decision, row: Transaction, facts: Facts, batch: _Batch) -> Facts | None:
    """Write the effect's row; returns the facts as they are afterwards, or None if it can't be
    done now (nothing was written then)."""
    match decision.effect:
        case Effect.NONE:
            done = facts.wish is Wish.RETRY
            return replace(facts, wish=Wish.NONE) if done else facts
        case Effect.PAY_OUT:
            return _pay_out(row, facts, batch)
        case Effect.RETRY_PAYOUT:
            assert row.payout_id is not None
            row.payout = retry_payout(row.payout_id, details=_payout_details([row])[row.pk])
            return replace(facts, payout=PayoutFact.DUE, wish=Wish.NONE)
        case Effect.HOLD_PAYOUT:
            assert row.payout_id is not None
            row.payout = hold_payout(row.payout_id)
            held = row.payout.status == Payout.Status.HELD
            return replace(facts, payout=PayoutFact.HELD) if held else None
        case Effect.REJECT_CUSTOMER_FIELDS:
            return _reject_customer_fields(row, batch.gathered)
        case Effect.ASK_TRANSACTION_FIELDS:
            assert row.payout is not None
            row.required_info_updates = row.payout.refused_fields
            return replace(facts, info_outstanding=True)
        case Effect.REFUND:
            return _refund(row, decision.reason, facts, batch.gathered)
        case Effect.RETRY_REFUND:
            retry_outgoing_payment(batch.gathered.refunds[row.pk].outgoing_id)
            return replace(facts, refund=RefundFact.UNDERWAY, wish=Wish.NONE)


def _pay_out(row: Transaction, facts: Facts, batch: _Batch) -> Facts | None:
    if row.amount_out is None:
        try:
            _price_on_receipt(row)
        except NoFreshRate:
            return None
        except BadRequest:
            # No longer a pair of ours, or not by this method: no waiting would mend it.
            return replace(facts, payout=PayoutFact.FAILED)
    batch.to_pay.append(row)
    return replace(facts, payout=PayoutFact.DUE)


def _create_payouts(rows: Sequence[Transaction]) -> None:
    details = _payout_details(rows)
    orders = []
    for row in rows:
        assert row.amount_out is not None
        orders.append(
            PayoutOrder(
                reference=str(row.pk),
                asset=parse_asset_name(row.amount_out_asset),
                amount=row.amount_out,
                method=row.funding_method,
                details=details[row.pk],
            )
        )
    for row, payout in zip(rows, create_payouts(orders), strict=True):
        row.payout = payout


def _price_on_receipt(row: Transaction) -> None:
    """Convert at the rate of this moment (SEP-31: the amount delivered "varies depending on the
    exchange rate used by the Receiving Anchor"). Raises `NoFreshRate` or `BadRequest`."""
    price = price_now(
        parse_asset_name(row.amount_in_asset),
        parse_asset_name(row.amount_out_asset),
        sell_amount=row.amount_in,
        delivery_method=row.funding_method,
    )
    row.amount_out = price.buy_amount
    row.amount_fee, row.amount_fee_asset = price.fee.total, str(price.fee.asset)
    row.fee_details = price.fee.as_json()


def _payout_details(rows: Sequence[Transaction]) -> dict[uuid.UUID, dict[str, str]]:
    """What the rail must know, by transaction: the receiving client's fields and our own."""
    revealed = reveal_fields({row.receiver_id for row in rows if row.receiver_id is not None})
    return {
        row.pk: {**(revealed[row.receiver_id] if row.receiver_id else {}), **row.fields}
        for row in rows
    }


def _reject_customer_fields(row: Transaction, gathered: Gathered) -> Facts:
    # The rail speaks of the receiving client: it is the one that it pays.
    if row.receiver_id is not None and row.payout is not None:
        reject_fields(row.receiver_id, row.payout.refused_fields)
        gathered.assess([row])
    return facts_of(row, gathered)


def _refund(row: Transaction, reason: Reason, facts: Facts, gathered: Gathered) -> Facts | None:
    if row.payout_id is not None and facts.payout is not PayoutFact.CANCELLED:
        try:
            row.payout = cancel_payout(row.payout_id)
        except PayoutInFlight:
            return None
    receipt = gathered.credited[row.pk]
    receipt.transaction = row
    actor = row.operator if facts.wish is Wish.REFUND else "landfall"
    [gathered.refunds[row.pk]] = create_refunds([(receipt, Refund.Part.CREDITED, reason, actor)])
    return replace(facts, payout=PayoutFact.CANCELLED, refund=RefundFact.UNDERWAY, wish=Wish.NONE)


def update_fields(transaction_id: uuid.UUID, data: dict[str, Any]) -> None:
    """Take corrected per-transaction fields (SEP-31, PATCH Transaction) and try again.

    Raises `BadRequest` if nothing was asked for, or for other fields than those asked for.
    """
    with transaction.atomic():
        [row] = Transaction.objects.lock_for_change([transaction_id])
        if row.status != Status.PENDING_TRANSACTION_INFO_UPDATE:
            raise BadRequest("No information about this transaction is asked for at present")
        given = data.get("fields")
        values = given.get("transaction") if isinstance(given, dict) else None
        if not isinstance(values, dict) or not values:
            raise BadRequest('fields must be an object like {"transaction": {"name": "value"}}')
        if not_asked := sorted(set(values) - set(row.required_info_updates)):
            raise BadRequest(
                f"fields.transaction.{not_asked[0][:80]} may not be updated; asked for: "
                + ", ".join(sorted(row.required_info_updates))
            )
        texts = {name: require_text(values, name, max_length=500) for name in values}
        row.fields = {**row.fields, **texts}
        row.required_info_updates = {
            name: why for name, why in row.required_info_updates.items() if name not in texts
        }
        row.look_at = timezone.now()
        row.save(update_fields=["fields", "required_info_updates", "look_at"])
    advance([transaction_id])


def set_callback(transaction_id: uuid.UUID, anchor: SendingAnchor, url: object) -> None:
    """Register or replace the callback URL; what is still undelivered goes to the new one."""
    checked = check_callback_url(url, anchor.allowed_callback_hosts)
    with transaction.atomic():
        [row] = Transaction.objects.lock_for_change([transaction_id])
        row.callback_url = checked
        row.save(update_fields=["callback_url"])
        redirect_callbacks(stream=f"sep31:{row.pk}", url=checked)


def cancel_transaction(transaction_id: uuid.UUID, actor: str) -> None:
    """The sending anchor gives up a transaction that it has not paid. Again is the same as once.

    Its deadline is now. What the ledger closed before is in time still and undoes this; what comes
    later is late. So it ends (`expired`) when the watcher has read the ledger up to now, or at
    once if it never said where to pay.

    Raises `Conflict` once a payment was credited.
    """
    with transaction.atomic():
        [row] = Transaction.objects.lock_for_change([transaction_id])
        status = Status(row.status)
        if refusal := refuse_cancellation(status, facts_of(row, gather([row]))):
            raise Conflict(refusal)
        if status is Status.EXPIRED or row.cancelled_at is not None:
            return
        now = timezone.now()
        row.cancelled_at, row.deadline = now, min(now, row.deadline)
        row.reason = Reason.CANCEL_ASKED
        row.save(update_fields=["cancelled_at", "deadline", "reason"])
        Event.objects.create(
            transaction=row,
            from_status=status,
            to_status=status,
            reason=row.reason,
            actor=actor,
            at=now,
        )
        _advance_locked([row])


def request_by_operator(transaction_id: uuid.UUID, wish: Wish, operator: str) -> Transaction:
    """An operator asks to retry what failed, or to send the money back.

    Raises `Conflict` in plain words where the state does not allow it. A refund waits until no
    payout can pay any more; nothing that may have been delivered is ever refunded.
    """
    with transaction.atomic():
        [row] = Transaction.objects.lock_for_change([transaction_id])
        facts = facts_of(row, gather([row]))
        if refusal := refuse_wish(Status(row.status), facts, wish):
            raise Conflict(refusal)
        row.operator_request, row.operator = wish, operator
        row.save(update_fields=["operator_request", "operator"])
        _advance_locked([row])
    return row


def operators_choices(row: Transaction) -> dict[Wish, str]:
    """What an operator may do about a transaction: wish -> "" or why not, in plain words."""
    facts = facts_of(row, gather([row]))
    status = Status(row.status)
    return {wish: refuse_wish(status, facts, wish) for wish in (Wish.RETRY, Wish.REFUND)}
