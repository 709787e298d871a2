"""What other rooms ask of customers."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest

from kernel.errors import BadRequest
from sep12 import services
from sep12.models import Customer, CustomerField
from sep12.status import Verdict
from tests.integration.sep12.conftest import Api

NAMES = {"first_name": "María", "last_name": "Quispe"}


@pytest.mark.parametrize("count", [1, 12])
def test_any_number_of_customers_is_assessed_with_one_query(
    api: Api, django_assert_num_queries: Any, count: int
) -> None:
    ids = [uuid.UUID(api.register(memo=str(i), **NAMES)) for i in range(count)]
    pairs = [(pk, name) for pk in ids for name in ("sender", "receiver")]
    with django_assert_num_queries(1):
        found = services.assess_customers(pairs)
    for pk in ids:
        assert found[pk, "sender"].status == "ACCEPTED"
        assert found[pk, "receiver"].status == "NEEDS_INFO"
        assert found[pk, "receiver"].missing == ("bank_account_number",)


def test_who_was_never_registered_and_what_is_no_type_is_not_accepted(api: Api) -> None:
    known, unknown = uuid.UUID(api.register(**NAMES)), uuid.uuid4()
    found = services.assess_customers([(unknown, "sender"), (known, "emperor")])
    assert found[unknown, "sender"].status == "NEEDS_INFO"
    assert found[unknown, "sender"].missing == ("first_name", "last_name")
    assert found[known, "emperor"].status == "NEEDS_INFO"
    assert "emperor" in found[known, "emperor"].message
    assert services.assess_customers([]) == {}


def test_the_values_of_several_customers_are_revealed_with_one_query(
    api: Api, django_assert_num_queries: Any
) -> None:
    one, two = (uuid.UUID(api.register(memo=memo, **NAMES)) for memo in "12")
    with django_assert_num_queries(1):
        assert services.reveal_fields({one, two}) == {one: NAMES, two: NAMES}


def test_a_refusal_keeps_the_value_and_a_correction_clears_the_error(api: Api) -> None:
    owner = uuid.UUID(api.register(type="sender", **NAMES))
    assert services.reject_fields(owner, {"last_name": "x" * 500}) == {"last_name"}
    row = CustomerField.objects.get(name="last_name")
    assert (row.value, row.status, len(row.error)) == ("Quispe", "REJECTED", 300)
    api.register(last_name="Quispe Paz")
    row.refresh_from_db()
    assert (row.value, row.status, row.error) == ("Quispe Paz", "ACCEPTED", "")


def test_a_field_that_a_rail_wants_besides_is_asked_for_and_then_taken(api: Api) -> None:
    owner = uuid.UUID(api.register(type="sender", **NAMES))
    services.reject_fields(owner, {"clabe_number": "This bank needs it"})
    assert services.assess_customers([(owner, "sender")])[owner, "sender"].missing == (
        "clabe_number",
    )
    assert "clabe_number" not in services.reveal_fields({owner})[owner]
    api.register(clabe_number="032180000118359719")
    assert api.status() == "ACCEPTED"


def test_a_name_that_nobody_could_send_is_left_out_and_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    owner = uuid.UUID(api.register(type="sender", **NAMES))
    with caplog.at_level(logging.ERROR):
        assert services.reject_fields(owner, {"shoe_size": "Too big"}) == frozenset()
    assert "SEP-9" in caplog.text
    assert api.status() == "ACCEPTED"


def test_a_decision_takes_the_place_of_the_one_before(api: Api) -> None:
    owner = uuid.UUID(api.register(type="sender", **NAMES))
    for verdict in (Verdict("PROCESSING"), Verdict("REJECTED", "No"), Verdict("ACCEPTED")):
        services.record_decision(owner, "sender", verdict, decided_by="ana")
        assert api.status() == verdict.status


def test_a_rejection_without_a_reason_and_an_unknown_type_are_refused(api: Api) -> None:
    owner = uuid.UUID(api.register(**NAMES))
    with pytest.raises(ValueError, match="message"):
        services.record_decision(owner, "sender", Verdict("REJECTED"), decided_by="ana")
    with pytest.raises(BadRequest):
        services.record_decision(owner, "emperor", Verdict("ACCEPTED"), decided_by="ana")


def test_an_acceptance_on_record_does_not_stand_in_for_what_is_missing(api: Api) -> None:
    owner = uuid.UUID(api.register(type="receiver", **NAMES))
    services.record_decision(owner, "receiver", Verdict("ACCEPTED"), decided_by="ana")
    assert api.status() == "NEEDS_INFO"


def test_logs_hold_no_value(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        api.register(type="sender", first_name="Maximiliana", last_name="Quispelliyoc")
        api.put(first_name="Maximiliana", birth_date="Quispelliyoc")
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("django.db")]
    assert not any("Maximiliana" in line or "Quispelliyoc" in line for line in ours)
    assert Customer.objects.count() == 1
