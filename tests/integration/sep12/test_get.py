"""GET /customer: each status and what it comes with."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from sep12 import services
from sep12.models import CustomerField
from sep12.status import Verdict
from tests.fixtures.documents import photo
from tests.integration.sep12.conftest import Api

NAMES = {"first_name": "María", "last_name": "Quispe"}


def decide(customer_id: str, type_name: str, status: str, message: str = "") -> None:
    services.record_decision(
        uuid.UUID(customer_id), type_name, Verdict(status, message), decided_by="test"
    )


def test_who_is_not_registered_is_told_what_we_need(api: Api) -> None:
    response = api.get(memo="7", type="sender")
    assert response.status_code == 200
    assert response.json() == {
        "status": "NEEDS_INFO",
        "fields": {
            "first_name": {"type": "string", "description": "Given name"},
            "last_name": {"type": "string", "description": "Family name"},
            "email_address": {"type": "string", "description": "Email address", "optional": True},
            "id_type": {
                "type": "string",
                "description": "Kind of identity document, such as passport",
                "choices": ["passport", "id_card"],
                "optional": True,
            },
        },
    }


def test_without_parameters_the_answer_is_the_same(api: Api) -> None:
    assert api.get().json() == api.get(memo="7", type="sender").json()


def test_half_registered_a_customer_sees_what_is_there_and_what_is_not(api: Api) -> None:
    customer_id = api.register(type="receiver", first_name="María", mobile_number="+525512345678")
    body = api.get(id=customer_id, type="receiver").json()
    assert (body["id"], body["status"]) == (customer_id, "NEEDS_INFO")
    assert set(body["fields"]) == {"last_name", "bank_account_number", "bank_branch_number"}
    assert body["provided_fields"] == {
        "first_name": {"type": "string", "description": "Given name", "status": "ACCEPTED"},
        "mobile_number": {
            "type": "string",
            "description": "Mobile phone number with country code, E.164",
            "optional": True,
            "status": "ACCEPTED",
        },
    }
    assert "last_name" in body["message"]


def test_with_all_that_is_required_a_customer_is_accepted(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    body = api.get(id=customer_id, type="sender").json()
    assert body["status"] == "ACCEPTED"
    assert "fields" not in body
    assert set(body["provided_fields"]) == set(NAMES)


def test_one_customer_has_a_status_for_each_type(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    statuses = {t: api.status(id=customer_id, type=t) for t in ("sender", "receiver", "checked")}
    assert statuses == {"sender": "ACCEPTED", "receiver": "NEEDS_INFO", "checked": "NEEDS_INFO"}


def test_without_a_type_the_one_it_was_last_registered_for_is_meant(api: Api) -> None:
    customer_id = api.register(type="receiver", **NAMES)
    assert api.get(id=customer_id).json() == api.get(id=customer_id, type="receiver").json()


def test_while_kyc_is_at_work_a_customer_is_processing(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    decide(customer_id, "sender", "PROCESSING", "A person looks at it")
    body = api.get(id=customer_id, type="sender").json()
    assert (body["status"], body["message"]) == ("PROCESSING", "A person looks at it")


def test_fields_are_accepted_only_where_the_customer_is_not_in_doubt(api: Api) -> None:
    """SEP-12, "Provided Field Statuses": all fields accepted would be a customer accepted."""
    customer_id = api.register(type="sender", first_name="María", last_name="Quispe")

    def statuses() -> set[str | None]:
        provided = api.get(id=customer_id, type="sender").json()["provided_fields"]
        return {field.get("status") for field in provided.values()}

    assert statuses() == {"ACCEPTED"}
    decide(customer_id, "sender", "PROCESSING")
    assert statuses() == {"PROCESSING"}
    decide(customer_id, "sender", "REJECTED", "On a list")
    assert statuses() == {None}


def test_a_rejection_stands_whatever_is_sent_and_says_why(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    decide(customer_id, "sender", "REJECTED", "On a sanctions list")
    api.register(id=customer_id, first_name="Ana")
    body = api.get(id=customer_id, type="sender").json()
    assert (body["status"], body["message"]) == ("REJECTED", "On a sanctions list")
    assert api.status(id=customer_id, type="receiver") == "NEEDS_INFO"


def test_a_refused_field_says_why_and_is_asked_for_again(api: Api) -> None:
    customer_id = api.register(type="receiver", bank_account_number="1", **NAMES)
    services.reject_fields(
        uuid.UUID(customer_id),
        {"bank_account_number": "No such account", "bank_branch_number": "We need it"},
    )
    body = api.get(id=customer_id, type="receiver").json()
    assert body["status"] == "NEEDS_INFO"
    refused = body["provided_fields"]["bank_account_number"]
    assert (refused["status"], refused["error"]) == ("REJECTED", "No such account")
    # Never sent, so there is nothing to show; but now it is required.
    assert "bank_branch_number" not in body["provided_fields"]
    assert "optional" not in body["fields"]["bank_branch_number"]
    assert "bank_account_number" in body["fields"]
    assert api.status(id=customer_id, type="sender") == "ACCEPTED"


def test_a_field_that_waits_for_a_code_says_so(api: Api) -> None:
    customer_id = api.register(type="receiver", bank_account_number="1", **NAMES)
    CustomerField.objects.filter(name="first_name").update(status="VERIFICATION_REQUIRED")
    body = api.get(id=customer_id, type="receiver").json()
    assert body["status"] == "NEEDS_INFO"
    assert body["provided_fields"]["first_name"]["status"] == "VERIFICATION_REQUIRED"
    assert "first_name_verification" not in body["fields"]
    refused = api.put("/verification", id=customer_id, first_name_verification="123456")
    assert refused.status_code == 400
    assert "code" in refused.json()["error"]


def test_an_unknown_id_is_a_404_and_an_unknown_type_a_400(api: Api) -> None:
    for customer_id in (str(uuid.uuid4()), "7", "null", "x" * 99):
        response = api.get(id=customer_id)
        assert response.status_code == 404
        assert response.json()["error"]
    response = api.get(type="emperor")
    assert response.status_code == 400
    assert "sender, receiver, checked" in response.json()["error"]


def test_an_id_and_the_memo_of_another_customer_contradict_each_other(api: Api) -> None:
    customer_id = api.register(memo="7")
    assert api.get(id=customer_id, memo="7").status_code == 200
    response = api.get(id=customer_id, memo="8")
    assert response.status_code == 400
    assert "memo" in response.json()["error"]
    assert api.put(id=customer_id, memo="8", **NAMES).status_code == 400


def test_the_reply_holds_no_value(api: Api) -> None:
    customer_id = api.register(type="sender", first_name="Maximiliana", last_name="Quispelliyoc")
    text = api.get(id=customer_id).content.decode()
    assert "Maximiliana" not in text
    assert "Quispelliyoc" not in text


@pytest.mark.parametrize("fields", [{}, NAMES, {**NAMES, "bank_account_number": "1", "city": "x"}])
def test_a_get_costs_one_query_and_unseals_nothing(
    api: Api,
    django_assert_num_queries: Any,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, str],
) -> None:
    memo = {"memo": "7", "memo_type": "id"}
    customer_id = api.form(type="receiver", photo_id_front=photo(), **memo, **fields).json()["id"]

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a value was unsealed")

    monkeypatch.setattr("kernel.sealed.unseal", fail)
    with django_assert_num_queries(2):
        by_id, by_memo = api.get(id=customer_id), api.get(**memo)
    assert by_id.json() == by_memo.json()
    assert set(by_id.json()["provided_fields"]) == {"photo_id_front", *fields}
