"""SEP-12 v1.15.0: "Customer Files", which is optional, and which we have."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.fixtures import uploads
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.kyc import Api, assert_error

FILES = "/sep12/customer/files"
SENDER = {"type": "sep31-sender", "first_name": "Ana", "last_name": "Paz"}


def post(api: Api, raw: bytes | None = None, content_type: str = "image/jpeg") -> Any:
    file = SimpleUploadedFile("front", uploads.jpeg() if raw is None else raw, content_type)
    return api.client.post(FILES, {"file": file}, headers=api.headers)


def post_file(api: Api, **how: Any) -> str:
    answer = post(api, **how)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["file_id"])


def get(api: Api, **query: str) -> list[dict[str, Any]]:
    answer = api.client.get(FILES, query, headers=api.headers)
    assert answer.status_code == 200  # "All responses should return `200 OK`"
    return list(answer.json()["files"])


# -- POST ---------------------------------------------------------------------------------------
def test_a_file_is_uploaded_and_described(api: Api) -> None:
    """POST Response: `file_id`, `content_type`, `size` and the optional `expires_at` and
    `customer_id`, which is `null` "If the customer record does not yet exist"."""
    body = post(api).json()
    assert body.keys() == {"file_id", "content_type", "size", "expires_at", "customer_id"}
    assert isinstance(body["file_id"], str)
    assert body["content_type"] == "image/jpeg"
    assert type(body["size"]) is int
    assert body["customer_id"] is None


def test_expires_at_is_in_utc_and_to_come(api: Api) -> None:
    """POST Response, `expires_at`: a "UTC ISO 8601 string"; "will be discarded by the server if
    not referenced"."""
    expires_at = post(api).json()["expires_at"]
    assert expires_at.endswith("Z")
    assert datetime.fromisoformat(expires_at) > datetime.now(UTC)


def test_each_file_has_an_id_of_its_own(api: Api) -> None:
    """POST Response, `file_id`: "Unique identifier for the object"."""
    assert post_file(api) != post_file(api)


@pytest.mark.parametrize("name", ["photo_id_front", "organization.photo_proof_address"])
def test_its_id_stands_for_it_in_put_customer(api: Api, name: str) -> None:
    """Customer Files: "the appropriate SEP-9 field followed by `_file_id`", in JSON."""
    file_id = post_file(api)
    customer_id = api.register(**SENDER, **{f"{name}_file_id": file_id})
    field = api.get(id=customer_id).json()["provided_fields"][name]
    assert field["type"] == "binary"
    [file] = get(api, file_id=file_id)
    assert file["customer_id"] == customer_id
    assert "expires_at" not in file


def test_the_put_may_be_repeated_and_come_in_a_form(api: Api) -> None:
    """Customer PUT: idempotent, in each content type."""
    file_id = post_file(api)
    customer_id = api.register(**SENDER, photo_id_front_file_id=file_id)
    again = api.form(id=customer_id, photo_id_front_file_id=file_id)
    assert (again.status_code, again.json()) == (202, {"id": customer_id})
    assert [file["file_id"] for file in get(api, customer_id=customer_id)] == [file_id]


def test_a_file_may_be_given_for_a_type_that_requires_it(api: Api, configure: Any) -> None:
    """Customer Files: what is "required" as binary may come either way."""
    types = {"checked": {"required": ["first_name", "photo_id_front"]}}
    configure(customer_types=types)
    customer_id = api.register(first_name="Ana", photo_id_front_file_id=post_file(api))
    assert api.status(id=customer_id) == "ACCEPTED"


# -- POST, errors -------------------------------------------------------------------------------
def test_a_file_over_the_limit_is_a_413(api: Api, settings: Any) -> None:
    """File Size Limits: `413` "when a file exceeds the server's limit"; here and in PUT."""
    settings.MAX_FILE_BYTES = 1000
    assert_error(post(api, bytes(1001)), 413)
    large = SimpleUploadedFile("front.jpg", bytes(1001), "image/jpeg")
    assert_error(api.form(photo_id_front=large), 413)


def test_the_limit_is_10_mb_or_more_unless_told_otherwise(settings: Any) -> None:
    """File Size Limits: "A reasonable size limit is 10MB"."""
    assert settings.MAX_FILE_BYTES >= 10_000_000


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (b"", "image/jpeg"),
        (b"not a picture", "image/jpeg"),
        (b"<html></html>", "text/html"),
        (uploads.jpeg()[:99], "image/jpeg"),
        (uploads.jpeg(), "image/png"),
        (b"%PDF-1.7 nothing", "application/pdf"),
    ],
    ids=["empty", "text", "a page", "half of a picture", "another kind", "no document"],
)
def test_a_file_that_can_not_be_decoded_is_a_400(api: Api, raw: bytes, content_type: str) -> None:
    """File Size Limits: "All other error responses should use the `400 Bad Request` status and
    contain details under the `error` key"."""
    assert_error(post(api, raw, content_type), 400)


def test_a_post_without_a_file_is_a_400(api: Api) -> None:
    """POST Request: `file`; File Size Limits: all other errors are `400`."""
    assert "file" in assert_error(api.client.post(FILES, {}, headers=api.headers), 400)
    text = api.client.post(FILES, {"file": "text"}, headers=api.headers)
    assert "file" in assert_error(text, 400)
    as_json = api.client.post(FILES, {"file": "x"}, "application/json", headers=api.headers)
    assert "file" in assert_error(as_json, 400)


@pytest.mark.parametrize("file_id", ["file_abc", str(uuid.uuid4()), "7", 7, ["x"]])
def test_put_of_an_unknown_file_id_is_a_400_that_names_it(api: Api, file_id: Any) -> None:
    """Customer PUT, Response: errors say what is wrong; the SEP names no status for this."""
    refusal = api.put(**SENDER, photo_id_front_file_id=file_id)
    assert "photo_id_front_file_id" in assert_error(refusal, 400)


def test_a_file_of_another_anchor_can_not_be_used(api: Api, anchor: RegisteredAnchor) -> None:
    """Customer PUT, Response: nobody reaches another's; the same answer as for no file."""
    stranger = Api(make_sending_anchor().headers())
    theirs = assert_error(api.put(photo_id_front_file_id=post_file(stranger)), 400)
    assert theirs == assert_error(api.put(photo_id_front_file_id=str(uuid.uuid4())), 400)


# -- GET ----------------------------------------------------------------------------------------
def test_a_file_is_found_by_its_id(api: Api) -> None:
    """GET Request, `file_id`: "a single object"; GET Response: objects as POST describes them."""
    posted = post(api).json()
    assert get(api, file_id=posted["file_id"]) == [posted]


def test_all_files_of_a_customer_are_found(api: Api) -> None:
    """GET Request, `customer_id`: "all files uploaded for the specified customer", in a PUT too."""
    back = SimpleUploadedFile("back.png", uploads.png(), "image/png")
    sent: dict[str, Any] = {"photo_id_front_file_id": post_file(api), "photo_id_back": back}
    customer_id = api.form(**SENDER, **sent).json()["id"]
    post_file(api)  # of nobody yet
    files = get(api, customer_id=customer_id)
    assert [file["content_type"] for file in files] == ["image/jpeg", "image/png"]
    assert {file["customer_id"] for file in files} == {customer_id}


def test_one_of_the_two_parameters_is_required(api: Api) -> None:
    """GET Request: "One of the following parameters is required"."""
    assert_error(api.client.get(FILES, headers=api.headers), 400)


@pytest.mark.parametrize("by", ["file_id", "customer_id"])
def test_where_no_file_is_found_the_list_is_empty(api: Api, by: str) -> None:
    """GET Response: "If no files are found for the identifer used, an empty list"."""
    assert get(api, **{by: str(uuid.uuid4())}) == []
    assert get(api, **{by: "file_abc"}) == []
    assert get(api, customer_id=api.register(**SENDER)) == []


def test_files_of_another_anchor_are_not_found(api: Api) -> None:
    """GET Response, for someone else's identifier: as if there were none."""
    file_id = post_file(api)
    customer_id = api.register(**SENDER, photo_id_front_file_id=file_id)
    stranger = Api(make_sending_anchor().headers())
    assert get(stranger, file_id=file_id) == get(stranger, customer_id=customer_id) == []
