"""SEP-12 v1.15.0, from "Prerequisites" to the parameters that say which customer is meant.

test_sep12_customer.py, _verification, _files and _callback go on where this ends;
test_sep12_suite.py has what SDF's suite asks beyond the text.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from stellar_sdk import Keypair, MuxedAccount

from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor
from tests.fixtures.documents import picture
from tests.fixtures.kyc import Api, assert_error
from tests.fixtures.transactions import RECEIVER, post_transaction

FORM = "application/x-www-form-urlencoded"
NAMES = {"first_name": "Ana", "last_name": "Paz"}
SENDER = {"type": "sep31-sender", **NAMES}
CALLBACK = {"url": "https://callback.example.com/kyc"}
CONTRACT = "CA3D5KRYM6CB7OWQ6TWYRR3Z4T7GNZLKERYNZGGA5SOAOPIFY6YQGAXE"
UUID_MEMO = "21bf91a4-7db1-401d-8108-fab7660a45d6"  # of SEP-12's own example
HASH_MEMO = base64.b64encode(bytes(range(32))).decode()
ENDPOINTS = [
    ("GET", "/customer"),
    ("PUT", "/customer"),
    ("PUT", "/customer/callback"),
    ("PUT", "/customer/verification"),
    ("DELETE", f"/customer/{Keypair.random().public_key}"),
    ("POST", "/customer/files"),
    ("GET", "/customer/files"),
]


def encoded(kind: str, body: dict[str, Any]) -> tuple[Any, str]:
    """(body, Content-Type) in one of the kinds that the SEP lists."""
    if kind == "json":
        return json.dumps(body), "application/json"
    if kind == "urlencoded":
        return urlencode(body), FORM
    return encode_multipart(BOUNDARY, body), MULTIPART_CONTENT


def by_kind(test: Any) -> Any:
    return pytest.mark.parametrize("kind", ["multipart", "urlencoded", "json"])(test)


# -- Prerequisites ------------------------------------------------------------------------------
def test_stellar_toml_names_the_kyc_server_and_it_answers_there(api: Api) -> None:
    """Prerequisites: the location is `KYC_SERVER` (or `TRANSFER_SERVER`) in stellar.toml."""
    toml = api.client.get("/.well-known/stellar.toml").content.decode()
    found = re.search(r'^KYC_SERVER *= *"https?://[^/"]+(/[^"]*[^/"])"$', toml, re.M)
    assert found is not None
    assert api.client.get(f"{found[1]}/customer", headers=api.headers).status_code == 200


# -- Authentication -----------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("token", [None, "Bearer", "Bearer a.b.c", "Basic YTpi"])
def test_every_endpoint_needs_the_token_of_sep_10(
    client: Client, db: None, method: str, path: str, token: str | None
) -> None:
    """Prerequisites: "use it for all SEP-12 endpoints"; Authentication, DELETE and callback
    "Responses": `401 Unauthorized`."""
    headers = {} if token is None else {"Authorization": token}
    assert_error(client.generic(method, f"/sep12{path}", headers=headers), 401)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_the_token_is_that_of_an_account_that_may_call(
    client: Client, db: None, method: str, path: str
) -> None:
    """Authentication: a JWT "obtained from the anchor"; we take those of partners alone."""
    headers = {"Authorization": bearer_for(Keypair.random().public_key)}
    assert_error(client.generic(method, f"/sep12{path}", headers=headers), 401)


# -- Shared, Omnibus, or Pooled Accounts --------------------------------------------------------
def test_users_of_one_account_are_told_apart_by_the_tokens_sub(anchor: RegisteredAnchor) -> None:
    """Shared Accounts: "use this `sub` attribute in their data model to identify unique users"."""
    users = [
        Api({"Authorization": bearer_for(anchor.account)}),
        Api({"Authorization": bearer_for(anchor.account, "7")}),
        Api({"Authorization": bearer_for(anchor.account, muxed_id=8)}),
    ]
    ids = [user.register(**SENDER) for user in users]
    assert len(set(ids)) == 3
    assert [user.get().json()["id"] for user in users] == ids


def test_a_memo_and_a_muxed_id_of_the_same_number_are_the_same_user(
    anchor: RegisteredAnchor,
) -> None:
    """Shared Accounts, read with SEP-10: two ways to say one thing."""
    by_memo = Api({"Authorization": bearer_for(anchor.account, "7")})
    muxed = Api({"Authorization": bearer_for(anchor.account, muxed_id=7)})
    assert by_memo.register(**SENDER) == muxed.register(**SENDER)


@pytest.mark.parametrize("how", ["memo", "muxed"])
def test_the_memo_of_the_request_must_be_that_of_the_token(
    anchor: RegisteredAnchor, how: str
) -> None:
    """Shared Accounts and `memo` of each endpoint: "should return an error response if they do
    not" match; a muxed account's memo is its 64-bit id."""
    token = {"memo": "7"} if how == "memo" else {"muxed_id": 7}
    user = Api({"Authorization": bearer_for(anchor.account, **token)})
    customer_id = user.register(memo="7", **SENDER)
    assert user.get(memo="7").json()["id"] == customer_id
    for wrong in ("8", "007x", UUID_MEMO):
        assert_error(user.get(memo=wrong), 403)
        assert_error(user.put(memo=wrong, **SENDER), 403)
        assert_error(user.put("/callback", memo=wrong, **CALLBACK), 403)
        # To DELETE, someone else's customer is one that we have "no information on".
        assert_error(user.delete(anchor.account, memo=wrong), 404)
    assert user.get().json()["id"] == customer_id


def test_a_token_without_a_memo_may_name_any(api: Api) -> None:
    """Shared Accounts: "the memo request parameters may contain any value"."""
    memos = ["1273187815064134326", "0", str(2**64 - 1), UUID_MEMO, "customer nr. 7"]
    ids = [api.register(memo=memo) for memo in memos]
    assert [api.get(memo=memo).json()["id"] for memo in memos] == ids
    assert len(set(ids)) == len(memos)


def test_an_account_may_have_customers_with_a_memo_and_one_without(api: Api) -> None:
    """Shared Accounts: "Stellar accounts are either shared or they are not" is about who holds
    the funds. A sending anchor's account is both to us: its own and its users'."""
    assert len({api.register(**SENDER), api.register(memo="7", **SENDER)}) == 2


# -- Content Type -------------------------------------------------------------------------------
@by_kind
def test_every_endpoint_with_a_body_takes_all_three_content_types(
    api: Api, anchor: RegisteredAnchor, kind: str
) -> None:
    """Content Type: "All endpoints accept in requests the following"."""

    def send(method: str, path: str, **body: Any) -> Any:
        raw, content_type = encoded(kind, body)
        call = getattr(api.client, method)
        return call(f"/sep12/customer{path}", raw, content_type, headers=api.headers)

    put = send("put", "", memo="7", memo_type="id", **SENDER)
    assert put.status_code == 202
    assert send("put", "/callback", memo="7", **CALLBACK).status_code == 200
    code = {"mobile_number_verification": "123456"}
    refusal = assert_error(send("put", "/verification", id=put.json()["id"], **code), 400)
    assert "mobile_number" in refusal
    assert send("delete", f"/{anchor.account}", memo="7", memo_type="id").status_code == 200


def test_binary_values_come_in_multipart(api: Api) -> None:
    """Content Type: `multipart/form-data` "for requests including binary data"."""
    photo = SimpleUploadedFile("front.png", picture(), "image/png")
    customer_id = api.form(**SENDER, photo_id_front=photo).json()["id"]
    assert "photo_id_front" in api.get(id=customer_id).json()["provided_fields"]
    error = assert_error(api.put(id=customer_id, photo_id_front="iVBORw0KGgo="), 400)
    assert "multipart/form-data" in error


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*", "nonsense"])
def test_every_answer_is_json(api: Api, anchor: RegisteredAnchor, accept: str) -> None:
    """Content Type: "All endpoints respond with" `application/json`."""
    api.headers = {**api.headers, "Accept": accept}
    customer_id = api.register(**SENDER)
    for answer in (
        api.get(),
        api.put(**SENDER),
        api.put("/callback", **CALLBACK),
        api.client.get("/sep12/customer/files", {"customer_id": customer_id}, headers=api.headers),
        api.delete(anchor.account),
        api.get(id=customer_id),
    ):
        assert answer["Content-Type"] == "application/json"
        answer.json()


# -- Which customer: the parameters of GET, PUT and callback PUT --------------------------------
def test_a_customer_is_found_by_its_id(api: Api) -> None:
    """`id`: "as returned in the response of a previous `PUT` request"."""
    customer_id = api.register(memo="7", **SENDER)
    assert api.get(id=customer_id).json()["id"] == customer_id
    assert api.register(id=customer_id, email_address="ana@example.com") == customer_id
    assert api.put("/callback", id=customer_id, **CALLBACK).status_code == 200


def test_the_account_is_inferred_from_the_token(api: Api, anchor: RegisteredAnchor) -> None:
    """`account`: "should infer the account from the `sub` value"; ID vs. Account & Memo."""
    customer_id = api.register(**SENDER)
    assert api.get().json()["id"] == customer_id
    assert api.get(account=anchor.account).json()["id"] == customer_id
    assert api.register(account=anchor.account) == customer_id
    assert api.put("/callback", account=anchor.account, **CALLBACK).status_code == 200


@pytest.mark.parametrize("account", [Keypair.random().public_key, CONTRACT, "me"])
def test_an_account_that_is_not_the_tokens_is_refused(api: Api, account: str) -> None:
    """`account`: "it should match the `sub` value". So `C...` accounts are never ours, for no
    SEP-10 token is theirs."""
    assert_error(api.get(account=account), 403)
    assert_error(api.put(account=account, **SENDER), 403)
    assert_error(api.put("/callback", account=account, **CALLBACK), 403)


def test_a_muxed_account_is_the_account_with_its_id_as_memo(
    api: Api, anchor: RegisteredAnchor
) -> None:
    """Customer GET, Request: `?account=<muxed-account>`; `memo`: "must match the 64-bit integer
    subaccount ID"."""
    muxed = MuxedAccount(anchor.account, 7).account_muxed
    customer_id = api.register(account=muxed, **SENDER)
    assert api.get(account=muxed).json()["id"] == customer_id
    assert api.get(memo="7").json()["id"] == customer_id
    assert api.get(account=muxed, memo="7").json()["id"] == customer_id
    assert_error(api.get(account=muxed, memo="8"), 403)
    token_of_it = Api({"Authorization": bearer_for(anchor.account, muxed_id=7)})
    assert token_of_it.get(account=muxed).json()["id"] == customer_id
    another = MuxedAccount(anchor.account, 8).account_muxed
    assert_error(token_of_it.get(account=another), 403)


@pytest.mark.parametrize(
    ("memo_type", "memo"),
    [("id", "7"), ("text", UUID_MEMO), ("text", "7 letters"), ("hash", HASH_MEMO)],
)
def test_a_memo_has_a_type(api: Api, anchor: RegisteredAnchor, memo_type: str, memo: str) -> None:
    """`memo_type`: "One of `text`, `id` or `hash`", a hash "base64-encoded"; "should continue to
    support this parameter"."""
    whom = {"memo": memo, "memo_type": memo_type}
    customer_id = api.register(**whom, **SENDER)
    assert api.get(**whom).json()["id"] == customer_id
    assert api.put("/callback", **whom, **CALLBACK).status_code == 200
    assert api.delete(anchor.account, **whom).status_code == 200


def test_memos_of_different_types_are_different_customers(api: Api) -> None:
    """`memo` and `memo_type`: together they "uniquely" identify."""
    as_id = api.register(memo="7", memo_type="id")
    assert api.register(memo="7", memo_type="text") != as_id


def test_a_memo_without_a_type_is_an_id_where_it_can_be(api: Api) -> None:
    """`memo_type`: "memos should always be of type `id`"."""
    assert api.register(memo="7") == api.register(memo="7", memo_type="id")


@pytest.mark.parametrize(
    ("memo_type", "memo"),
    [("id", "x"), ("id", str(2**64)), ("id", "-1"), ("hash", "AAAA"), ("return", HASH_MEMO)],
)
def test_a_memo_that_is_not_of_its_type_is_an_error(api: Api, memo_type: str, memo: str) -> None:
    """`memo_type`, and Errors: "For invalid requests, return a `400`"."""
    assert "memo" in assert_error(api.get(memo=memo, memo_type=memo_type), 400)
    assert "memo" in assert_error(api.put(memo=memo, memo_type=memo_type), 400)


@pytest.mark.parametrize("memo_type", ["text", "hash", "id", "nonsense"])
def test_the_memo_type_is_ignored_where_the_token_has_the_memo(
    anchor: RegisteredAnchor, memo_type: str
) -> None:
    """`memo_type`: "If a memo is present in the decoded SEP-10 JWT's `sub` value, this parameter
    can be ignored"."""
    user = Api({"Authorization": bearer_for(anchor.account, "7")})
    customer_id = user.register(**SENDER)
    assert user.get(memo="7", memo_type=memo_type).json()["id"] == customer_id


def test_the_type_says_what_must_be_known(api: Api) -> None:
    """`type` and Type Specification: different types "may have different KYC requirements"."""
    sender = api.get(type="sep31-sender").json()["fields"]
    receiver = api.get(type="sep31-receiver").json()["fields"]
    assert "bank_account_number" in receiver.keys() - sender.keys()


def test_one_customer_may_have_another_status_for_another_type(api: Api) -> None:
    """Type Specification: "possible for the same customer to have different `status` values"."""
    customer_id = api.register(**SENDER)
    assert api.status(id=customer_id, type="sep31-sender") == "ACCEPTED"
    assert api.status(id=customer_id, type="sep31-large-sender") == "NEEDS_INFO"
    assert api.status(id=customer_id, type="sep31-receiver") == "NEEDS_INFO"


def test_without_a_type_the_one_it_was_put_for_is_meant(api: Api) -> None:
    """Type Specification: "even though the field is optional"."""
    customer_id = api.register(type="sep31-receiver", **NAMES)
    assert "bank_account_number" in api.get(id=customer_id).json()["fields"]
    assert api.register(id=customer_id) == customer_id


def test_the_types_are_those_that_sep_31_names(api: Api) -> None:
    """Type Specification: "leaves that to the other protocols"; SEP-31's `GET /info`."""
    receive = api.client.get("/sep31/info").json()["receive"]
    for asset in receive.values():
        for role in ("sender", "receiver"):
            for name in asset["sep12"][role]["types"]:
                assert api.get(type=name).status_code == 200


# -- transaction_id -----------------------------------------------------------------------------
def test_a_customer_is_put_and_found_by_the_transaction_and_the_type(
    api: Api, anchor: RegisteredAnchor
) -> None:
    """`transaction_id`: "with which the customer's info is associated"; Customer GET, Request:
    `?transaction_id=<transaction-id>&type=<customer-type>`."""
    transaction = post_transaction(anchor).json()["id"]
    sender = {"transaction_id": transaction, "type": "sep31-sender"}
    receiver = {"transaction_id": transaction, "type": "sep31-receiver"}
    unknown = api.get(**sender).json()
    assert "id" not in unknown
    assert {"first_name", "last_name"} <= unknown["fields"].keys()

    sender_id = api.register(**sender, **NAMES)
    receiver_id = api.register(**receiver, **RECEIVER)
    assert sender_id != receiver_id
    for whom, customer_id in ((sender, sender_id), (receiver, receiver_id)):
        found = api.get(**whom).json()
        assert (found["id"], found["status"]) == (customer_id, "ACCEPTED")
        assert api.get(id=customer_id, **whom).json() == found


def test_a_transaction_of_a_larger_amount_asks_for_more(api: Api, anchor: RegisteredAnchor) -> None:
    """`transaction_id`: "more information is required for larger amounts"."""
    customer_id = api.register(**SENDER)
    transaction = post_transaction(anchor, amount="5000").json()["id"]
    whom = {"transaction_id": transaction, "type": "sep31-large-sender"}
    api.register(id=customer_id, **whom)
    answer = api.get(id=customer_id, **whom).json()
    assert answer["status"] == "NEEDS_INFO"
    assert {"birth_date", "address"} <= answer["fields"].keys()
    assert_error(api.get(transaction_id=transaction, type="sep31-sender"), 400)


def test_a_transaction_id_needs_a_type(api: Api, anchor: RegisteredAnchor) -> None:
    """Type Specification: "`type` must be provided and set"."""
    transaction = post_transaction(anchor).json()["id"]
    assert "type" in assert_error(api.get(transaction_id=transaction), 400)
    assert "type" in assert_error(api.put(transaction_id=transaction, **NAMES), 400)


def test_a_transaction_that_is_not_the_callers_is_not_found(
    api: Api, anchor: RegisteredAnchor
) -> None:
    """Errors: `404` for what "does not exist or exists for [...] another anchor"."""
    theirs = post_transaction(make_sending_anchor()).json()["id"]
    for transaction in (theirs, str(uuid.uuid4()), "7"):
        whom = {"transaction_id": transaction, "type": "sep31-sender"}
        assert_error(api.get(**whom), 404)
        assert_error(api.put(**whom, **NAMES), 404)


# -- lang ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("lang", ["en", "tlh", "not a language"])
def test_without_a_lang_and_in_one_that_we_do_not_have_the_answer_is_english(
    api: Api, lang: str
) -> None:
    """`lang`: "Defaults to `en`"; an answer in English is of more use than none."""
    answer = api.get(lang=lang)
    assert answer.status_code == 200
    assert answer.json() == api.get().json()
    assert answer.json()["fields"]["first_name"]["description"] == "Given name"
