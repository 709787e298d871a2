"""The queue of customers who wait for a decision."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.management import call_command

from sep12 import services
from sep12.cases import NOT_NEEDED, REPLACED
from sep12.models import Case, Customer
from sep12.status import Verdict
from tests.integration.sep12.conftest import Api

NAMES = {"first_name": "Lucía", "last_name": "Hernández"}
RECEIVER = {**NAMES, "bank_account_number": "5500010001"}


@pytest.fixture(autouse=True)
def operators_decide(settings: Any) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"


def open_cases() -> list[tuple[str, str, int]]:
    rows = Case.objects.filter(closed_at=None).order_by("type")
    return list(rows.values_list("kind", "type", "revision"))


def decide(customer_id: str, status: str, type_name: str = "sender") -> None:
    services.record_decision(
        uuid.UUID(customer_id), type_name, Verdict(status, "Why"), decided_by="ana"
    )


def closed_case() -> Case:
    return Case.objects.get(closed_at__isnull=False)


def test_a_customer_who_told_all_waits_in_the_queue(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    assert api.status(id=customer_id) == "PROCESSING"
    assert open_cases() == [("REVIEW", "sender", 1)]


def test_one_who_did_not_is_no_case_yet(api: Api) -> None:
    customer_id = api.register(type="sender", first_name="Lucía")
    assert open_cases() == []
    api.register(id=customer_id, last_name="Hernández")
    assert open_cases() == [("REVIEW", "sender", 2)]


@pytest.mark.parametrize("status", ["ACCEPTED", "REJECTED"])
def test_a_decision_closes_the_case_and_says_so(api: Api, status: str) -> None:
    customer_id = api.register(type="sender", **NAMES)
    decide(customer_id, status)
    assert api.status(id=customer_id) == status
    assert open_cases() == []
    assert (closed_case().outcome, closed_case().closed_by) == (status, "ana")


def test_a_case_that_is_put_off_stays_open(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    decide(customer_id, "PROCESSING")
    assert api.get(id=customer_id).json()["message"] == "Why"
    assert len(open_cases()) == 1


def test_other_values_after_a_decision_go_back_to_review(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    decide(customer_id, "ACCEPTED")
    api.register(id=customer_id, last_name="García")
    assert api.status(id=customer_id) == "PROCESSING"
    assert open_cases() == [("REVIEW", "sender", 2)]


def test_the_same_values_after_a_decision_do_not(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    decide(customer_id, "ACCEPTED")
    api.register(id=customer_id, **NAMES)
    assert api.status(id=customer_id) == "ACCEPTED"
    assert open_cases() == []


def test_nobody_who_was_rejected_comes_back_by_other_values(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    decide(customer_id, "REJECTED")
    api.register(id=customer_id, last_name="García")
    assert api.status(id=customer_id) == "REJECTED"
    assert open_cases() == []


def test_a_customer_who_corrects_a_value_keeps_the_place_in_the_queue(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    before = Case.objects.get()
    api.register(id=customer_id, last_name="García")
    after = Case.objects.get()
    assert (after.pk, after.opened_at) == (before.pk, before.opened_at)
    assert after.revision == before.revision + 1


def test_a_refused_field_closes_the_case_until_it_is_corrected(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    services.reject_fields(uuid.UUID(customer_id), {"last_name": "It is not that of the document"})
    assert api.status(id=customer_id) == "NEEDS_INFO"
    assert open_cases() == []
    assert closed_case().outcome == NOT_NEEDED
    api.register(id=customer_id, last_name="García")
    assert open_cases() == [("REVIEW", "sender", 2)]


def test_each_type_of_a_customer_is_decided_on_its_own(api: Api) -> None:
    customer_id = api.register(type="sender", **RECEIVER)
    api.register(id=customer_id, type="receiver")
    assert open_cases() == [("REVIEW", "receiver", 1), ("REVIEW", "sender", 1)]
    decide(customer_id, "ACCEPTED", "sender")
    assert open_cases() == [("REVIEW", "receiver", 1)]
    assert api.status(id=customer_id, type="sender") == "ACCEPTED"


def test_other_values_concern_every_type_that_the_customer_was_ever_a_case_for(api: Api) -> None:
    customer_id = api.register(type="sender", **RECEIVER)
    decide(customer_id, "ACCEPTED", "sender")
    api.register(id=customer_id, type="receiver", last_name="García")
    assert api.status(id=customer_id, type="sender") == "PROCESSING"
    assert open_cases() == [("REVIEW", "receiver", 2), ("REVIEW", "sender", 2)]


def test_so_it_does_where_the_decision_came_without_a_case(api: Api) -> None:
    customer_id = api.register(type="receiver", **RECEIVER)
    decide(customer_id, "ACCEPTED", "sender")
    api.register(id=customer_id, last_name="García")
    assert open_cases() == [("REVIEW", "receiver", 2), ("REVIEW", "sender", 2)]


def test_a_field_that_only_the_other_type_needs_closes_that_ones_case_only(api: Api) -> None:
    customer_id = api.register(type="receiver", **RECEIVER)
    api.register(id=customer_id, type="sender")
    services.reject_fields(
        uuid.UUID(customer_id), {"bank_account_number": "The bank doesn't know it"}
    )
    assert open_cases() == [("REVIEW", "sender", 1)]


def test_an_erased_customer_leaves_no_case(api: Api, anchor: Any) -> None:
    api.register(type="sender", **NAMES)
    assert api.delete(anchor.account).status_code == 200
    assert not Case.objects.exists()


def test_accepting_at_once_leaves_no_case(api: Api, settings: Any) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.AcceptAtOnce"
    customer_id = api.register(type="sender", **NAMES)
    assert api.status(id=customer_id) == "ACCEPTED"
    assert not Case.objects.exists()


class TestWithAProvider:
    @pytest.fixture(autouse=True)
    def a_provider_decides(self, settings: Any) -> None:
        settings.CUSTOMER_DECISIONS = "sep12.decisions.HttpProvider"

    def test_the_case_is_due_at_once(self, api: Api) -> None:
        api.register(type="sender", **NAMES)
        case = Case.objects.get()
        assert (case.kind, case.closed_at, case.last_error) == ("PROVIDER", None, "")
        assert case.due_at is not None

    def test_new_values_before_it_was_told_are_the_same_case(self, api: Api) -> None:
        customer_id = api.register(type="sender", **NAMES)
        api.register(id=customer_id, last_name="García")
        assert Case.objects.get().revision == 2

    def test_new_values_after_it_was_told_are_another_case(self, api: Api) -> None:
        customer_id = api.register(type="sender", **NAMES)
        Case.objects.update(tries=1)
        api.register(id=customer_id, last_name="García")
        assert (closed_case().outcome, closed_case().due_at) == (REPLACED, None)
        assert open_cases() == [("PROVIDER", "sender", 2)]


def test_settle_customers_brings_the_queue_in_line_with_a_new_way_to_decide(
    api: Api, settings: Any
) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.AcceptAtOnce"
    accepted = api.register(memo="1", type="sender", **NAMES)
    api.register(memo="2", type="sender", first_name="Lucía")
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"
    assert api.status(id=accepted) == "PROCESSING"
    assert open_cases() == []
    call_command("settle_customers")
    assert open_cases() == [("REVIEW", "sender", 1)]
    assert Customer.objects.count() == 2
    settings.CUSTOMER_DECISIONS = "sep12.decisions.HttpProvider"
    call_command("settle_customers")
    assert open_cases() == [("PROVIDER", "sender", 1)]
