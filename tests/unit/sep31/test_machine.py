"""The state machine, held against the whole space of what can be known about a transaction."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from sep31.machine import (
    EDGES,
    FINAL,
    PAID_OPEN,
    Decision,
    Effect,
    Facts,
    Kyc,
    Money,
    PayoutFact,
    Reason,
    RefundFact,
    Status,
    Wish,
    decide,
    refuse_cancellation,
    refuse_wish,
)

RECOVERABLE = [None, Status.PENDING_RECEIVER, Status.PENDING_EXTERNAL]


def every_fact():
    for kyc, money, payout, refund, late, info, policy, wish, back in itertools.product(
        Kyc, Money, PayoutFact, RefundFact, *[(False, True)] * 3, Wish, RECOVERABLE
    ):
        # That a cancellation makes no difference to what was paid has a test of its own.
        for cancelled in (False, True)[: 2 if money is Money.NONE else 1]:
            yield Facts(kyc, money, payout, refund, late, info, policy, wish, back, cancelled)


EVERY_FACT = list(every_fact())
MAY_PAY = {PayoutFact.UNDERWAY, PayoutFact.ACCEPTED}


@pytest.mark.parametrize("status", Status)
def test_no_decision_leaves_the_table(status):
    for facts in EVERY_FACT:
        decision = decide(status, facts)
        if decision is not None and decision.to is not status:
            assert decision.reason in EDGES.get((status, decision.to), ()), (facts, decision)


def test_every_edge_of_the_table_is_taken_for_each_of_its_reasons():
    taken = {
        (status, decision.to, decision.reason)
        for status in Status
        for facts in EVERY_FACT
        if (decision := decide(status, facts)) is not None and decision.to is not status
    }
    wanted = {
        (start, end, reason)
        for (start, end), reasons in EDGES.items()
        for reason in reasons
        if start is not None
    }
    # Where error leads back to depends on where it came from, which EVERY_FACT only samples.
    back = {edge for edge in wanted if edge[0] is Status.ERROR and edge[1] not in RECOVERABLE}
    assert wanted - back - taken == set()


@pytest.mark.parametrize("status", sorted(FINAL))
def test_an_end_is_an_end(status):
    assert all(decide(status, facts) is None for facts in EVERY_FACT)


@pytest.mark.parametrize("status", Status)
def test_a_refund_never_starts_while_the_rail_may_pay_or_has_paid(status):
    for facts in EVERY_FACT:
        decision = decide(status, facts)
        if decision is not None and decision.effect is Effect.REFUND:
            assert facts.payout not in MAY_PAY | {PayoutFact.DELIVERED}
            assert facts.money is Money.HELD
            assert facts.refund is RefundFact.NONE


@pytest.mark.parametrize("status", Status)
def test_a_payout_is_made_once_only_with_the_money_and_with_accepted_customers(status):
    for facts in EVERY_FACT:
        decision = decide(status, facts)
        if decision is None or decision.effect not in (Effect.PAY_OUT, Effect.RETRY_PAYOUT):
            continue
        assert facts.money is Money.HELD
        assert facts.refund is RefundFact.NONE
        assert facts.kyc is Kyc.ACCEPTED
        if decision.effect is Effect.PAY_OUT:
            assert facts.payout is PayoutFact.NONE
        else:
            assert facts.payout not in MAY_PAY | {PayoutFact.DELIVERED, PayoutFact.NONE}


@pytest.mark.parametrize("status", sorted(PAID_OPEN))
def test_a_payout_that_waits_for_its_try_is_kept_back_once_a_customer_is_doubted(status):
    for facts in EVERY_FACT:
        waits = facts.payout is PayoutFact.DUE and facts.refund is RefundFact.NONE
        if waits and facts.money is Money.HELD and facts.kyc is not Kyc.ACCEPTED:
            decision = decide(status, facts)
            assert decision is not None
            refund = Effect.REFUND if facts.wish is Wish.REFUND else None
            assert decision.effect is (refund or Effect.HOLD_PAYOUT)


@pytest.mark.parametrize("status", Status)
def test_nothing_is_completed_without_delivery_nor_refunded_without_confirmation(status):
    for facts in EVERY_FACT:
        decision = decide(status, facts)
        if decision is None:
            continue
        if decision.to is Status.COMPLETED:
            assert facts.payout is PayoutFact.DELIVERED
        if decision.to is Status.REFUNDED and status is not Status.REFUNDED:
            assert facts.refund is RefundFact.CONFIRMED


@pytest.mark.parametrize("status", Status)
def test_money_that_was_credited_never_expires(status):
    for facts in EVERY_FACT:
        decision = decide(status, facts)
        if facts.money is Money.HELD and decision is not None:
            assert decision.to is not Status.EXPIRED


@pytest.mark.parametrize("status", Status)
def test_a_cancellation_makes_no_difference_to_what_was_paid(status):
    for facts in EVERY_FACT:
        if facts.money is Money.HELD:
            assert decide(status, replace(facts, cancelled=True)) == decide(status, facts)
            assert refuse_cancellation(status, facts) != ""


@pytest.mark.parametrize("status", Status)
def test_a_cancelled_transaction_is_never_shown_to_be_payable_again(status):
    for facts in EVERY_FACT:
        decision = decide(status, facts)
        if facts.cancelled and facts.money is Money.NONE and decision is not None:
            assert (decision.to, decision.reason) == (Status.EXPIRED, Reason.CANCELLED)


def test_a_cancellation_waits_for_the_ledger_only_where_somebody_may_have_paid():
    cancelled = Facts(cancelled=True)
    assert decide(Status.PENDING_SENDER, cancelled) is None
    for status in (Status.PENDING_RECEIVER, Status.ERROR):
        assert decide(status, cancelled) == Decision(Status.EXPIRED, Reason.CANCELLED)


AFTER: dict[Effect, dict[str, Any]] = {
    Effect.PAY_OUT: {"payout": PayoutFact.DUE},
    Effect.RETRY_PAYOUT: {"payout": PayoutFact.DUE, "wish": Wish.NONE},
    Effect.HOLD_PAYOUT: {"payout": PayoutFact.HELD},
    Effect.REJECT_CUSTOMER_FIELDS: {"kyc": Kyc.NEEDS_INFO},
    Effect.ASK_TRANSACTION_FIELDS: {"info_outstanding": True},
    Effect.REFUND: {
        "payout": PayoutFact.CANCELLED,
        "refund": RefundFact.UNDERWAY,
        "wish": Wish.NONE,
    },
    Effect.RETRY_REFUND: {"refund": RefundFact.UNDERWAY, "wish": Wish.NONE},
}


def carry_out(decision: Decision, facts: Facts) -> Facts:
    if decision.effect is Effect.NONE and facts.wish is Wish.RETRY:
        return replace(facts, wish=Wish.NONE)
    return replace(facts, **AFTER.get(decision.effect, {}))


@pytest.mark.parametrize("status", Status)
def test_deciding_again_and_again_comes_to_rest(status):
    for facts in EVERY_FACT:
        now, steps = status, 0
        while (decision := decide(now, facts)) is not None:
            steps += 1
            assert steps <= 6, (status, facts, now)
            now, facts = decision.to, carry_out(decision, facts)


PAID = Facts(money=Money.HELD)

STORY = [
    # A status, what is known, and what follows.
    (Status.PENDING_RECEIVER, Facts(), Status.PENDING_SENDER, Effect.NONE),
    (Status.PENDING_RECEIVER, Facts(kyc=Kyc.REJECTED), Status.ERROR, Effect.NONE),
    (Status.PENDING_RECEIVER, Facts(kyc=Kyc.NEEDS_INFO, deadline_passed=True), Status.EXPIRED, ""),
    (Status.PENDING_SENDER, Facts(deadline_passed=True), Status.EXPIRED, Effect.NONE),
    (Status.PENDING_SENDER, replace(PAID, deadline_passed=True), Status.PENDING_RECEIVER, ""),
    (Status.PENDING_RECEIVER, PAID, Status.PENDING_RECEIVER, Effect.PAY_OUT),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, kyc=Kyc.NEEDS_INFO),
        Status.PENDING_CUSTOMER_INFO_UPDATE,
        Effect.NONE,
    ),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, payout=PayoutFact.ACCEPTED),
        Status.PENDING_EXTERNAL,
        Effect.NONE,
    ),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, payout=PayoutFact.DELIVERED),
        Status.COMPLETED,
        Effect.NONE,
    ),
    (
        Status.PENDING_EXTERNAL,
        replace(PAID, payout=PayoutFact.REFUSED_CUSTOMER),
        Status.PENDING_CUSTOMER_INFO_UPDATE,
        Effect.REJECT_CUSTOMER_FIELDS,
    ),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, payout=PayoutFact.REFUSED_TRANSACTION),
        Status.PENDING_TRANSACTION_INFO_UPDATE,
        Effect.ASK_TRANSACTION_FIELDS,
    ),
    (
        Status.PENDING_CUSTOMER_INFO_UPDATE,
        replace(PAID, payout=PayoutFact.REFUSED_CUSTOMER),
        Status.PENDING_RECEIVER,
        Effect.RETRY_PAYOUT,
    ),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, payout=PayoutFact.FAILED),
        Status.PENDING_RECEIVER,
        Effect.REFUND,
    ),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, payout=PayoutFact.FAILED, refund_if_undeliverable=False),
        Status.ERROR,
        Effect.NONE,
    ),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, refund=RefundFact.CONFIRMED, payout=PayoutFact.CANCELLED),
        Status.REFUNDED,
        Effect.NONE,
    ),
    (
        Status.PENDING_RECEIVER,
        replace(PAID, refund=RefundFact.FAILED, payout=PayoutFact.CANCELLED),
        Status.ERROR,
        Effect.NONE,
    ),
    (
        Status.ERROR,
        replace(
            PAID,
            payout=PayoutFact.FAILED,
            wish=Wish.RETRY,
            recover_to=Status.PENDING_RECEIVER,
        ),
        Status.PENDING_RECEIVER,
        Effect.RETRY_PAYOUT,
    ),
]


@pytest.mark.parametrize(("status", "facts", "to", "effect"), STORY)
def test_what_follows(status, facts, to, effect):
    decision = decide(status, facts)
    assert decision is not None
    assert (decision.to, decision.effect) == (to, effect or Effect.NONE)


QUIET = [
    (Status.PENDING_SENDER, Facts()),
    (Status.PENDING_RECEIVER, Facts(kyc=Kyc.PROCESSING)),
    (Status.PENDING_RECEIVER, replace(PAID, kyc=Kyc.PROCESSING)),
    (Status.PENDING_RECEIVER, replace(PAID, payout=PayoutFact.DUE)),
    (Status.PENDING_EXTERNAL, replace(PAID, payout=PayoutFact.ACCEPTED)),
    (
        Status.PENDING_CUSTOMER_INFO_UPDATE,
        replace(PAID, kyc=Kyc.NEEDS_INFO, payout=PayoutFact.REFUSED_CUSTOMER),
    ),
    (
        Status.PENDING_TRANSACTION_INFO_UPDATE,
        replace(PAID, payout=PayoutFact.REFUSED_TRANSACTION, info_outstanding=True),
    ),
    (Status.ERROR, replace(PAID, payout=PayoutFact.FAILED, recover_to=Status.PENDING_RECEIVER)),
    (Status.PENDING_RECEIVER, replace(PAID, payout=PayoutFact.UNDERWAY, wish=Wish.REFUND)),
]


@pytest.mark.parametrize(("status", "facts"), QUIET)
def test_what_waits(status, facts):
    assert decide(status, facts) is None


@pytest.mark.parametrize("status", Status)
def test_a_refund_is_refused_to_an_operator_exactly_while_it_could_pay_twice(status):
    for facts in EVERY_FACT:
        safe = (
            status not in FINAL
            and facts.money is Money.HELD
            and facts.payout not in MAY_PAY
            and facts.refund in (RefundFact.NONE, RefundFact.FAILED)
        )
        assert (refuse_wish(status, facts, Wish.REFUND) == "") is safe


@pytest.mark.parametrize("status", Status)
def test_nothing_is_retried_beside_a_refund_that_is_on_its_way(status):
    for facts in EVERY_FACT:
        if facts.refund in (RefundFact.UNDERWAY, RefundFact.CONFIRMED):
            assert refuse_wish(status, facts, Wish.RETRY) != ""


def test_each_reason_stands_in_the_table_or_is_a_note():
    used = {reason for reasons in EDGES.values() for reason in reasons}
    notes = {reason for reason in Reason if reason.startswith("payment_")}
    steps = {Reason.REFUND_STARTED, Reason.PAYOUT_HELD, Reason.PAYOUT_RELEASED}
    assert set(Reason) - used - notes == steps | {Reason.CANCEL_ASKED}
