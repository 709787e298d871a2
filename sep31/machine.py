"""The state machine of a SEP-31 transaction: pure, and the only place that knows the rules.

`decide(status, facts)` says what happens next, or None. `EDGES` is the whole table of allowed
changes, each with the reasons that may cause it; `decide` can't leave it (tests/unit/sep31).

A transaction is `pending_receiver` in two situations: before it may be paid (customers not
accepted yet) and after it was paid. `Facts.money` tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """SEP-31's statuses (GET /transactions/:id). `pending_stellar` is the sender's, not ours."""

    PENDING_SENDER = "pending_sender"
    PENDING_RECEIVER = "pending_receiver"
    PENDING_EXTERNAL = "pending_external"
    PENDING_CUSTOMER_INFO_UPDATE = "pending_customer_info_update"
    PENDING_TRANSACTION_INFO_UPDATE = "pending_transaction_info_update"
    COMPLETED = "completed"
    REFUNDED = "refunded"
    EXPIRED = "expired"
    ERROR = "error"


FINAL = frozenset({Status.COMPLETED, Status.REFUNDED, Status.EXPIRED})
OPEN = sorted(status.value for status in Status if status not in FINAL)
PAID_OPEN = frozenset(
    {
        Status.PENDING_RECEIVER,
        Status.PENDING_EXTERNAL,
        Status.PENDING_CUSTOMER_INFO_UPDATE,
        Status.PENDING_TRANSACTION_INFO_UPDATE,
        Status.ERROR,
    }
)


class Reason(StrEnum):
    """Why something happened. Stored, shown to operators, and the key of `status_message`."""

    CREATED_READY = "created_ready"
    CREATED_CHECKING = "created_checking"
    CHECKS_PASSED = "checks_passed"
    CUSTOMER_REJECTED = "customer_rejected"
    DEADLINE_PASSED = "deadline_passed"
    CANCELLED = "cancelled"
    PAYMENT_RECEIVED = "payment_received"
    CUSTOMER_INFO_MISSING = "customer_info_missing"
    RAIL_ACCEPTED = "rail_accepted"
    RAIL_DELIVERED = "rail_delivered"
    RAIL_REFUSED_CUSTOMER_FIELDS = "rail_refused_customer_fields"
    RAIL_REFUSED_TRANSACTION_FIELDS = "rail_refused_transaction_fields"
    UNDELIVERABLE = "undeliverable"
    PAYOUT_HELD = "payout_held"
    PAYOUT_RELEASED = "payout_released"
    INFO_CORRECTED = "info_corrected"
    REFUND_STARTED = "refund_started"
    REFUND_CONFIRMED = "refund_confirmed"
    REFUND_FAILED = "refund_failed"
    OPERATOR_RETRY = "operator_retry"
    # Notes; they change no status.
    CANCEL_ASKED = "cancel_asked"
    PAYMENT_UNDERPAID = "payment_underpaid"
    PAYMENT_OVERPAID = "payment_overpaid"
    PAYMENT_LATE = "payment_late"
    PAYMENT_WRONG_ASSET = "payment_wrong_asset"
    PAYMENT_SECOND = "payment_second_payment"
    PAYMENT_NOT_READY = "payment_not_ready"


class Kyc(StrEnum):
    """Both customers taken together: the least favourable of the two counts."""

    ACCEPTED = "accepted"
    PROCESSING = "processing"
    NEEDS_INFO = "needs_info"
    REJECTED = "rejected"


class Money(StrEnum):
    NONE = "none"  # nothing was credited
    HELD = "held"  # the agreed amount was credited and is still with us


class PayoutFact(StrEnum):
    NONE = "none"
    DUE = "due"  # waiting for its (next) try; nothing is on its way
    UNDERWAY = "underway"  # handed to the rail without an answer: it may pay
    ACCEPTED = "accepted"  # the rail took it: it will probably pay
    DELIVERED = "delivered"
    HELD = "held"  # kept back by us, because a customer was doubted before it left
    REFUSED_CUSTOMER = "refused_customer"
    REFUSED_TRANSACTION = "refused_transaction"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RefundFact(StrEnum):
    NONE = "none"
    UNDERWAY = "underway"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Wish(StrEnum):
    """What an operator asked for."""

    NONE = ""
    RETRY = "retry"
    REFUND = "refund"


class Effect(StrEnum):
    """What leaves our database because of a decision. At most one per decision."""

    NONE = "none"
    PAY_OUT = "pay_out"
    RETRY_PAYOUT = "retry_payout"
    HOLD_PAYOUT = "hold_payout"  # fails if it may already be paid
    REJECT_CUSTOMER_FIELDS = "reject_customer_fields"
    ASK_TRANSACTION_FIELDS = "ask_transaction_fields"
    REFUND = "refund"  # cancels the payout first; that fails if it may still pay
    RETRY_REFUND = "retry_refund"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision depends on."""

    kyc: Kyc = Kyc.ACCEPTED
    money: Money = Money.NONE
    payout: PayoutFact = PayoutFact.NONE
    refund: RefundFact = RefundFact.NONE
    deadline_passed: bool = False
    info_outstanding: bool = False  # per-transaction fields were asked for and not sent yet
    refund_if_undeliverable: bool = True  # the asset's policy
    wish: Wish = Wish.NONE
    recover_to: Status | None = None
    cancelled: bool = False  # the sending anchor gave it up; its deadline is the moment it did


@dataclass(frozen=True, slots=True)
class Decision:
    """`to` may equal the present status: then only the effect happens, without event or callback
    unless `note` is set."""

    to: Status
    reason: Reason
    effect: Effect = Effect.NONE
    note: bool = False


_S, _R = Status, Reason

EDGES: dict[tuple[Status | None, Status], frozenset[Reason]] = {
    (None, _S.PENDING_SENDER): frozenset({_R.CREATED_READY}),
    (None, _S.PENDING_RECEIVER): frozenset({_R.CREATED_CHECKING}),
    (_S.PENDING_RECEIVER, _S.PENDING_SENDER): frozenset({_R.CHECKS_PASSED}),
    (_S.PENDING_SENDER, _S.PENDING_RECEIVER): frozenset({_R.PAYMENT_RECEIVED}),
    (_S.PENDING_SENDER, _S.EXPIRED): frozenset({_R.DEADLINE_PASSED, _R.CANCELLED}),
    (_S.PENDING_RECEIVER, _S.EXPIRED): frozenset({_R.DEADLINE_PASSED, _R.CANCELLED}),
    (_S.ERROR, _S.EXPIRED): frozenset({_R.CANCELLED}),
    (_S.PENDING_RECEIVER, _S.PENDING_EXTERNAL): frozenset({_R.RAIL_ACCEPTED}),
    (_S.PENDING_RECEIVER, _S.COMPLETED): frozenset({_R.RAIL_DELIVERED}),
    (_S.PENDING_EXTERNAL, _S.COMPLETED): frozenset({_R.RAIL_DELIVERED}),
    (_S.PENDING_RECEIVER, _S.PENDING_CUSTOMER_INFO_UPDATE): frozenset(
        {_R.RAIL_REFUSED_CUSTOMER_FIELDS, _R.CUSTOMER_INFO_MISSING}
    ),
    (_S.PENDING_EXTERNAL, _S.PENDING_CUSTOMER_INFO_UPDATE): frozenset(
        {_R.RAIL_REFUSED_CUSTOMER_FIELDS, _R.CUSTOMER_INFO_MISSING}
    ),
    (_S.PENDING_RECEIVER, _S.PENDING_TRANSACTION_INFO_UPDATE): frozenset(
        {_R.RAIL_REFUSED_TRANSACTION_FIELDS}
    ),
    (_S.PENDING_EXTERNAL, _S.PENDING_TRANSACTION_INFO_UPDATE): frozenset(
        {_R.RAIL_REFUSED_TRANSACTION_FIELDS}
    ),
    (_S.PENDING_CUSTOMER_INFO_UPDATE, _S.PENDING_RECEIVER): frozenset({_R.INFO_CORRECTED}),
    (_S.PENDING_TRANSACTION_INFO_UPDATE, _S.PENDING_RECEIVER): frozenset({_R.INFO_CORRECTED}),
    **{(status, _S.REFUNDED): frozenset({_R.REFUND_CONFIRMED}) for status in PAID_OPEN},
    (_S.PENDING_RECEIVER, _S.ERROR): frozenset(
        {_R.CUSTOMER_REJECTED, _R.UNDELIVERABLE, _R.REFUND_FAILED}
    ),
    (_S.PENDING_EXTERNAL, _S.ERROR): frozenset(
        {_R.CUSTOMER_REJECTED, _R.UNDELIVERABLE, _R.REFUND_FAILED}
    ),
    (_S.PENDING_CUSTOMER_INFO_UPDATE, _S.ERROR): frozenset(
        {_R.CUSTOMER_REJECTED, _R.REFUND_FAILED}
    ),
    (_S.PENDING_TRANSACTION_INFO_UPDATE, _S.ERROR): frozenset(
        {_R.CUSTOMER_REJECTED, _R.REFUND_FAILED}
    ),
    **{
        (_S.ERROR, status): frozenset({_R.OPERATOR_RETRY})
        for status in PAID_OPEN
        if status is not _S.ERROR
    },
}


def decide(status: Status, facts: Facts) -> Decision | None:
    """What happens next to a transaction in `status`; None if there is nothing to do.

    Deciding again after the decision was carried out yields the next step or None, so calling
    it twice changes nothing.
    """
    if status in FINAL:
        return None
    if facts.money is Money.NONE:
        return _decide_unpaid(status, facts)
    return _decide_paid(status, facts)


def _decide_unpaid(status: Status, facts: Facts) -> Decision | None:
    if status is Status.PENDING_SENDER:
        # Accepted customers that are doubted later stop the payout, not the waiting.
        if facts.deadline_passed:
            reason = Reason.CANCELLED if facts.cancelled else Reason.DEADLINE_PASSED
            return Decision(Status.EXPIRED, reason)
        return None
    if facts.cancelled and status in (Status.PENDING_RECEIVER, Status.ERROR):
        # Nobody was told where to pay, so no payment can have come before.
        return Decision(Status.EXPIRED, Reason.CANCELLED)
    if status is Status.PENDING_RECEIVER:
        if facts.deadline_passed:
            return Decision(Status.EXPIRED, Reason.DEADLINE_PASSED)
        if facts.kyc is Kyc.ACCEPTED:
            return Decision(Status.PENDING_SENDER, Reason.CHECKS_PASSED)
        if facts.kyc is Kyc.REJECTED:
            return Decision(Status.ERROR, Reason.CUSTOMER_REJECTED)
        return None
    if status is Status.ERROR and facts.wish is Wish.RETRY and facts.recover_to:
        return Decision(facts.recover_to, Reason.OPERATOR_RETRY)
    return None


def _decide_paid(status: Status, facts: Facts) -> Decision | None:
    if status is Status.PENDING_SENDER:
        return Decision(Status.PENDING_RECEIVER, Reason.PAYMENT_RECEIVED)
    if facts.refund is not RefundFact.NONE:
        return _decide_refunding(status, facts)
    if facts.payout is PayoutFact.DELIVERED:
        # From error too: an operator's doubt does not undo a delivery (see _delivered).
        return _delivered(status)
    if facts.payout in (PayoutFact.UNDERWAY, PayoutFact.ACCEPTED):
        # While the rail may pay, nothing but the rail's answer moves the transaction.
        if facts.payout is PayoutFact.ACCEPTED and status is Status.PENDING_RECEIVER:
            return Decision(Status.PENDING_EXTERNAL, Reason.RAIL_ACCEPTED)
        if status is Status.ERROR:
            return _recover(facts)
        return None
    if facts.wish is Wish.REFUND:
        return Decision(status, Reason.REFUND_STARTED, Effect.REFUND, note=True)
    if facts.payout is PayoutFact.DUE and facts.kyc is not Kyc.ACCEPTED:
        # Whoever was accepted once may not be any more (a new sanctions list, an operator's
        # second thought), and a rail that was away is tried for days.
        return Decision(status, Reason.PAYOUT_HELD, Effect.HOLD_PAYOUT, note=True)
    if status is Status.ERROR:
        return _recover(facts)
    if facts.payout is PayoutFact.DUE:
        return None
    if status in (Status.PENDING_CUSTOMER_INFO_UPDATE, Status.PENDING_TRANSACTION_INFO_UPDATE):
        return _decide_waiting_for_info(status, facts)
    return _decide_next_payout(status, facts)


def _delivered(status: Status) -> Decision:
    if status is Status.ERROR:
        return Decision(Status.PENDING_RECEIVER, Reason.OPERATOR_RETRY)
    if status in (Status.PENDING_CUSTOMER_INFO_UPDATE, Status.PENDING_TRANSACTION_INFO_UPDATE):
        return Decision(Status.PENDING_RECEIVER, Reason.INFO_CORRECTED)
    return Decision(Status.COMPLETED, Reason.RAIL_DELIVERED)


def _recover(facts: Facts) -> Decision | None:
    if facts.wish is Wish.RETRY and facts.recover_to:
        retry = facts.payout in (PayoutFact.FAILED, PayoutFact.REFUSED_CUSTOMER, PayoutFact.HELD)
        return Decision(
            facts.recover_to,
            Reason.OPERATOR_RETRY,
            Effect.RETRY_PAYOUT if retry and facts.kyc is Kyc.ACCEPTED else Effect.NONE,
        )
    return None


def _decide_refunding(status: Status, facts: Facts) -> Decision | None:
    if facts.refund is RefundFact.CONFIRMED:
        return Decision(Status.REFUNDED, Reason.REFUND_CONFIRMED)
    if facts.refund is RefundFact.FAILED:
        if status is not Status.ERROR:
            return Decision(Status.ERROR, Reason.REFUND_FAILED)
        if facts.wish is not Wish.NONE:
            return Decision(status, Reason.REFUND_STARTED, Effect.RETRY_REFUND, note=True)
    return None


def _decide_waiting_for_info(status: Status, facts: Facts) -> Decision | None:
    if facts.kyc is Kyc.REJECTED:
        return _give_up(status, Reason.CUSTOMER_REJECTED, facts)
    if facts.kyc is not Kyc.ACCEPTED or facts.info_outstanding:
        return None
    retry = facts.payout is not PayoutFact.NONE
    return Decision(
        Status.PENDING_RECEIVER,
        Reason.INFO_CORRECTED,
        Effect.RETRY_PAYOUT if retry else Effect.NONE,
    )


def _decide_next_payout(status: Status, facts: Facts) -> Decision | None:
    match facts.payout:
        case PayoutFact.NONE:
            first = Decision(status, Reason.PAYMENT_RECEIVED, Effect.PAY_OUT)
            return _decide_if_accepted(first, status, facts)
        case PayoutFact.HELD:
            release = Decision(status, Reason.PAYOUT_RELEASED, Effect.RETRY_PAYOUT, note=True)
            return _decide_if_accepted(release, status, facts)
        case PayoutFact.REFUSED_CUSTOMER:
            return Decision(
                Status.PENDING_CUSTOMER_INFO_UPDATE,
                Reason.RAIL_REFUSED_CUSTOMER_FIELDS,
                Effect.REJECT_CUSTOMER_FIELDS,
            )
        case PayoutFact.REFUSED_TRANSACTION:
            return Decision(
                Status.PENDING_TRANSACTION_INFO_UPDATE,
                Reason.RAIL_REFUSED_TRANSACTION_FIELDS,
                Effect.ASK_TRANSACTION_FIELDS,
            )
        case PayoutFact.FAILED:
            if facts.wish is Wish.RETRY:
                again = Decision(status, Reason.OPERATOR_RETRY, Effect.RETRY_PAYOUT, note=True)
                return _decide_if_accepted(again, status, facts)
            return _give_up(status, Reason.UNDELIVERABLE, facts)
        case _:
            # Cancelled without a refund can't be: both happen in one commit.
            return Decision(Status.ERROR, Reason.UNDELIVERABLE)


def _decide_if_accepted(payout: Decision, status: Status, facts: Facts) -> Decision | None:
    """`payout`, if both customers are accepted at this moment."""
    match facts.kyc:
        case Kyc.ACCEPTED:
            return payout
        case Kyc.NEEDS_INFO:
            return Decision(Status.PENDING_CUSTOMER_INFO_UPDATE, Reason.CUSTOMER_INFO_MISSING)
        case Kyc.REJECTED:
            return _give_up(status, Reason.CUSTOMER_REJECTED, facts)
        case Kyc.PROCESSING:
            return None


def _give_up(status: Status, reason: Reason, facts: Facts) -> Decision:
    if facts.refund_if_undeliverable:
        return Decision(status, reason, Effect.REFUND, note=True)
    return Decision(Status.ERROR, reason)


def refuse_wish(status: Status, facts: Facts, wish: Wish) -> str:
    """Why an operator's wish can't be granted now, in plain words; "" if it can."""
    if status in FINAL:
        return f"The transaction is {status}; nothing is left to do."
    if facts.refund in (RefundFact.UNDERWAY, RefundFact.CONFIRMED):
        return "The refund is already on its way."
    if wish is Wish.RETRY:
        failed = facts.payout is PayoutFact.FAILED or facts.refund is RefundFact.FAILED
        return "" if status is Status.ERROR or failed else "Nothing failed that could be retried."
    if facts.money is Money.NONE:
        return "No payment was credited, so there is nothing to refund."
    if facts.payout in (PayoutFact.UNDERWAY, PayoutFact.ACCEPTED):
        return "A payout is on its way and may still be delivered; wait for the rail's answer."
    return ""


def refuse_cancellation(status: Status, facts: Facts) -> str:
    """Why a sending anchor can't cancel now, in plain words; "" if it can, or did already."""
    if facts.money is Money.NONE and status not in (Status.COMPLETED, Status.REFUNDED):
        return ""
    return "The transaction was paid already, so it can't be cancelled any more"
