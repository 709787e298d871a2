"""SEP-10 v3.4.1, clause by clause."""

from __future__ import annotations

import base64
import time
from typing import Any

import jwt
import pytest
from django.test import Client
from stellar_sdk import IdMemo, Keypair, ManageData, MuxedAccount, TransactionEnvelope
from stellar_sdk.sep.stellar_web_authentication import read_challenge_transaction

from kernel.http import HttpAnswer
from kernel.keys import signing_keypair
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def partner(db: None, monkeypatch: pytest.MonkeyPatch) -> RegisteredAnchor:
    """Its account does not exist on the ledger, so its master key signs."""
    monkeypatch.setattr("sep10.services.load_signers", lambda account: None)
    return make_sending_anchor()


@pytest.fixture
def wallet(monkeypatch: pytest.MonkeyPatch) -> Keypair:
    """The key of wallet.example's stellar.toml."""
    keypair = Keypair.random()
    body = f'SIGNING_KEY = "{keypair.public_key}"'.encode()
    monkeypatch.setattr(
        "sep10.client_domain.safe_get", lambda url, **limits: HttpAnswer(200, {}, body)
    )
    return keypair


def challenge(client: Client, settings: Any, **parameters: str) -> Any:
    response = client.get("/auth", parameters)
    assert response.status_code == 200, response.content
    return TransactionEnvelope.from_xdr(response.json()["transaction"], settings.NETWORK_PASSPHRASE)


def token(client: Client, envelope: Any, *signers: Keypair) -> Any:
    for signer in signers:
        envelope.sign(signer)
    return client.post("/auth", {"transaction": envelope.to_xdr()}, content_type="application/json")


def claims(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    return jwt.decode(response.json()["token"], options={"verify_signature": False})


def test_cross_origin_headers(client: Client, db: None) -> None:
    """Cross-Origin Headers: on all endpoints, errors included, and preflight requests."""
    for response in (
        client.get("/auth", {"account": Keypair.random().public_key}),
        client.get("/auth"),
        client.post("/auth", {}, content_type="application/json"),
        client.options("/auth"),
    ):
        assert response["Access-Control-Allow-Origin"] == "*"
    preflight = client.options("/auth")
    assert preflight.status_code < 300
    assert "POST" in preflight["Access-Control-Allow-Methods"]
    assert "Content-Type" in preflight["Access-Control-Allow-Headers"]


def test_challenge_response_is_what_a_client_verifies(client: Client, settings: Any) -> None:
    """Challenge, Response, Success; and Abstract, the client's checks, as the SDK makes them."""
    account = Keypair.random().public_key
    response = client.get("/auth", {"account": account})
    assert response.json()["network_passphrase"] == settings.NETWORK_PASSPHRASE
    read = read_challenge_transaction(
        response.json()["transaction"],
        signing_keypair().public_key,
        settings.HOME_DOMAINS[0],
        settings.BASE_URL.split("://")[1],
        settings.NETWORK_PASSPHRASE,
    )
    assert read.client_account_id == account


def test_challenge_transaction(client: Client, settings: Any) -> None:
    """Challenge, Response, Success: the transaction's parts."""
    account = Keypair.random().public_key
    now = int(time.time())
    transaction = challenge(client, settings, account=account).transaction
    server = signing_keypair().public_key
    assert transaction.source.account_id == server
    assert transaction.sequence == 0
    bounds = transaction.preconditions.time_bounds
    assert now <= bounds.min_time <= int(time.time())
    assert bounds.max_time == bounds.min_time + 900
    first, *others = transaction.operations
    assert isinstance(first, ManageData)
    assert first.source is not None
    assert first.data_value is not None
    assert first.source.account_id == account
    assert first.data_name == f"{settings.HOME_DOMAINS[0]} auth"
    assert len(first.data_name) <= 64
    assert len(first.data_value) == 64
    assert len(base64.b64decode(first.data_value, validate=True)) == 48
    assert all(operation.source.account_id == server for operation in others)
    [web_auth] = [o for o in others if o.data_name == "web_auth_domain"]
    assert web_auth.data_value == settings.BASE_URL.split("://")[1].encode()


def test_challenge_memo(client: Client, settings: Any) -> None:
    """Challenge, Request Parameters, memo: type id, with G... only; Memos."""
    account = Keypair.random().public_key
    envelope = challenge(client, settings, account=account, memo="1234")
    assert envelope.transaction.memo == IdMemo(1234)
    muxed = MuxedAccount(account, 1).account_muxed or ""
    assert client.get("/auth", {"account": account, "memo": "text"}).status_code == 400
    assert client.get("/auth", {"account": muxed, "memo": "1"}).status_code == 400


def test_challenge_home_domain_has_a_default(client: Client, settings: Any) -> None:
    """Challenge, Request Parameters, home_domain: "should assume a default"."""
    account = Keypair.random().public_key
    named = challenge(client, settings, account=account, home_domain=settings.HOME_DOMAINS[0])
    silent = challenge(client, settings, account=account)
    names = [envelope.transaction.operations[0].data_name for envelope in (named, silent)]
    assert names[0] == names[1]


def test_client_domain(
    client: Client, settings: Any, partner: RegisteredAnchor, wallet: Keypair
) -> None:
    """Verifying the Client Domain; Token, Response: the claim client_domain."""
    envelope = challenge(client, settings, account=partner.account, client_domain="wallet.example")
    [domain] = [o for o in envelope.transaction.operations if o.data_name == "client_domain"]
    assert domain.source.account_id == wallet.public_key
    assert domain.data_value == b"wallet.example"
    assert token(client, envelope, partner.keypair).status_code == 400
    assert claims(token(client, envelope, wallet))["client_domain"] == "wallet.example"


def test_client_domain_without_a_key(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verifying the Client Domain: "unable to fetch the SIGNING_KEY ... 400 Bad Request"."""
    monkeypatch.setattr(
        "sep10.client_domain.safe_get", lambda url, **limits: HttpAnswer(200, {}, b"")
    )
    response = client.get(
        "/auth", {"account": Keypair.random().public_key, "client_domain": "wallet.example"}
    )
    assert response.status_code == 400


def test_token_accepts_both_formats(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    """Token: "both should be equally supported"."""
    envelope = challenge(client, settings, account=partner.account)
    assert claims(token(client, envelope, partner.keypair))
    envelope = challenge(client, settings, account=partner.account)
    envelope.sign(partner.keypair)
    body = "transaction=" + envelope.to_xdr().replace("+", "%2B").replace("/", "%2F")
    assert claims(client.post("/auth", data=body, content_type=FORM))


@pytest.mark.parametrize("kind", ["account", "memo", "muxed"])
def test_token_claims(client: Client, settings: Any, partner: RegisteredAnchor, kind: str) -> None:
    """Token: the claims iss, sub, iat and exp."""
    muxed = MuxedAccount(partner.account, 7).account_muxed or ""
    parameters, subject = {
        "account": ({"account": partner.account}, partner.account),
        "memo": ({"account": partner.account, "memo": "7"}, f"{partner.account}:7"),
        "muxed": ({"account": muxed}, muxed),
    }[kind]
    envelope = challenge(client, settings, **parameters)
    said = claims(token(client, envelope, partner.keypair))
    assert said["sub"] == subject
    assert said["iss"].startswith(settings.BASE_URL)
    assert said["iat"] <= time.time() < said["exp"]


def test_token_once(client: Client, settings: Any, partner: RegisteredAnchor) -> None:
    """Token: "should not provide more than one JWT for a specific challenge transaction"."""
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope, partner.keypair).status_code == 200
    assert token(client, envelope).status_code == 400


def test_token_of_an_account_that_does_not_exist(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    """Verifying Accounts that Do Not Exist: exactly the server's and the master key's signature."""
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope).status_code == 400
    assert token(client, envelope, partner.keypair).status_code == 200
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope, partner.keypair, Keypair.random()).status_code == 400


def test_errors_are_json_with_an_error(client: Client, db: None) -> None:
    """Challenge and Token, Error: a status that is not 200, and `error`."""
    for response in (
        client.get("/auth"),
        client.post("/auth", {"transaction": "x"}, content_type="application/json"),
    ):
        assert response.status_code == 400
        assert isinstance(response.json()["error"], str)
