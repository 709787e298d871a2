"""What SDF's suite (stellar-anchor-tests) asks of SEP-12 beyond the text, request by request.

The suite itself is run against a deployment; the README says how.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.fixtures.callers import RegisteredAnchor, bearer_for
from tests.fixtures.documents import picture
from tests.fixtures.kyc import Api, assert_error
from tests.unit.sep12.test_sep9 import FINANCIAL_ACCOUNT, NATURAL_PERSON, table

SENDER = {"type": "sep31-sender", "first_name": "Ana", "last_name": "Paz"}
RECEIVER = {
    "type": "sep31-receiver",
    "first_name": "Eva",
    "last_name": "Roa",
    "bank_account_number": "5500010001",
    "bank_number": "012",
}
STATUSES = {"NEEDS_INFO", "ACCEPTED", "PROCESSING", "REJECTED"}
FIELD_STATUSES = {"ACCEPTED", "PROCESSING", "REJECTED", "VERIFICATION_REQUIRED"}
PERSON_FIELDS = {**table(NATURAL_PERSON), **table(FINANCIAL_ACCOUNT)}


def check_schema(body: dict[str, Any]) -> None:
    """Its schema of GET /customer: no field but a person's, `type` and `description` in each."""
    assert body["status"] in STATUSES
    assert isinstance(body.get("id", ""), str)
    for kind in ("fields", "provided_fields"):
        for name, field in body.get(kind, {}).items():
            assert field["type"] == PERSON_FIELDS[name]
            assert isinstance(field["description"], str)
            assert isinstance(field.get("choices", []), list)
            assert isinstance(field.get("optional", False), bool)
            assert field.get("status", "ACCEPTED") in FIELD_STATUSES
            assert isinstance(field.get("error", ""), str)


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "", "image/png", "nonsense"])
@pytest.mark.parametrize("body", [b"[object Object]", b"{", b"\x00\xff", b"x" * 3_000_000])
def test_the_token_is_asked_for_before_the_body_is_looked_at(
    client: Client, db: None, content_type: str, body: bytes
) -> None:
    """It PUTs text/plain without a token, and wants 401 or 403, not 415."""
    assert_error(client.put("/sep12/customer", body, content_type), 401)


def test_a_new_customer_is_told_what_is_needed_with_200_and_no_id(api: Api) -> None:
    """It GETs ?type=... of an account that it just made; the text allows other readings."""
    answer = api.get(type="sep31-sender")
    assert answer.status_code == 200
    assert answer.json()["status"] == "NEEDS_INFO"
    assert "id" not in answer.json()
    check_schema(answer.json())


def test_an_empty_query_is_one_too(api: Api) -> None:
    """Without a configured type it GETs /customer? and nothing after it."""
    answer = api.client.get("/sep12/customer?", headers=api.headers)
    assert answer.status_code == 200
    check_schema(answer.json())


def test_put_answers_202_with_json_and_a_string_id(api: Api) -> None:
    """The text would take 200 too."""
    answer = api.put(**SENDER)
    assert answer.status_code == 202
    assert "application/json" in answer["Content-Type"]
    assert isinstance(answer.json()["id"], str)


def test_a_form_with_a_file_is_put_as_its_library_writes_it(api: Api) -> None:
    """With photos it PUTs multipart/form-data, in whatever order its configuration has."""
    photo = SimpleUploadedFile("front.png", picture(), "image/png")
    answer = api.form(photo_id_front=photo, **SENDER)
    assert answer.status_code == 202
    check_schema(api.get(id=answer.json()["id"]).json())


def test_an_existing_customer_is_found_by_id_and_by_token(api: Api) -> None:
    """Whoever gave all that a type requires may not be NEEDS_INFO any more."""
    customer_id = api.register(**SENDER)
    for whom in ({"id": customer_id}, {}):
        body = api.get(**whom, type="sep31-sender").json()
        assert body["status"] != "NEEDS_INFO"
        check_schema(body)


def test_memos_in_tokens_and_bodies_tell_customers_of_one_account_apart(
    anchor: RegisteredAnchor,
) -> None:
    """It PUTs a sender and a receiver by two tokens of one account, memos 1 and 2, each memo in
    the body as well."""
    ids = [
        Api({"Authorization": bearer_for(anchor.account, memo)}).register(
            memo=memo, memo_type="id", **customer
        )
        for memo, customer in (("1", SENDER), ("2", RECEIVER))
    ]
    assert len(set(ids)) == 2


def test_an_account_with_and_without_a_memo_may_both_be_used(anchor: RegisteredAnchor) -> None:
    """It makes tokens of its SEP-31 account without a memo as well; Shared Accounts would have us
    refuse the second way."""
    for memo in ("1", None, "2"):
        Api({"Authorization": bearer_for(anchor.account, memo)}).register(**SENDER)


def test_delete_without_a_body_answers_exactly_200(api: Api, anchor: RegisteredAnchor) -> None:
    """It DELETEs /customer/G... with no body and no Content-Type, after a GET by `account`."""
    api.register(account=anchor.account, **SENDER)
    assert api.get(account=anchor.account, type="sep31-sender").status_code == 200
    path = f"/sep12/customer/{anchor.account}"
    answer = api.client.generic("DELETE", path, content_type="", headers=api.headers)
    assert answer.status_code == 200
