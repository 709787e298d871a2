"""GET /auth."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from django.test import Client
from stellar_sdk import IdMemo, Keypair, ManageData, MuxedAccount, NoneMemo, TransactionEnvelope

from kernel.http import HttpAnswer, OutboundFailed, OutboundRefused
from kernel.keys import signing_keypair
from tests.integration.sep10.conftest import ask

ACCOUNT = Keypair.random().public_key
WALLET = Keypair.random()


def decoded(xdr: str, settings: Any) -> Any:
    return TransactionEnvelope.from_xdr(xdr, settings.NETWORK_PASSPHRASE)


def refused(client: Client, **parameters: str) -> str:
    response = client.get("/auth", parameters)
    assert response.status_code == 400, response.content
    assert list(response.json()) == ["error"]
    return str(response.json()["error"])


def test_a_challenge_is_a_transaction_that_the_server_signed_and_nobody_can_submit(
    client: Client, settings: Any
) -> None:
    before = int(time.time())
    response = client.get("/auth", {"account": ACCOUNT})
    assert response.status_code == 200
    assert set(response.json()) == {"transaction", "network_passphrase"}
    assert response.json()["network_passphrase"] == settings.NETWORK_PASSPHRASE
    envelope = decoded(response.json()["transaction"], settings)
    transaction = envelope.transaction
    assert transaction.source.account_id == signing_keypair().public_key
    assert transaction.sequence == 0
    assert isinstance(transaction.memo, NoneMemo)
    bounds = transaction.preconditions.time_bounds
    assert before <= bounds.min_time <= int(time.time())
    assert bounds.max_time - bounds.min_time == settings.CHALLENGE_SECONDS
    nonce, web_auth = transaction.operations
    assert isinstance(nonce, ManageData)
    assert nonce.source is not None
    assert nonce.data_value is not None
    assert nonce.source.account_id == ACCOUNT
    assert nonce.data_name == f"{settings.HOME_DOMAINS[0]} auth"
    assert len(nonce.data_value) == 64
    assert len(base64.b64decode(nonce.data_value)) == 48
    assert web_auth.source.account_id == signing_keypair().public_key
    assert (web_auth.data_name, web_auth.data_value) == (
        "web_auth_domain",
        settings.BASE_URL.split("://")[1].encode(),
    )
    signing_keypair().verify(envelope.hash(), envelope.signatures[0].signature)


def test_no_challenge_is_given_twice(client: Client) -> None:
    assert ask(client, ACCOUNT) != ask(client, ACCOUNT)


def test_any_site_may_ask_and_nobody_may_keep_the_answer(client: Client) -> None:
    response = client.get("/auth", {"account": ACCOUNT})
    assert response["Access-Control-Allow-Origin"] == "*"
    assert response["Cache-Control"] == "no-store"
    assert client.get("/auth")["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("memo", ["0", "1", "17509749319012223907", str(2**64 - 1)])
def test_the_memo_is_in_the_challenge(client: Client, settings: Any, memo: str) -> None:
    envelope = decoded(ask(client, ACCOUNT, memo=memo), settings)
    assert envelope.transaction.memo == IdMemo(int(memo))
    signing_keypair().verify(envelope.hash(), envelope.signatures[0].signature)
    assert len(envelope.signatures) == 1


@pytest.mark.parametrize("user", [0, 1, 2**64 - 1])
def test_a_muxed_account_is_the_source_of_the_first_operation(
    client: Client, settings: Any, user: int
) -> None:
    muxed = MuxedAccount(ACCOUNT, user).account_muxed
    assert muxed is not None
    envelope = decoded(ask(client, muxed), settings)
    assert envelope.transaction.operations[0].source.account_muxed == muxed


@pytest.mark.parametrize(
    "account",
    ["", "G", "x" * 56, ACCOUNT[:-1], ACCOUNT.lower(), f" {ACCOUNT}", "G\x00", "☃" * 56, "G" * 5000,
     Keypair.random().secret, "CA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJUWDA"],
)  # fmt: skip
def test_only_a_stellar_account_gets_a_challenge(client: Client, account: str) -> None:
    assert "account" in refused(client, account=account)


def test_the_account_is_required(client: Client) -> None:
    assert refused(client) == "account is required"


@pytest.mark.parametrize(
    "memo", ["-1", "1.5", "abc", "1e3", "+1", " 1", "007", "٣", str(2**64), "9" * 100, "1\x00"]
)
def test_only_an_id_is_a_memo(client: Client, memo: str) -> None:
    assert "memo" in refused(client, account=ACCOUNT, memo=memo)


def test_a_muxed_account_takes_no_memo_beside_its_id(client: Client) -> None:
    muxed = MuxedAccount(ACCOUNT, 7).account_muxed or ""
    assert "memo" in refused(client, account=muxed, memo="7")


def test_each_of_our_home_domains_may_be_asked_for(client: Client, settings: Any) -> None:
    settings.HOME_DOMAINS = ["anchor.example", "other.example"]
    for given, expected in [
        ({}, "anchor.example"),
        ({"home_domain": "anchor.example"}, "anchor.example"),
        ({"home_domain": "other.example"}, "other.example"),
    ]:
        envelope = decoded(ask(client, ACCOUNT, **given), settings)
        assert envelope.transaction.operations[0].data_name == f"{expected} auth"


def test_a_home_domain_of_others_is_refused(client: Client) -> None:
    assert "home_domain" in refused(client, account=ACCOUNT, home_domain="evil.example")


# -- The client domain (SEP-10, "Verifying the Client Domain") --------------------------------


@pytest.fixture
def wallet_toml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plays wallet.example's web server: set `.answer` to an HttpAnswer or an exception."""

    class Web:
        answer: Any = HttpAnswer(200, {}, f'SIGNING_KEY = "{WALLET.public_key}"'.encode())
        asked: list[str] = []

    def get(url: str, **limits: Any) -> HttpAnswer:
        Web.asked.append(url)
        if isinstance(Web.answer, Exception):
            raise Web.answer
        return Web.answer

    monkeypatch.setattr("sep10.client_domain.safe_get", get)
    return Web


def test_a_client_domain_is_in_the_challenge_under_its_own_key(
    client: Client, settings: Any, wallet_toml: Any
) -> None:
    envelope = decoded(ask(client, ACCOUNT, client_domain="Wallet.example"), settings)
    domain = envelope.transaction.operations[2]
    assert (domain.data_name, domain.data_value) == ("client_domain", b"wallet.example")
    assert domain.source.account_id == WALLET.public_key
    assert wallet_toml.asked == ["https://wallet.example/.well-known/stellar.toml"]


@pytest.mark.parametrize(
    "answer",
    [
        OutboundRefused("the URL's host must have public addresses only"),
        OutboundFailed("the call failed"),
        HttpAnswer(404, {}, f'SIGNING_KEY = "{WALLET.public_key}"'.encode()),
        HttpAnswer(302, {"location": "https://elsewhere.example"}, b""),
        HttpAnswer(200, {}, b""),
        HttpAnswer(200, {}, b"SIGNING_KEY = 1"),
        HttpAnswer(200, {}, b'SIGNING_KEY = "GABC"'),
        HttpAnswer(200, {}, b"SIGNING_KEY"),
        HttpAnswer(200, {}, b"\xff\xfe\x00"),
        HttpAnswer(200, {}, b"a = " + b"[" * 90_000),
        HttpAnswer(200, {}, f'SIGNING_KEY = "{ACCOUNT}"'.encode()),
        HttpAnswer(200, {}, f'SIGNING_KEY = "{signing_keypair().public_key}"'.encode()),
    ],
)
def test_a_client_domain_whose_key_cannot_be_had_is_a_bad_request(
    client: Client, wallet_toml: Any, answer: Any
) -> None:
    wallet_toml.answer = answer
    assert "client_domain" in refused(client, account=ACCOUNT, client_domain="wallet.example")


@pytest.mark.parametrize(
    "name",
    ["https://wallet.example", "wallet.example/path", "user@wallet.example", "wallet.example?x",
     "wallet.example#x", "a..b", ".", "wallet example", "wället.example", "x" * 65, "[::1]",
     "a\x00b", "wallet.example:443:1", "wallet.example\n"],
)  # fmt: skip
def test_what_is_no_bare_domain_is_refused_before_anything_is_fetched(
    client: Client, wallet_toml: Any, name: str
) -> None:
    wallet_toml.asked.clear()
    assert "client_domain" in refused(client, account=ACCOUNT, client_domain=name)
    assert wallet_toml.asked == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "169.254.169.254"])
def test_a_client_domain_does_not_reach_the_inside_of_our_network(
    client: Client, name: str
) -> None:
    assert "public" in refused(client, account=ACCOUNT, client_domain=name)
