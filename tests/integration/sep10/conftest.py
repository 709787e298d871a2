"""Clients that ask for challenges and sign them. Horizon is the one boundary that is played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from stellar_sdk import Keypair, TransactionEnvelope

from sep10.signed_challenge import AccountSigners
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor

Signers = dict[str, AccountSigners]


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Signers:
    """What Horizon knows: signers by account. An account that is not here does not exist."""
    accounts: Signers = {}
    monkeypatch.setattr("sep10.services.load_signers", accounts.get)
    return accounts


@pytest.fixture
def partner(db: None, ledger: Signers) -> RegisteredAnchor:
    """A sending anchor whose account exists, with its master key alone."""
    registered = make_sending_anchor("Partner")
    ledger[registered.account] = AccountSigners(0, {registered.account: 1})
    return registered


def signed(xdr: str, *signers: Keypair, passphrase: str | None = None) -> str:
    envelope = TransactionEnvelope.from_xdr(xdr, passphrase or django_settings.NETWORK_PASSPHRASE)
    for signer in signers:
        envelope.sign(signer)
    return envelope.to_xdr()


def ask(client: Client, account: str, **parameters: str) -> str:
    response = client.get("/auth", {"account": account, **parameters})
    assert response.status_code == 200, response.content
    return str(response.json()["transaction"])


@pytest.fixture
def post() -> Callable[[Any], Any]:
    """POST a value as the `transaction` of a JSON body."""

    def send(transaction: Any) -> Any:
        return Client().post("/auth", {"transaction": transaction}, content_type="application/json")

    return send
