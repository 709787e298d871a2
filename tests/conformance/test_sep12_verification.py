"""SEP-12 v1.15.0: "Customer PUT", Verification, and "Customer PUT Verification" (deprecated)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.callers import make_sending_anchor
from tests.fixtures.kyc import PHONES, Api, assert_error, code_sent_to

NUMBER = "+525512345678"
TYPES = {
    "receiver": {"required": ["first_name", "mobile_number"], "optional": ["email_address"]},
}
WRONG = "not the code"


@pytest.fixture(autouse=True)
def numbers_are_verified(configure: Callable[..., None]) -> None:
    configure(customer_types=TYPES, verification={"mobile_number": PHONES})


@pytest.fixture
def customer_id(api: Api) -> str:
    return api.register(first_name="Ana", mobile_number=NUMBER)


def state_of_number(api: Api, customer_id: str) -> str:
    return str(api.get(id=customer_id).json()["provided_fields"]["mobile_number"]["status"])


# -- Verification -------------------------------------------------------------------------------
def test_a_field_to_be_verified_first_has_the_status_that_says_so(
    api: Api, customer_id: str
) -> None:
    """Verification: "it will first receive status `VERIFICATION_REQUIRED`"; Customer GET,
    Response: `provided_fields` are "Required for customers whose information needs
    verification"."""
    body = api.get(id=customer_id).json()
    assert body["status"] == "NEEDS_INFO"
    assert body["provided_fields"]["mobile_number"]["status"] == "VERIFICATION_REQUIRED"
    # "The `fields` entry is required in this case", though a code is no field that is missing.
    assert body["fields"].keys() == {"email_address"}
    assert body["fields"]["email_address"]["optional"] is True


def test_the_code_is_put_as_the_field_with_the_suffix(api: Api, customer_id: str) -> None:
    """Verification: "suffixed with `_verification`"; "an `ACCEPTED` status on `mobile_number`
    field if the application instantly verified"; other fields may come along."""
    code = code_sent_to(NUMBER)
    put = api.put(id=customer_id, email_address="ana@example.com", mobile_number_verification=code)
    assert (put.status_code, put.json()) == (202, {"id": customer_id})
    body = api.get(id=customer_id).json()
    assert body["status"] == "ACCEPTED"
    assert body["provided_fields"]["mobile_number"]["status"] == "ACCEPTED"
    assert "email_address" in body["provided_fields"]


def test_the_code_may_come_in_a_form(api: Api, customer_id: str) -> None:
    """Content Type, with Verification."""
    code = code_sent_to(NUMBER)
    assert api.form(id=customer_id, mobile_number_verification=code).status_code == 202
    assert state_of_number(api, customer_id) == "ACCEPTED"


def test_a_wrong_code_is_an_error_and_changes_nothing(api: Api, customer_id: str) -> None:
    """Customer PUT, Response: details under `error`, as in its second example."""
    code_sent_to(NUMBER)
    refusal = api.put(id=customer_id, first_name="Eva", mobile_number_verification=WRONG)
    assert "mobile_number" in assert_error(refusal, 400)
    assert state_of_number(api, customer_id) == "VERIFICATION_REQUIRED"


def test_another_value_must_be_verified_anew(api: Api, customer_id: str) -> None:
    """Verification: "For any field that require verification"."""
    api.put(id=customer_id, mobile_number_verification=code_sent_to(NUMBER))
    api.register(id=customer_id, mobile_number="+525587654321")
    assert state_of_number(api, customer_id) == "VERIFICATION_REQUIRED"


def test_a_code_for_a_field_that_needs_none_is_an_error(api: Api, customer_id: str) -> None:
    """Verification: such codes are for fields in `VERIFICATION_REQUIRED`."""
    api.register(id=customer_id, email_address="ana@example.com")
    refusal = api.put(id=customer_id, email_address_verification="123456")
    assert "email_address" in assert_error(refusal, 400)


# -- Customer PUT Verification ------------------------------------------------------------------
def test_put_verification_answers_200_with_the_body_of_get(api: Api, customer_id: str) -> None:
    """Customer PUT Verification, Response: `200` with a "body matching the GET /customer
    response"; statuses "must be updated to either `PROCESSING` or `ACCEPTED`"."""
    code = code_sent_to(NUMBER)
    answer = api.put("/verification", id=customer_id, mobile_number_verification=code)
    assert answer.status_code == 200
    assert answer.json() == api.get(id=customer_id).json()
    assert answer.json()["status"] == "ACCEPTED"
    assert answer.json()["provided_fields"]["mobile_number"]["status"] == "ACCEPTED"


def test_while_the_customer_is_checked_a_verified_field_is_processing(
    api: Api, customer_id: str, settings: Any
) -> None:
    """Verification: "`PROCESSING` if it needs time to process it"."""
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"
    code = code_sent_to(NUMBER)
    body = api.put("/verification", id=customer_id, mobile_number_verification=code).json()
    assert body["status"] == "PROCESSING"
    assert body["provided_fields"]["mobile_number"]["status"] == "PROCESSING"


def test_put_verification_needs_an_id_and_a_code(api: Api, customer_id: str) -> None:
    """Customer PUT Verification, Request: `id`, and "One or more SEP-9 fields appended with
    `_verification`"."""
    assert "id" in assert_error(api.put("/verification", mobile_number_verification="1"), 400)
    assert "_verification" in assert_error(api.put("/verification", id=customer_id), 400)


def test_put_verification_of_an_unknown_id_is_a_404(api: Api, customer_id: str) -> None:
    """Customer PUT Verification, Response: "If the `id` provide is not known, a `404`"."""
    code = {"mobile_number_verification": code_sent_to(NUMBER)}
    assert_error(api.put("/verification", id=str(uuid.uuid4()), **code), 404)
    stranger = Api(make_sending_anchor().headers())
    assert_error(stranger.put("/verification", id=customer_id, **code), 404)


def test_any_other_error_of_put_verification_is_a_400(api: Api, customer_id: str) -> None:
    """Customer PUT Verification, Response: "On any other client error, use a `400`"."""
    code_sent_to(NUMBER)
    for codes in (
        {"mobile_number_verification": WRONG},
        {"mobile_number_verification": 7},
        {"last_name_verification": "123456"},
        {"shoe_size_verification": "123456"},
    ):
        assert_error(api.put("/verification", id=customer_id, **codes), 400)
    assert state_of_number(api, customer_id) == "VERIFICATION_REQUIRED"
