"""SEP-10 v3.4.1, clause by clause."""

from __future__ import annotations

import base64
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client
from stellar_sdk import IdMemo, Keypair, ManageData, MuxedAccount, TransactionEnvelope
from stellar_sdk.sep.stellar_web_authentication import (
    build_challenge_transaction,
    read_challenge_transaction,
)

from kernel.http import HttpAnswer
from kernel.keys import signing_keypair
from localnet.sending_anchor import make_authorization
from sep10.authentication import find_caller
from sep10.signed_challenge import AccountSigners
from sep10.signers import load_signers
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


# -- The Authorization header (Challenge, Request Header) -------------------------------------


def authorized(client: Client, settings: Any, keypair: Keypair, **parameters: str) -> Any:
    proof = make_authorization(keypair, f"{settings.BASE_URL}/auth", parameters)
    return client.get("/auth", parameters, headers={"Authorization": f"Bearer {proof}"})


def test_authorization_may_be_required(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    """Challenge, Request Header: "may forbid unauthorized calls"; Error: 401 with a message."""
    settings.CHALLENGE_AUTHORIZATION = "required"
    missing = client.get("/auth", {"account": partner.account})
    assert missing.status_code == 401
    assert missing.json()["error"].startswith("Missing authorization header")
    given = authorized(client, settings, partner.keypair, account=partner.account, memo="7")
    assert given.status_code == 200


def test_authorization_is_signed_by_the_client_account_or_the_client_domain(
    client: Client, settings: Any, partner: RegisteredAnchor, wallet: Keypair
) -> None:
    """Challenge, Request Header: which private key signs; Error: 400 that says why."""
    alone = {"account": partner.account}
    with_domain = {**alone, "client_domain": "wallet.example"}
    assert authorized(client, settings, partner.keypair, **alone).status_code == 200
    assert authorized(client, settings, wallet, **alone).status_code == 400
    assert authorized(client, settings, wallet, **with_domain).status_code == 200
    refused = authorized(client, settings, partner.keypair, **with_domain)
    assert refused.status_code == 400
    assert "signed by" in refused.json()["error"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"web_auth_endpoint": "https://other.example/auth"}, "web_auth_endpoint"),
        ({"account": "G"}, "account"),
        ({"memo": "7"}, "memo"),
        ({"exp": 1}, "expired"),
    ],
)
def test_authorization_claims_are_verified(
    client: Client, settings: Any, partner: RegisteredAnchor, changes: dict[str, Any], why: str
) -> None:
    """Verifying request header: web_auth_endpoint and parameters match; exp is not over."""
    now = int(time.time())
    key = Ed25519PrivateKey.from_private_bytes(partner.keypair.raw_secret_key())
    good = {
        "iat": now,
        "exp": now + 60,
        "web_auth_endpoint": f"{settings.BASE_URL}/auth",
        "account": partner.account,
    }
    statuses = []
    for said in (good, good | changes):
        headers = {"Authorization": f"Bearer {jwt.encode(said, key, algorithm='EdDSA')}"}
        response = client.get("/auth", {"account": partner.account}, headers=headers)
        statuses.append(response.status_code)
    assert statuses == [200, 400]
    assert why in response.json()["error"]


def test_authorization_of_somebody_who_may_not_use_the_service(
    client: Client, db: None, settings: Any
) -> None:
    """Challenge, Error: 403 when the header is valid but the application is not allowed."""
    stranger = Keypair.random()
    response = authorized(client, settings, stranger, account=stranger.public_key)
    assert response.status_code == 403
    assert isinstance(response.json()["error"], str)


# -- Challenge, what else the server has to do -------------------------------------------------


def test_challenge_of_a_muxed_account(client: Client, settings: Any) -> None:
    """Challenge, Request Parameters, account: M...; Muxed Accounts."""
    muxed = MuxedAccount(Keypair.random().public_key, 2**64 - 1).account_muxed or ""
    first = challenge(client, settings, account=muxed).transaction.operations[0]
    assert first.source.account_muxed == muxed


def test_challenge_names_the_home_domain_that_was_asked_for(client: Client, settings: Any) -> None:
    """Challenge, Request Parameters, home_domain: "tokens for multiple Home Domains"."""
    settings.HOME_DOMAINS = ["one.example", "two.example"]
    account = Keypair.random().public_key
    for given, named in (({}, "one"), ({"home_domain": "two.example"}, "two")):
        first = challenge(client, settings, account=account, **given).transaction.operations[0]
        assert first.data_name == f"{named}.example auth"
    refused = client.get("/auth", {"account": account, "home_domain": "three.example"})
    assert refused.status_code == 400


def test_challenge_nonce_is_another_each_time(client: Client, settings: Any) -> None:
    """Challenge, Response, Success: a random value."""
    account = Keypair.random().public_key
    nonces = {
        challenge(client, settings, account=account).transaction.operations[0].data_value
        for _ in range(5)
    }
    assert len(nonces) == 5


def test_too_many_challenges(client: Client, settings: Any) -> None:
    """Challenge, Error: "has requested too many challenges recently. Try again later."."""
    settings.SECRET_KEY = Keypair.random().secret * 2  # counts nobody else's
    settings.AUTH_ACCOUNT_LIMIT = 2
    account = Keypair.random().public_key
    statuses = [client.get("/auth", {"account": account}).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


# -- Token, the steps of validation -----------------------------------------------------------


def test_token_refuses_a_challenge_that_is_not_the_servers(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    """Token: source account and signature are the Server Account's."""
    impostor = Keypair.random()
    forged = build_challenge_transaction(
        impostor.secret,
        partner.account,
        settings.HOME_DOMAINS[0],
        settings.BASE_URL.split("://")[1],
        settings.NETWORK_PASSPHRASE,
    )
    envelope = TransactionEnvelope.from_xdr(forged, settings.NETWORK_PASSPHRASE)
    assert token(client, envelope, partner.keypair).status_code == 400


@pytest.mark.parametrize(
    "change",
    ["sequence", "time", "memo", "operation", "order"],
)
def test_token_refuses_a_challenge_that_was_changed(
    client: Client, settings: Any, partner: RegisteredAnchor, change: str
) -> None:
    """Token: sequence number 0, the time bounds, the operations, and all that was signed."""
    envelope = challenge(client, settings, account=partner.account)
    transaction = envelope.transaction
    if change == "sequence":
        transaction.sequence = 1
    elif change == "time":
        transaction.preconditions.time_bounds.max_time += 900
    elif change == "memo":
        transaction.memo = IdMemo(1)
    elif change == "operation":
        transaction.operations.append(ManageData("more", b"x", signing_keypair().public_key))
    else:
        transaction.operations.reverse()
    assert token(client, envelope, partner.keypair).status_code == 400


def test_token_refuses_a_challenge_out_of_its_time(
    client: Client, settings: Any, partner: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token: "current time is between the minimum and maximum bounds"."""
    envelope = challenge(client, settings, account=partner.account)
    later = time.time() + settings.CHALLENGE_SECONDS + 1
    monkeypatch.setattr("sep10.signed_challenge.time.time", lambda: later)
    assert token(client, envelope, partner.keypair).status_code == 400


def existing(monkeypatch: pytest.MonkeyPatch, threshold: int, *weights: tuple[str, int]) -> None:
    """The account exists, with this threshold and these signers."""
    signers = AccountSigners(threshold, dict(weights))
    monkeypatch.setattr("sep10.services.load_signers", lambda account: signers)


def test_token_needs_the_threshold(
    client: Client, settings: Any, partner: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token: "provide weight that meets the required threshold(s)"; Verification."""
    first, second = Keypair.random(), Keypair.random()
    existing(monkeypatch, 2, (first.public_key, 1), (second.public_key, 1))
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope).status_code == 400
    assert token(client, envelope, first).status_code == 400
    assert token(client, envelope, second).status_code == 200


@pytest.mark.parametrize(("name", "weight"), [("low", 1), ("medium", 2), ("high", 3)])
def test_which_threshold_is_the_servers_choice(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: str, weight: int
) -> None:
    """Verifying Authority to Move Funds; Verifying Complete Authority; Verifying Being a Signer."""
    settings.AUTH_THRESHOLD = name
    account = {
        "thresholds": {"low_threshold": 1, "med_threshold": 2, "high_threshold": 3},
        "signers": [],
    }
    monkeypatch.setattr("sep10.signers._get_account", lambda name: (200, account))
    signers = load_signers(Keypair.random().public_key)
    assert signers is not None
    assert signers.threshold == weight


def test_token_does_not_take_the_master_key_for_the_account(
    client: Client, settings: Any, partner: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verification: "should not assume possession of the master key is possession"."""
    signer = Keypair.random()
    existing(monkeypatch, 1, (partner.account, 0), (signer.public_key, 1))
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope, partner.keypair).status_code == 400
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope, signer).status_code == 200


def test_token_needs_every_signature_to_be_a_signers(
    client: Client, settings: Any, partner: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token: "remaining signatures on the transaction are signers of the Client Account"."""
    existing(monkeypatch, 1, (partner.account, 1))
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope, partner.keypair, Keypair.random()).status_code == 400


def test_the_servers_own_signature_never_counts(
    client: Client, settings: Any, partner: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verification: "A Server should not assist in authentication"."""
    existing(monkeypatch, 1, (signing_keypair().public_key, 10), (partner.account, 1))
    envelope = challenge(client, settings, account=partner.account)
    assert token(client, envelope).status_code == 400
    assert token(client, envelope, partner.keypair).status_code == 200


def test_client_domain_signs_beside_the_master_key_of_an_account_that_does_not_exist(
    client: Client, settings: Any, partner: RegisteredAnchor, wallet: Keypair
) -> None:
    """Abstract: three signatures with client_domain, else two."""
    parameters = {"account": partner.account, "client_domain": "wallet.example"}
    envelope = challenge(client, settings, **parameters)
    assert token(client, envelope, partner.keypair).status_code == 400
    assert token(client, envelope, wallet).status_code == 200
    envelope = challenge(client, settings, **parameters)
    assert token(client, envelope, partner.keypair, wallet, Keypair.random()).status_code == 400


def test_token_of_a_challenge_without_a_client_domain_claims_none(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    """Token, Response: client_domain "included if the challenge transaction contained" one."""
    envelope = challenge(client, settings, account=partner.account)
    said = claims(token(client, envelope, partner.keypair))
    assert "client_domain" not in said
    assert said["home_domain"] == settings.HOME_DOMAINS[0]


def test_sessions_of_two_memos_are_two_sessions(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    """Memos: "entirely separate, scoped, and detached from each other"."""
    callers = []
    for memo in ("1", "2"):
        envelope = challenge(client, settings, account=partner.account, memo=memo)
        callers.append(find_caller(token(client, envelope, partner.keypair).json()["token"]))
    assert [caller.memo for caller in callers] == ["1", "2"]
    assert {caller.account for caller in callers} == {partner.account}


def test_signatures_are_for_the_servers_network(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    """A convention for signatures: the passphrase of the network that the server uses."""
    envelope = challenge(client, settings, account=partner.account)
    elsewhere = TransactionEnvelope(
        envelope.transaction, "Another Network", list(envelope.signatures)
    )
    assert token(client, elsewhere, partner.keypair).status_code == 400


def test_what_sdfs_suite_asks_for_beyond_the_text(client: Client, settings: Any) -> None:
    """stellar-anchor-tests: nothing beside the two fields; minTime is now; only text is a
    transaction."""
    before = int(time.time())
    response = client.get("/auth", {"account": Keypair.random().public_key})
    assert set(response.json()) == {"transaction", "network_passphrase"}
    envelope = TransactionEnvelope.from_xdr(
        response.json()["transaction"], settings.NETWORK_PASSPHRASE
    )
    conditions: Any = envelope.transaction.preconditions
    assert conditions.time_bounds.min_time >= before
    for value in (1, True, None, ["x"], {"x": "y"}):
        answer = client.post("/auth", {"transaction": value}, content_type="application/json")
        assert answer.status_code == 400
