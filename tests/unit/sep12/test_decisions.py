"""Who decides, and for how long a decision holds."""

from __future__ import annotations

import pytest

from sep12.decisions import AcceptAtOnce, CustomerDecisions, HttpProvider, OperatorReview
from sep12.models import Case
from sep12.status import Verdict

DECIDED_ON = [OperatorReview(), HttpProvider()]
ACCEPTED, REJECTED = Verdict("ACCEPTED"), Verdict("REJECTED", "No")


def before_a_change(verdict: Verdict) -> Verdict:
    return Verdict(verdict.status, verdict.message, is_current=False)


def test_on_test_networks_everybody_is_accepted_at_once() -> None:
    assert AcceptAtOnce().decide("sender", None) == ACCEPTED


@pytest.mark.parametrize("recorded", [REJECTED, Verdict("PROCESSING", "Wait")])
def test_what_an_operator_recorded_wins_over_accepting_at_once(recorded: Verdict) -> None:
    assert AcceptAtOnce().decide("sender", recorded) == recorded


@pytest.mark.parametrize("decisions", DECIDED_ON)
def test_a_customer_waits_until_somebody_decided(decisions: CustomerDecisions) -> None:
    assert decisions.decide("sender", None).status == "PROCESSING"


@pytest.mark.parametrize("decisions", DECIDED_ON)
@pytest.mark.parametrize("recorded", [ACCEPTED, REJECTED, Verdict("PROCESSING", "Call us")])
def test_a_decision_holds_for_the_values_that_were_judged(
    decisions: CustomerDecisions, recorded: Verdict
) -> None:
    assert decisions.decide("sender", recorded) == recorded


@pytest.mark.parametrize("decisions", DECIDED_ON)
def test_other_values_have_to_be_judged_anew(decisions: CustomerDecisions) -> None:
    assert decisions.decide("sender", before_a_change(ACCEPTED)) == Verdict("PROCESSING")


@pytest.mark.parametrize("decisions", DECIDED_ON)
def test_a_rejection_is_final_whatever_values_come_after_it(decisions: CustomerDecisions) -> None:
    assert decisions.decide("sender", before_a_change(REJECTED)).status == "REJECTED"


def test_each_way_of_deciding_says_who_gets_the_cases() -> None:
    kinds = [one.case_kind for one in (AcceptAtOnce(), OperatorReview(), HttpProvider())]
    assert kinds == [None, Case.Kind.REVIEW, Case.Kind.PROVIDER]
