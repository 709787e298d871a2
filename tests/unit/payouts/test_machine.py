"""What each answer makes of a payout, for every state that an attempt can be in."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.machine import MAX_POLL, MAX_RETRY, decide_after
from payouts.models import Attempt, Payout
from payouts.rails.base import Answer, Outcome

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FIRST = timedelta(seconds=10)
P, A = Payout.Status, Attempt.Status

ANSWERS = {
    "delivered": Answer(Outcome.DELIVERED),
    "accepted": Answer(Outcome.ACCEPTED),
    "refused": Answer(Outcome.REFUSED, fields={"bank_account_number": "wrong"}),
    "failed, may be retried": Answer(Outcome.FAILED, retryable=True),
    "failed for good": Answer(Outcome.FAILED, retryable=False),
    "unknown": Answer(Outcome.UNKNOWN),
}

# (answer, attempt before, last try) -> (payout, attempt, whether something more happens by itself)
TABLE = {
    ("delivered", A.CLAIMED, False): (P.DELIVERED, A.DELIVERED, False),
    ("delivered", A.CLAIMED, True): (P.DELIVERED, A.DELIVERED, False),
    ("delivered", A.ACCEPTED, False): (P.DELIVERED, A.DELIVERED, False),
    ("delivered", A.ACCEPTED, True): (P.DELIVERED, A.DELIVERED, False),
    ("accepted", A.CLAIMED, False): (P.ACCEPTED, A.ACCEPTED, True),
    ("accepted", A.CLAIMED, True): (P.ACCEPTED, A.ACCEPTED, True),
    ("accepted", A.ACCEPTED, False): (P.ACCEPTED, A.ACCEPTED, True),
    ("accepted", A.ACCEPTED, True): (P.ACCEPTED, A.ACCEPTED, True),
    ("refused", A.CLAIMED, False): (P.REFUSED, A.REFUSED, False),
    ("refused", A.CLAIMED, True): (P.REFUSED, A.REFUSED, False),
    ("refused", A.ACCEPTED, False): (P.REFUSED, A.REFUSED, False),
    ("refused", A.ACCEPTED, True): (P.REFUSED, A.REFUSED, False),
    ("failed, may be retried", A.CLAIMED, False): (P.DUE, A.FAILED, True),
    ("failed, may be retried", A.CLAIMED, True): (P.FAILED, A.FAILED, False),
    ("failed, may be retried", A.ACCEPTED, False): (P.DUE, A.FAILED, True),
    ("failed, may be retried", A.ACCEPTED, True): (P.FAILED, A.FAILED, False),
    ("failed for good", A.CLAIMED, False): (P.FAILED, A.FAILED, False),
    ("failed for good", A.CLAIMED, True): (P.FAILED, A.FAILED, False),
    ("failed for good", A.ACCEPTED, False): (P.FAILED, A.FAILED, False),
    ("failed for good", A.ACCEPTED, True): (P.FAILED, A.FAILED, False),
    ("unknown", A.CLAIMED, False): (P.IN_FLIGHT, A.CLAIMED, True),
    ("unknown", A.CLAIMED, True): (P.IN_FLIGHT, A.CLAIMED, True),
    ("unknown", A.ACCEPTED, False): (P.ACCEPTED, A.ACCEPTED, True),
    ("unknown", A.ACCEPTED, True): (P.ACCEPTED, A.ACCEPTED, True),
}


def decide(answer, *, attempt=A.CLAIMED, tries=1, max_tries=5, calls=1, spread=0.5):
    return decide_after(
        answer,
        attempt=attempt,
        tries=tries,
        max_tries=max_tries,
        calls=calls,
        now=NOW,
        first_delay=FIRST,
        spread=spread,
    )


def test_the_table_has_a_row_for_every_case():
    assert set(TABLE) == set(itertools.product(ANSWERS, Attempt.UNSETTLED, [False, True]))


@pytest.mark.parametrize(("case", "expected"), TABLE.items(), ids=str)
def test_an_answer_leads_to_the_state_in_the_table(case, expected):
    answer, attempt, last_try = case
    decision = decide(ANSWERS[answer], attempt=attempt, tries=5 if last_try else 4)
    goes_on = decision.next_try_at is not None
    assert (decision.payout, decision.attempt, goes_on) == expected


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("status", [A.DELIVERED, A.REFUSED, A.FAILED])
def test_no_answer_changes_a_settled_attempt(answer, status):
    with pytest.raises(ValueError, match="final"):
        decide(ANSWERS[answer], attempt=status)


@given(
    answer=st.sampled_from(list(ANSWERS.values())),
    attempt=st.sampled_from(Attempt.UNSETTLED),
    tries=st.integers(1, 10**6),
    calls=st.integers(1, 10**6),
    spread=st.floats(0, 1, exclude_max=True),
)
def test_only_an_open_payout_has_a_next_try_and_it_lies_ahead_within_bounds(
    answer, attempt, tries, calls, spread
):
    decision = decide(answer, attempt=attempt, tries=tries, calls=calls, spread=spread)
    assert (decision.next_try_at is not None) == (decision.payout in Payout.OPEN)
    if decision.next_try_at is not None:
        assert FIRST / 2 <= decision.next_try_at - NOW <= MAX_RETRY


@given(
    answer=st.sampled_from(list(ANSWERS.values())),
    attempt=st.sampled_from(Attempt.UNSETTLED),
    tries=st.integers(1, 10),
)
def test_a_payout_is_due_again_only_when_its_attempt_can_no_longer_pay(answer, attempt, tries):
    decision = decide(answer, attempt=attempt, tries=tries)
    if decision.payout in (P.DUE, P.REFUSED, P.FAILED):
        assert decision.attempt not in Attempt.LIVE
    else:
        assert decision.attempt in Attempt.LIVE


def test_each_failure_waits_twice_as_long_as_the_one_before():
    waits = [
        decide(ANSWERS["failed, may be retried"], tries=tries, max_tries=99).next_try_at - NOW
        for tries in range(1, 5)
    ]
    assert [later / earlier for earlier, later in itertools.pairwise(waits)] == [2, 2, 2]


@pytest.mark.parametrize("answer", ["accepted", "unknown"])
def test_the_rail_is_asked_at_growing_intervals_that_have_a_limit(answer):
    waits = [decide(ANSWERS[answer], calls=calls).next_try_at - NOW for calls in (1, 2, 3, 500)]
    assert waits == sorted(set(waits))
    assert waits[-1] <= MAX_POLL


def test_retries_of_many_payouts_are_spread_over_time():
    soonest = decide(ANSWERS["failed, may be retried"], spread=0.0).next_try_at
    latest = decide(ANSWERS["failed, may be retried"], spread=0.999).next_try_at
    assert latest - soonest > FIRST / 3
