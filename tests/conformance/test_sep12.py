"""SEP-12 v1.15.0: what it obliges an anchor to, clause by clause. Against the shipped
configuration (anchor.toml) and its types sep31-sender and sep31-receiver."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from typing import Any

import pytest
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from stellar_sdk import Keypair

from callbacks.models import Callback
from callbacks.services import deliver_callback
from kernel.http import HttpAnswer
from kernel.keys import signing_keypair
from sep12 import services
from sep12.status import Verdict
from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor
from tests.fixtures.documents import photo

FORM = "application/x-www-form-urlencoded"
SENDER = {"type": "sep31-sender", "first_name": "Ana", "last_name": "Paz"}


@pytest.fixture
def anchor(db: None) -> RegisteredAnchor:
    return make_sending_anchor()


@pytest.fixture
def call(client: Client, anchor: RegisteredAnchor) -> Any:
    """`call("get", path, ...)` with the sending anchor's token; bodies are JSON."""

    def call(method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        headers = anchor.headers() if headers is None else headers
        if method == "get":
            return client.get(f"/sep12/customer{path}", body, headers=headers)
        return getattr(client, method)(
            f"/sep12/customer{path}", body or {}, "application/json", headers=headers
        )

    return call


@pytest.fixture
def customer_id(call: Any) -> str:
    return str(call("put", "", {**SENDER, "memo": "7"}).json()["id"])


def assert_error(response: Any, status: int) -> None:
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    assert isinstance(response.json()["error"], str)


def test_prerequisites_the_server_is_named_in_stellar_toml(client: Client, db: None) -> None:
    """Prerequisites: the location is KYC_SERVER in stellar.toml."""
    toml = client.get("/.well-known/stellar.toml").content.decode()
    assert re.search(r'^KYC_SERVER *= *"[^"]+/sep12"$', toml, re.M)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("put", ""),
        ("put", "/callback"),
        ("put", "/verification"),
        ("delete", f"/{Keypair.random().public_key}"),
    ],
)
def test_authentication_is_needed_for_all_endpoints(call: Any, method: str, path: str) -> None:
    """Authentication: "The JWT should be included in all requests"; without it 401."""
    assert_error(call(method, path, headers={}), 401)


def test_shared_accounts_the_tokens_memo_and_the_requests_must_match(
    call: Any, anchor: RegisteredAnchor
) -> None:
    """Shared, Omnibus, or Pooled Accounts: "should return an error response if they do not"."""
    for token in (
        bearer_for(anchor.account, "7"),
        bearer_for(anchor.account, muxed_id=7),
    ):
        headers = {"Authorization": token}
        registered = call("put", "", {"memo": "7", **SENDER}, headers=headers)
        assert registered.status_code == 202
        assert (
            call("get", "", {"memo": "7"}, headers=headers).json()["id"]
            == (registered.json()["id"])
        )
        assert_error(call("get", "", {"memo": "8"}, headers=headers), 403)
        assert_error(call("put", "", {"memo": "8", **SENDER}, headers=headers), 403)


def test_shared_accounts_a_token_without_a_memo_may_name_any(call: Any) -> None:
    """Shared, Omnibus, or Pooled Accounts: "the memo request parameters may contain any
    value"."""
    memos = [
        {"memo": "1273187815064134326"},
        {"memo": "21bf91a4-7db1-401d-8108-fab7660a45d6"},
        {"memo": "21bf91a4-7db1-401d-8108-fab7660a45d6", "memo_type": "text"},
        {"memo": base64.b64encode(bytes(32)).decode(), "memo_type": "hash"},
    ]
    ids = [call("put", "", memo).json()["id"] for memo in memos]
    assert [call("get", "", memo).json()["id"] for memo in memos] == ids
    assert len(set(ids)) == 3


def test_account_must_match_the_token(call: Any, anchor: RegisteredAnchor) -> None:
    """Customer GET and PUT, Request, `account`: it should match the `sub` of the token."""
    assert call("put", "", {"account": anchor.account}).status_code == 202
    other = Keypair.random().public_key
    assert_error(call("get", "", {"account": other}), 403)
    assert_error(call("put", "", {"account": other}), 403)


@pytest.mark.parametrize("kind", ["json", "urlencoded", "multipart"])
def test_content_types(client: Client, anchor: RegisteredAnchor, kind: str) -> None:
    """Content Type: all three kinds of bodies are taken, and the answer is JSON."""
    body, content_type = {
        "json": (json.dumps(SENDER), "application/json"),
        "urlencoded": ("type=sep31-sender&first_name=Ana&last_name=Paz", FORM),
        "multipart": (encode_multipart(BOUNDARY, SENDER), MULTIPART_CONTENT),
    }[kind]
    response = client.put("/sep12/customer", body, content_type, headers=anchor.headers())
    assert response.status_code == 202
    assert response["Content-Type"] == "application/json"
    uuid.UUID(response.json()["id"])


def test_get_of_an_unregistered_customer_tells_the_fields(call: Any) -> None:
    """Customer GET: "it should return the fields required in the response"; 200, without id."""
    response = call("get", "", {"memo": "7", "type": "sep31-sender"})
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "NEEDS_INFO"
    assert "id" not in body
    assert_fields(body["fields"])
    assert "optional" not in body["fields"]["first_name"]
    assert body["fields"]["email_address"]["optional"] is True


def test_get_without_parameters_is_the_same(call: Any) -> None:
    """Customer GET: "The same response should be returned when no parameters are sent"."""
    body = call("get", "").json()
    assert body["status"] == "NEEDS_INFO"
    assert_fields(body["fields"])


def test_statuses(call: Any, customer_id: str) -> None:
    """Customer Statuses: what each comes with."""
    whom = {"id": customer_id, "type": "sep31-sender"}
    accepted = call("get", "", whom).json()
    assert accepted["status"] == "ACCEPTED"
    # "should not have any required fields present in the object"
    assert all(field.get("optional") for field in accepted.get("fields", {}).values())
    assert_fields(accepted["provided_fields"], provided=True)

    needs_info = call("get", "", {**whom, "type": "sep31-receiver"}).json()
    assert needs_info["status"] == "NEEDS_INFO"
    assert "bank_account_number" in needs_info["fields"]  # "The `fields` entry is required"

    owner = uuid.UUID(customer_id)
    services.record_decision(owner, "sep31-sender", Verdict("PROCESSING"), decided_by="test")
    assert call("get", "", whom).json()["status"] == "PROCESSING"

    no = Verdict("REJECTED", "On a sanctions list")
    services.record_decision(owner, "sep31-sender", no, decided_by="test")
    rejected = call("get", "", whom).json()
    assert rejected["status"] == "REJECTED"
    assert rejected["message"]  # "The `message` must be supplied in this case"


def test_a_rejected_field_that_may_be_resubmitted(call: Any, customer_id: str) -> None:
    """Provided Field Statuses, REJECTED: the customer is NEEDS_INFO, and `error` says why."""
    services.reject_fields(uuid.UUID(customer_id), {"last_name": "Not as in the passport"})
    body = call("get", "", {"id": customer_id}).json()
    assert body["status"] == "NEEDS_INFO"
    assert body["provided_fields"]["last_name"]["status"] == "REJECTED"
    assert body["provided_fields"]["last_name"]["error"] == "Not as in the passport"
    # SEP-31, "Pending Customer Info Update": `fields` has all that need to be updated.
    assert "last_name" in body["fields"]


def test_get_errors(call: Any) -> None:
    """Customer GET, Errors: 404 for an unknown id, 400 for an invalid request."""
    assert_error(call("get", "", {"id": "7e285e7d-d984-412c-97bc-909d0e399fbf"}), 404)
    assert_error(call("get", "", {"type": "unheard-of"}), 400)
    # Type Specification: "If `transaction_id` is in use, `type` must be provided".
    assert_error(call("get", "", {"transaction_id": str(uuid.uuid4())}), 400)


def test_get_and_put_of_an_id_of_another_account(call: Any, customer_id: str) -> None:
    """Customer GET, Errors and Customer PUT, Response: 404."""
    stranger = make_sending_anchor().headers()
    assert_error(call("get", "", {"id": customer_id}, headers=stranger), 404)
    assert_error(call("put", "", {"id": customer_id, **SENDER}, headers=stranger), 404)


def test_put_is_idempotent(call: Any) -> None:
    """Customer PUT: "in an authenticated and idempotent fashion"; the id is for later calls."""
    first = call("put", "", {**SENDER, "memo": "7"})
    again = call("put", "", {**SENDER, "memo": "7"})
    by_id = call("put", "", {"id": first.json()["id"], "email_address": "ana@example.com"})
    assert first.status_code == again.status_code == by_id.status_code == 202
    assert first.json() == again.json() == by_id.json()


def test_put_takes_binary_fields_after_the_others(client: Client, anchor: RegisteredAnchor) -> None:
    """Customer PUT, Request: binary fields in multipart/form-data, after all others."""
    parts = {**SENDER, "photo_id_front": photo()}
    body = encode_multipart(BOUNDARY, parts)
    put = client.put("/sep12/customer", body, MULTIPART_CONTENT, headers=anchor.headers())
    assert put.status_code == 202
    got = client.get("/sep12/customer", {"id": put.json()["id"]}, headers=anchor.headers()).json()
    assert got["provided_fields"]["photo_id_front"]["type"] == "binary"


def test_put_errors(call: Any) -> None:
    """Customer PUT, Response: 404 for an unknown id; all errors "under the `error` key"."""
    assert_error(call("put", "", {"id": str(uuid.uuid4()), **SENDER}), 404)
    assert_error(call("put", "", {"birth_date": "tomorrow"}), 400)
    assert_error(call("put", "", {"mobile_number_verification": "123456"}), 400)


def test_put_verification_errors(call: Any, customer_id: str) -> None:
    """Customer PUT Verification, Response: 404 for an unknown id, else 400."""
    code = {"mobile_number_verification": "2735021"}
    assert_error(call("put", "/verification", {"id": str(uuid.uuid4()), **code}), 404)
    assert_error(call("put", "/verification", {"id": customer_id, **code}), 400)
    assert_error(call("put", "/verification", {"id": customer_id}), 400)
    assert_error(call("put", "/verification", code), 400)


def test_delete(call: Any, anchor: RegisteredAnchor, customer_id: str) -> None:
    """DELETE Responses: 200, then 404; 404 for an account that is not the token's."""
    assert_error(call("delete", f"/{Keypair.random().public_key}", {"memo": "7"}), 404)
    assert_error(call("delete", f"/{anchor.account}", {"memo": "8"}), 404)
    whom = {"memo": "7", "memo_type": "id"}
    assert call("delete", f"/{anchor.account}", whom).status_code == 200
    assert_error(call("delete", f"/{anchor.account}", whom), 404)
    assert_error(call("get", "", {"id": customer_id}), 404)


def test_callback_put_responses(call: Any, customer_id: str) -> None:
    """Customer callback PUT, PUT Responses: 200, or 404 for an unknown customer."""
    url = {"url": "https://callback.example.com/kyc"}
    assert call("put", "/callback", {"id": customer_id, **url}).status_code == 200
    assert call("put", "/callback", {"memo": "7", **url}).status_code == 200
    assert_error(call("put", "/callback", {"id": str(uuid.uuid4()), **url}), 404)
    assert_error(call("put", "/callback", {"memo": "8", **url}), 404)


def test_callback_post_is_signed(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callback POST Request: the body of GET, with a `Signature` that VERIFY's steps accept."""
    posted: dict[str, Any] = {}

    def post(url: str, *, body: bytes, headers: dict[str, str], **limits: Any) -> HttpAnswer:
        posted.update(url=url, body=body, headers=headers)
        return HttpAnswer(200, {}, b"")

    monkeypatch.setattr("callbacks.services.safe_post", post)
    customer_id = call("put", "", {"type": "sep31-sender", "first_name": "Ana"}).json()["id"]
    call("put", "/callback", {"id": customer_id, "url": "https://callback.example.com/kyc"})
    call("put", "", {"id": customer_id, "last_name": "Paz"})
    deliver_callback(Callback.objects.get().pk)

    assert json.loads(posted["body"]) == call("get", "", {"id": customer_id}).json()
    found = re.fullmatch(r"t=(\d+), s=(\S+)", posted["headers"]["Signature"])
    assert found is not None
    assert abs(time.time() - int(found[1])) < 120
    payload = f"{found[1]}.callback.example.com.".encode() + posted["body"]
    signing_keypair().verify(payload, base64.b64decode(found[2]))


def assert_fields(fields: dict[str, Any], *, provided: bool = False) -> None:
    """Fields and Provided Fields: the properties of each."""
    assert fields
    for field in fields.values():
        assert field["type"] in {"string", "binary", "number", "date"}
        assert field["description"]
        assert isinstance(field.get("choices", []), list)
        assert isinstance(field.get("optional", False), bool)
        if provided:
            assert field["status"] in {
                "ACCEPTED",
                "PROCESSING",
                "REJECTED",
                "VERIFICATION_REQUIRED",
            }
