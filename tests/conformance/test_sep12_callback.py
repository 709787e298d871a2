"""SEP-12 v1.15.0: "Customer callback PUT", with a sending anchor's real endpoint."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from stellar_sdk import Keypair
from stellar_sdk.exceptions import BadSignatureError

from callbacks.services import deliver_due_callbacks
from tests.fixtures.callers import make_sending_anchor
from tests.fixtures.kyc import Api, assert_error, judge, refuse_field
from tests.fixtures.partner import Partner, Request

URL = "https://callback.example.com/kyc"
NAMES = {"first_name": "Ana", "last_name": "Paz"}
SENDER = {"type": "sep31-sender", **NAMES}
MAX_AGE_SECONDS = 120


@pytest.fixture
def wallet(settings: Any) -> Iterator[Partner]:
    settings.ALLOW_INSECURE_URLS = True  # the endpoint is on this machine, and speaks plain http
    with Partner((200, {})) as wallet:
        yield wallet


def watch(api: Api, wallet: Partner, customer_id: str) -> None:
    assert api.put("/callback", id=customer_id, url=wallet.url).status_code == 200


def posted(wallet: Partner) -> list[dict[str, Any]]:
    """The bodies of all POSTs until now."""
    deliver_due_callbacks()
    return [request.json for request in wallet.requests]


def verify(api: Api, wallet: Partner, request: Request, header: str) -> None:
    """The steps of "VERIFY signature". Raises `BadSignatureError`."""
    found = re.fullmatch(r"t=([0-9]+), s=([A-Za-z0-9+/]+=*)", request.headers[header])
    assert found is not None
    assert abs(time.time() - int(found[1])) < MAX_AGE_SECONDS
    payload = f"{found[1]}.{urlsplit(wallet.url).netloc}.".encode() + request.body
    toml = api.client.get("/.well-known/stellar.toml").content.decode()
    key = re.search(r'^SIGNING_KEY *= *"(G[A-Z2-7]{55})"$', toml, re.M)
    assert key is not None
    Keypair.from_public_key(key[1]).verify(payload, base64.b64decode(found[2], validate=True))


# -- PUT ----------------------------------------------------------------------------------------
def test_a_callback_url_is_set(api: Api) -> None:
    """PUT Responses: `200 OK`."""
    customer_id = api.register(memo="7", **SENDER)
    assert api.put("/callback", id=customer_id, url=URL).status_code == 200
    assert api.put("/callback", memo="7", memo_type="id", url=URL).status_code == 200


def test_of_an_unknown_customer_it_is_a_404(api: Api) -> None:
    """PUT Responses: "Anchor has no information on the customer" is `404`."""
    assert_error(api.put("/callback", url=URL), 404)
    assert_error(api.put("/callback", id=str(uuid.uuid4()), url=URL), 404)
    theirs = Api(make_sending_anchor().headers()).register(**SENDER)
    assert_error(api.put("/callback", id=theirs, url=URL), 404)


@pytest.mark.parametrize("url", [None, "", 7, "callback.example.com", "ftp://example.com", "http:"])
def test_a_url_that_can_not_be_called_is_a_400(api: Api, url: Any) -> None:
    """PUT Request: `url`; the SEP has no word for a bad one."""
    api.register(**SENDER)
    assert "url" in assert_error(api.put("/callback", url=url), 400)


def test_a_new_url_replaces_the_one_before(api: Api, wallet: Partner) -> None:
    """Customer callback PUT: "will replace (and supercede) any previously-set callback URL", also
    for what was not delivered yet."""
    customer_id = api.register(type="sep31-sender", first_name="Ana")
    with Partner((200, {})) as old:
        watch(api, old, customer_id)
        api.register(id=customer_id, last_name="Paz")
        watch(api, wallet, customer_id)
        assert [body["status"] for body in posted(wallet)] == ["ACCEPTED"]
        refuse_field(customer_id, "last_name", "Not as in the passport")
        assert [body["status"] for body in posted(wallet)] == ["ACCEPTED", "NEEDS_INFO"]
        assert old.requests == []


def test_each_customer_of_an_account_has_its_own_url(api: Api, wallet: Partner) -> None:
    """Customer callback PUT, with Shared Accounts: a customer is account and memo."""
    watched = api.register(memo="7", **SENDER)
    other = api.register(memo="8", **SENDER)
    watch(api, wallet, watched)
    refuse_field(other, "last_name", "Not as in the passport")
    assert posted(wallet) == []


# -- POST ---------------------------------------------------------------------------------------
def test_each_change_of_status_is_posted_as_get_shows_it(api: Api, wallet: Partner) -> None:
    """Customer callback PUT: "Whenever the user's `status` field changes, the anchor will issue a
    POST request"; "the same as the response of `GET /customer`"."""
    customer_id = api.register(type="sep31-sender", first_name="Ana")
    watch(api, wallet, customer_id)
    judge(customer_id, "sep31-sender", "PROCESSING", "A person looks at it")
    assert posted(wallet) == []  # it still is NEEDS_INFO
    api.register(id=customer_id, last_name="Paz")
    assert posted(wallet) == [api.get(id=customer_id).json()]
    refuse_field(customer_id, "last_name", "Not as in the passport")
    assert posted(wallet)[1:] == [api.get(id=customer_id).json()]
    assert [body["status"] for body in posted(wallet)] == ["PROCESSING", "NEEDS_INFO"]
    assert wallet.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(("final", "message"), [("ACCEPTED", ""), ("REJECTED", "On a list")])
def test_posts_end_with_accepted_or_rejected_until_the_url_is_set_again(
    api: Api, wallet: Partner, final: str, message: str
) -> None:
    """Customer callback PUT: "until the user's status changes to `ACCEPTED` or `REJECTED`"; to
    watch on, a wallet "will need to set a callback again"."""
    customer_id = api.register(**SENDER)
    judge(customer_id, "sep31-sender", "PROCESSING")
    watch(api, wallet, customer_id)
    judge(customer_id, "sep31-sender", final, message)
    judge(customer_id, "sep31-sender", "PROCESSING")
    assert [body["status"] for body in posted(wallet)] == [final]
    watch(api, wallet, customer_id)
    judge(customer_id, "sep31-sender", final, message)
    assert [body["status"] for body in posted(wallet)] == [final, final]


def test_a_customer_that_is_accepted_already_can_be_watched(api: Api, wallet: Partner) -> None:
    """The same: "If a wallet needs to watch a user's KYC status after that"."""
    customer_id = api.register(**SENDER)
    watch(api, wallet, customer_id)
    refuse_field(customer_id, "last_name", "Not as in the passport")
    assert [body["status"] for body in posted(wallet)] == ["NEEDS_INFO"]


def test_a_wallet_that_fails_is_told_again(api: Api, wallet: Partner, settings: Any) -> None:
    """The SEP leaves retries open; docs/sending-anchors.md promises them."""
    settings.CALLBACK_FIRST_RETRY_SECONDS = 0
    customer_id = api.register(type="sep31-sender", first_name="Ana")
    watch(api, wallet, customer_id)
    api.register(id=customer_id, last_name="Paz")
    wallet.reply = lambda request: (503 if len(wallet.requests) == 1 else 200, {})
    assert [body["status"] for body in posted(wallet)] == ["ACCEPTED", "ACCEPTED"]


# -- Signature ----------------------------------------------------------------------------------
@pytest.mark.parametrize("header", ["signature", "x-stellar-signature"])
def test_posts_are_signed_with_the_signing_key(api: Api, wallet: Partner, header: str) -> None:
    """Callback POST Request: "MUST include a signature in the HTTP Header `Signature` or
    `X-Stellar-Signature`", which "MUST follow" `t=<timestamp>, s=<base64 signature>`, by
    "the `SIGNING_KEY` field of the anchor's stellar.toml"."""
    customer_id = api.register(type="sep31-sender", first_name="Ana")
    watch(api, wallet, customer_id)
    api.register(id=customer_id, last_name="Paz")
    assert len(posted(wallet)) == 1
    verify(api, wallet, wallet.requests[0], header)


def test_the_signature_is_of_this_time_this_host_and_this_body(api: Api, wallet: Partner) -> None:
    """COMPUTE signature: `<timestamp>.<host>.<body>`, "to prevent replay and relay attacks"."""
    customer_id = api.register(type="sep31-sender", first_name="Ana")
    watch(api, wallet, customer_id)
    api.register(id=customer_id, last_name="Paz")
    posted(wallet)
    [request] = wallet.requests
    verify(api, wallet, request, "signature")
    other_body = Request(request.headers, request.body + b" ")
    seconds = int(request.headers["signature"].split(",")[0].removeprefix("t="))
    later = request.headers["signature"].replace(f"t={seconds}", f"t={seconds + 1}")
    other_time = Request({**request.headers, "signature": later}, request.body)
    for changed in (other_body, other_time):
        with pytest.raises(BadSignatureError):
            verify(api, wallet, changed, "signature")
    other_host = Partner((200, {}))
    other_host.url = "http://other.example.com/kyc"
    with pytest.raises(BadSignatureError):
        verify(api, other_host, request, "signature")


def test_the_body_is_signed_as_it_is_sent(api: Api, wallet: Partner) -> None:
    """VERIFY signature: "Extract the body of the request"; also where it is not ASCII."""
    customer_id = api.register(**SENDER)
    watch(api, wallet, customer_id)
    refuse_field(customer_id, "last_name", "Distinto al pasaporte: ñ, 山")
    assert len(posted(wallet)) == 1
    verify(api, wallet, wallet.requests[0], "signature")
    field = json.loads(wallet.requests[0].body)["provided_fields"]["last_name"]
    assert field["error"] == "Distinto al pasaporte: ñ, 山"
