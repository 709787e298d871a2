"""SEP-12 v1.15.0: "Customer GET", Response and Errors; "Customer PUT"; "Customer DELETE"."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from stellar_sdk import Keypair

from sep12.models import CustomerField, CustomerFile
from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor
from tests.fixtures.documents import photo, picture
from tests.fixtures.kyc import Api, assert_error, judge, refuse_field
from tests.fixtures.transactions import post_transaction, register_both

NAMES = {"first_name": "Ana", "last_name": "Paz"}
SENDER = {"type": "sep31-sender", **NAMES}
PHOTO_TYPE = {
    "required": ["first_name", "id_type", "photo_id_front", "occupation", "birth_date"],
    "optional": ["email_address"],
    "choices": {"id_type": ["passport", "id_card"]},
}


@pytest.fixture
def customer_id(api: Api) -> str:
    return api.register(memo="7", **SENDER)


@pytest.fixture
def operators_decide(settings: Any) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"


# -- Customer GET -------------------------------------------------------------------------------
def test_of_an_unregistered_customer_it_tells_the_fields_that_are_required(api: Api) -> None:
    """Customer GET: "it should return the fields required"; "they do not yet have an `id`"."""
    answer = api.get(memo="7", type="sep31-sender")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "NEEDS_INFO"
    assert body["fields"].keys() >= NAMES.keys()
    assert body.keys().isdisjoint({"id", "provided_fields"})


def test_without_parameters_it_tells_the_same(api: Api) -> None:
    """Customer GET: "The same response should be returned when no parameters are sent"."""
    assert api.get().json() == api.get(memo="7", type="sep31-sender").json()


def test_of_a_registered_customer_it_tells_id_and_status(api: Api, customer_id: str) -> None:
    """Customer GET, 2, and Response: `id`, `status`."""
    body = api.get(memo="7", type="sep31-sender").json()
    assert (body["id"], body["status"]) == (customer_id, "ACCEPTED")


def test_what_is_still_needed_is_returned(api: Api, customer_id: str) -> None:
    """Customer GET, 2: "If the server still needs more info [...] it should return the fields
    required"."""
    body = api.get(id=customer_id, type="sep31-receiver").json()
    assert {"bank_account_number", "bank_number"} <= body["fields"].keys()
    assert body["fields"].keys().isdisjoint(NAMES)  # "the anchor has not yet received"
    assert body["provided_fields"].keys() == NAMES.keys()


# -- Customer Statuses --------------------------------------------------------------------------
def test_accepted_is_who_gave_all_required_fields_and_is_validated(
    api: Api, customer_id: str
) -> None:
    """Customer Statuses, ACCEPTED; Fields: "should not have any required fields present"."""
    body = api.get(id=customer_id, type="sep31-sender").json()
    assert body["status"] == "ACCEPTED"
    assert all(field["optional"] for field in body.get("fields", {}).values())
    assert body["provided_fields"].keys() == NAMES.keys()
    assert {field["status"] for field in body["provided_fields"].values()} == {"ACCEPTED"}


def test_accepted_may_move_back_to_another_status(api: Api, customer_id: str) -> None:
    """Customer Statuses, ACCEPTED: "possible for an accepted customer to move back"."""
    refuse_field(customer_id, "last_name", "Not as in the passport")
    assert api.status(id=customer_id) == "NEEDS_INFO"
    judge(customer_id, "sep31-sender", "REJECTED", "This person can't be a customer")
    assert api.status(id=customer_id) == "REJECTED"


def test_processing_is_whose_kyc_is_in_flight(api: Api, operators_decide: None) -> None:
    """Customer Statuses, PROCESSING: the "client can check again in the future"."""
    customer_id = api.register(**SENDER)
    body = api.get(id=customer_id).json()
    assert body["status"] == "PROCESSING"
    assert body["message"]  # as in the SEP's example
    assert "fields" not in body
    judge(customer_id, "sep31-sender", "ACCEPTED")
    assert api.status(id=customer_id) == "ACCEPTED"


def test_needs_info_always_comes_with_fields(api: Api, configure: Callable[..., None]) -> None:
    """Customer Statuses, NEEDS_INFO: "The `fields` entry is required in this case"."""
    assert api.get(type="sep31-sender").json()["fields"]
    customer_id = api.register(type="sep31-sender", first_name="Ana")
    body = api.get(id=customer_id).json()
    assert body["status"] == "NEEDS_INFO"
    assert "last_name" in body["fields"]
    configure(customer_types={"anybody": {"required": [], "optional": []}})
    nobody = api.get(memo="8").json()
    assert (nobody["status"], nobody["fields"]) == ("NEEDS_INFO", {})


def test_rejected_always_comes_with_a_message(api: Api, customer_id: str) -> None:
    """Customer Statuses, REJECTED: "will never succeed. The `message` must be supplied"."""
    with pytest.raises(ValueError, match="message"):
        judge(customer_id, "sep31-sender", "REJECTED")
    judge(customer_id, "sep31-sender", "REJECTED", "This person can't be a customer")
    body = api.get(id=customer_id).json()
    assert (body["status"], body["message"]) == ("REJECTED", "This person can't be a customer")
    api.register(id=customer_id, email_address="ana@example.com")
    assert api.status(id=customer_id) == "REJECTED"


def test_messages_are_for_humans(api: Api, customer_id: str) -> None:
    """Customer GET, Response, `message`: "Human readable message describing the current state"."""
    message = api.get(id=customer_id, type="sep31-receiver").json()["message"]
    assert message == "Still needed: bank_account_number, bank_number."


# -- Fields -------------------------------------------------------------------------------------
def test_a_field_says_its_type_description_choices_and_whether_it_is_optional(
    api: Api, configure: Callable[..., None]
) -> None:
    """Fields: `type`, `description`, `choices`, `optional` ("Defaults to false")."""
    configure(customer_types={"checked": PHOTO_TYPE})
    fields = api.get(type="checked").json()["fields"]
    assert {name: field["type"] for name, field in fields.items()} == {
        "first_name": "string",
        "id_type": "string",
        "photo_id_front": "binary",
        "occupation": "number",
        "birth_date": "date",
        "email_address": "string",
    }
    assert all(field["description"] for field in fields.values())
    assert fields["id_type"]["choices"] == ["passport", "id_card"]
    assert [name for name, field in fields.items() if field.get("optional")] == ["email_address"]
    assert [name for name, field in fields.items() if "choices" in field] == ["id_type"]


def test_keys_are_names_of_sep_9(api: Api) -> None:
    """Fields: "keys representing the SEP-9 field names required", dots and all."""
    fields = api.get(type="sep31-business-sender").json()["fields"]
    assert {"organization.name", "organization.registration_number"} <= fields.keys()


def test_choices_are_the_values_that_are_taken(api: Api, configure: Callable[..., None]) -> None:
    """Fields, `choices`: "An array of valid values"."""
    configure(customer_types={"checked": PHOTO_TYPE})
    error = assert_error(api.put(type="checked", id_type="library_card"), 400)
    assert "passport" in error
    assert api.put(type="checked", id_type="passport").status_code == 202


def test_an_optional_field_is_not_needed_to_proceed(api: Api, customer_id: str) -> None:
    """Fields, `optional`: "whether this field is required to proceed or not"."""
    assert api.get(memo="8").json()["fields"]["email_address"]["optional"] is True
    assert api.status(id=customer_id) == "ACCEPTED"


# -- Provided Fields ----------------------------------------------------------------------------
def test_a_provided_field_says_what_a_field_says_and_its_status(
    api: Api, configure: Callable[..., None]
) -> None:
    """Provided Fields: `type`, `description`, `choices`, `optional`, `status`."""
    configure(customer_types={"checked": PHOTO_TYPE})
    values = {"first_name": "Ana", "id_type": "passport", "email_address": "ana@example.com"}
    customer_id = api.register(type="checked", **values)
    provided = api.get(id=customer_id).json()["provided_fields"]
    asked = api.get(memo="8", type="checked").json()["fields"]
    assert provided == {name: {**asked[name], "status": "ACCEPTED"} for name in values}


def test_provided_fields_never_hold_values(api: Api, customer_id: str) -> None:
    """Provided Fields: no property is the value."""
    answer = api.get(id=customer_id).content.decode()
    assert not any(value in answer for value in NAMES.values())


@pytest.mark.parametrize("status", ["ACCEPTED", "PROCESSING", "REJECTED", "VERIFICATION_REQUIRED"])
def test_a_provided_field_has_one_of_four_statuses(api: Api, customer_id: str, status: str) -> None:
    """Provided Field Statuses: the four, whoever sets them."""
    CustomerField.objects.filter(name="last_name").update(status=status, error="")
    body = api.get(id=customer_id).json()
    assert body["provided_fields"]["last_name"]["status"] == status
    # ACCEPTED: "When all required fields are accepted, the Customer Status should also be".
    expected = {"ACCEPTED": "ACCEPTED", "PROCESSING": "PROCESSING"}.get(status, "NEEDS_INFO")
    assert body["status"] == expected


def test_fields_are_processing_while_the_customer_is(api: Api, operators_decide: None) -> None:
    """Provided Field Statuses, PROCESSING: "The field is being validated"."""
    customer_id = api.register(**SENDER)
    provided = api.get(id=customer_id).json()["provided_fields"]
    assert {field["status"] for field in provided.values()} == {"PROCESSING"}


def test_a_rejected_field_that_may_be_sent_again_makes_the_customer_need_info(
    api: Api, operators_decide: None
) -> None:
    """Provided Field Statuses, REJECTED: "the Customer Status should be `NEEDS_INFO`"; Provided
    Fields, `error`: "why the field is `REJECTED`"."""
    customer_id = api.register(**SENDER)
    refuse_field(customer_id, "last_name", "Not as in the passport")
    body = api.get(id=customer_id).json()
    assert body["status"] == "NEEDS_INFO"
    assert body["provided_fields"]["last_name"]["status"] == "REJECTED"
    assert body["provided_fields"]["last_name"]["error"] == "Not as in the passport"
    # SEP-31, "Pending Customer Info Update": `fields` has all that is to be updated.
    assert "last_name" in body["fields"]
    api.register(id=customer_id, last_name="Paz Soldán")
    assert "error" not in api.get(id=customer_id).json()["provided_fields"]["last_name"]


def test_of_a_rejected_customer_no_field_is_called_accepted(api: Api, customer_id: str) -> None:
    """Provided Field Statuses, REJECTED: "otherwise it should be `REJECTED`"; Provided Fields,
    `status`: "this property can be omitted"."""
    judge(customer_id, "sep31-sender", "REJECTED", "This person can't be a customer")
    provided = api.get(id=customer_id).json()["provided_fields"]
    assert provided.keys() == NAMES.keys()
    assert not any("status" in field for field in provided.values())


# -- Customer GET, Errors -----------------------------------------------------------------------
def test_an_unknown_id_is_a_404(api: Api) -> None:
    """Errors: `404` for an `id` "that does not exist"."""
    for unknown in (str(uuid.uuid4()), "7", "d1ce2f48"):
        assert_error(api.get(id=unknown), 404)


def test_an_id_of_another_anchors_customer_is_the_same_404(api: Api, customer_id: str) -> None:
    """Errors: or "for a customer created by another anchor"."""
    stranger = Api(make_sending_anchor().headers())
    answer = stranger.get(id=customer_id)
    assert assert_error(answer, 404) == assert_error(stranger.get(id=str(uuid.uuid4())), 404)


def test_an_invalid_request_is_a_400_that_says_what_is_wrong(api: Api) -> None:
    """Errors: "For invalid requests, return a `400` response describing the issue"."""
    assert "type" in assert_error(api.get(type="unheard-of"), 400)
    assert "type" in assert_error(api.put(type="unheard-of"), 400)
    assert "memo_type" in assert_error(api.get(memo="7", memo_type="number"), 400)


# -- Customer PUT -------------------------------------------------------------------------------
def test_put_answers_202_with_the_id(api: Api) -> None:
    """Customer PUT, Response: "`202 Accepted` or `200 Success`" and a body with the `id`."""
    answer = api.put(**SENDER)
    assert answer.status_code == 202
    assert isinstance(answer.json()["id"], str)
    assert api.get(id=answer.json()["id"]).json()["status"] == "ACCEPTED"


def test_put_is_idempotent(api: Api) -> None:
    """Customer PUT: "in an authenticated and idempotent fashion"."""
    first = api.put(memo="7", **SENDER)
    before = api.get(memo="7").json()
    again = api.put(memo="7", **SENDER)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert api.get(memo="7").json() == before


def test_with_an_id_no_other_parameter_is_required(api: Api, customer_id: str) -> None:
    """Customer PUT, `id`: "If specified, no other parameter is required"."""
    assert api.register(id=customer_id) == customer_id


def test_the_id_serves_to_update(api: Api) -> None:
    """Customer PUT, Response: the `id` can be used to "update the customer's information"."""
    customer_id = api.register(type="sep31-sender", first_name="Ana")
    assert api.register(id=customer_id, last_name="Paz") == customer_id
    assert api.get(id=customer_id).json()["provided_fields"].keys() == NAMES.keys()


def test_the_id_serves_in_sep_31(api: Api, anchor: RegisteredAnchor) -> None:
    """Customer PUT, Response: "It may also be used in other SEPs"."""
    assert post_transaction(anchor, **register_both(anchor)).status_code == 201


def test_all_or_none_of_a_put_is_stored(api: Api, customer_id: str) -> None:
    """Customer PUT, Response: an id only "If the anchor received and stored the data"."""
    assert_error(api.put(id=customer_id, email_address="ana@example.com", birth_date="soon"), 400)
    assert "email_address" not in api.get(id=customer_id).json()["provided_fields"]


@pytest.mark.parametrize("order", ["last", "first"])
def test_binary_fields_may_come_after_all_others_and_need_not(api: Api, order: str) -> None:
    """Customer PUT, Request: `binary` fields "should be submitted after all other fields". A
    client that does otherwise is understood all the same."""
    front: dict[str, Any] = {"photo_id_front": photo()}
    parts = {**SENDER, **front} if order == "last" else {**front, **SENDER}
    body = encode_multipart(BOUNDARY, parts)
    assert body.index(b"photo_id_front") > body.index(b"last_name") or order == "first"
    put = api.client.put("/sep12/customer", body, MULTIPART_CONTENT, headers=api.headers)
    assert put.status_code == 202
    provided = api.get(id=put.json()["id"]).json()["provided_fields"]
    assert provided.keys() == NAMES.keys() | front.keys()
    assert provided["photo_id_front"]["type"] == "binary"


def test_put_of_an_unknown_id_is_a_404(api: Api) -> None:
    """Customer PUT, Response: `404` for an `id` "that does not exist in the database"."""
    assert_error(api.put(id=str(uuid.uuid4()), **SENDER), 404)


def test_put_of_an_id_of_another_account_is_a_404(api: Api, customer_id: str) -> None:
    """Customer PUT, Response: "initially used to create a customer for a different stellar
    account"."""
    stranger = Api(make_sending_anchor().headers())
    assert_error(stranger.put(id=customer_id, **SENDER), 404)


def test_put_of_an_id_of_another_user_of_the_account_is_a_404(
    anchor: RegisteredAnchor, customer_id: str
) -> None:
    """Customer PUT, Response, with Shared Accounts: the `sub` is the user."""
    user = Api({"Authorization": bearer_for(anchor.account, "8")})
    assert_error(user.put(id=customer_id, **SENDER), 404)
    assert_error(user.get(id=customer_id), 404)


def test_errors_of_put_name_the_field(api: Api) -> None:
    """Customer PUT, Response: "All error responses should contain details under the `error`
    key"."""
    assert "birth_date" in assert_error(api.put(birth_date="tomorrow"), 400)
    broken = SimpleUploadedFile("front.png", picture()[:60], "image/png")
    assert "photo_id_front" in assert_error(api.form(photo_id_front=broken), 400)
    assert "mobile_number" in assert_error(api.put(mobile_number_verification="123456"), 400)


# -- Customer DELETE ----------------------------------------------------------------------------
def test_delete_erases_all_personal_information(api: Api, anchor: RegisteredAnchor) -> None:
    """Customer DELETE: "Delete all personal information that the anchor has stored"; Responses:
    `200 OK`."""
    front: dict[str, Any] = {"photo_id_front": photo()}
    customer_id = api.form(memo="7", memo_type="id", **SENDER, **front).json()["id"]
    refuse_field(customer_id, "last_name", "Not as in the passport")
    assert api.delete(anchor.account, memo="7", memo_type="id").status_code == 200
    assert_error(api.get(id=customer_id), 404)
    assert "id" not in api.get(memo="7").json()
    assert not CustomerField.objects.exists()
    assert not CustomerFile.objects.exists()


def test_after_a_delete_the_customer_may_register_anew(api: Api, anchor: RegisteredAnchor) -> None:
    """Abstract: "complete data erasure"; nothing of the one before comes back."""
    first = api.register(**SENDER)
    api.delete(anchor.account)
    second = api.register(type="sep31-sender", first_name="Ana")
    assert second != first
    assert api.get().json()["provided_fields"].keys() == {"first_name"}


def test_delete_of_a_shared_account_takes_memo_and_memo_type(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    """Customer DELETE: "should include the `memo` and `memo_type` fields in the request body"."""
    other = api.register(memo="8", **SENDER)
    assert api.delete(anchor.account, memo="7", memo_type="id").status_code == 200
    assert_error(api.get(id=customer_id), 404)
    assert api.status(id=other) == "ACCEPTED"


def test_delete_by_a_token_with_a_memo_means_that_user(
    anchor: RegisteredAnchor, customer_id: str
) -> None:
    """Customer DELETE, `memo`: what the token's `sub` says need not be said again."""
    user = Api({"Authorization": bearer_for(anchor.account, muxed_id=7)})
    assert user.delete(anchor.account).status_code == 200
    assert_error(user.get(id=customer_id), 404)


def test_delete_of_whom_we_know_nothing_is_a_404(api: Api, anchor: RegisteredAnchor) -> None:
    """DELETE Responses: "Anchor has no information on the customer", also after a first DELETE."""
    assert_error(api.delete(anchor.account), 404)
    api.register(**SENDER)
    assert api.delete(anchor.account).status_code == 200
    assert_error(api.delete(anchor.account), 404)


def test_only_the_owner_of_the_account_may_delete(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    """Customer DELETE: "authenticated [...] as coming from the owner of the account"."""
    stranger = make_sending_anchor()
    assert_error(Api(stranger.headers()).delete(anchor.account, memo="7"), 404)
    assert_error(api.delete(Keypair.random().public_key, memo="7"), 404)
    another_user = Api({"Authorization": bearer_for(anchor.account, "8")})
    assert_error(another_user.delete(anchor.account), 404)
    assert api.status(id=customer_id) == "ACCEPTED"
