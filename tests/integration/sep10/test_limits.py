"""Limits on /auth, counted in a real Redis."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from stellar_sdk import Keypair, MuxedAccount

from kernel import throttling
from tests.fixtures.callers import RegisteredAnchor
from tests.integration.sep10.conftest import ask, signed


@pytest.fixture(autouse=True)
def _buckets_of_our_own(settings: Any) -> None:
    """Whoever else tests at this Redis counts under another key."""
    settings.SECRET_KEY = uuid.uuid4().hex * 2


def get(account: str, address: str = "203.0.113.1") -> Any:
    return Client().get("/auth", {"account": account}, REMOTE_ADDR=address)


def refused(response: Any) -> bool:
    if response.status_code != 429:
        return False
    assert list(response.json()) == ["error"]
    assert int(response["Retry-After"]) > 0
    assert response["Access-Control-Allow-Origin"] == "*"
    return True


def test_an_address_may_ask_so_often_for_whatever_account(settings: Any) -> None:
    settings.AUTH_ADDRESS_LIMIT = 3
    assert not any(refused(get(Keypair.random().public_key)) for _ in range(3))
    assert refused(get(Keypair.random().public_key))
    assert not refused(get(Keypair.random().public_key, "203.0.113.2"))


def test_an_account_may_be_asked_for_so_often_from_wherever_and_whoever_shares_it(
    settings: Any,
) -> None:
    settings.AUTH_ACCOUNT_LIMIT = 3
    account = Keypair.random().public_key
    names = [account, *(MuxedAccount(account, user).account_muxed or "" for user in (1, 2))]
    assert not any(refused(get(name, f"203.0.113.{n}")) for n, name in enumerate(names))
    assert refused(get(account, "203.0.113.9"))
    assert refused(get(MuxedAccount(account, 3).account_muxed or "", "203.0.113.9"))
    assert not refused(get(Keypair.random().public_key, "203.0.113.9"))


def test_what_can_not_be_read_counts_as_well(settings: Any) -> None:
    settings.AUTH_ADDRESS_LIMIT = 2
    client = Client(REMOTE_ADDR="203.0.113.1")
    assert get("nobody").status_code == 400
    body = {"transaction": "nothing"}
    assert client.post("/auth", body, content_type="application/json").status_code == 400
    assert refused(get("nobody"))
    assert refused(client.post("/auth", body, content_type="application/json"))


def test_a_token_counts_like_a_challenge_and_is_refused_before_the_ledger_is_asked(
    client: Client, settings: Any, partner: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUTH_ACCOUNT_LIMIT = 2
    first, second = (signed(ask(client, partner.account), partner.keypair) for _ in range(2))
    monkeypatch.setattr("sep10.services.load_signers", lambda account: pytest.fail("was asked"))
    for xdr in (first, second):
        assert refused(client.post("/auth", {"transaction": xdr}, content_type="application/json"))


def test_a_client_domain_is_not_looked_up_for_whoever_asks_too_often(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUTH_ADDRESS_LIMIT = 1
    monkeypatch.setattr(
        "sep10.client_domain.safe_get", lambda *a, **k: pytest.fail("was looked up")
    )
    get(Keypair.random().public_key)
    parameters = {"account": Keypair.random().public_key, "client_domain": "wallet.example"}
    assert refused(Client().get("/auth", parameters, REMOTE_ADDR="203.0.113.1"))


def test_without_redis_everybody_gets_a_challenge(settings: Any) -> None:
    settings.AUTH_ADDRESS_LIMIT = 1
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert not any(refused(get(Keypair.random().public_key)) for _ in range(5))
    throttling._counts.cache_clear()
