"""SEP-1 v2.7.0, clause by clause."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from django.test import Client
from stellar_sdk.strkey import StrKey

from kernel.keys import signing_keypair


@pytest.fixture
def response(client: Client) -> Any:
    return client.get("/.well-known/stellar.toml")


@pytest.fixture
def document(response: Any) -> dict[str, Any]:
    return tomllib.loads(response.content.decode())


def test_specification_location(response: Any) -> None:
    """Specification: "searched for at https://DOMAIN/.well-known/stellar.toml"."""
    assert response.status_code == 200


def test_specification_cors(response: Any) -> None:
    """Specification: "You must enable CORS"; Access-Control-Allow-Origin: *."""
    assert response["Access-Control-Allow-Origin"] == "*"


def test_specification_content_type(response: Any) -> None:
    """Specification: "recommended to set a text/plain content type"."""
    assert response["Content-Type"].split(";")[0] == "text/plain"


def test_specification_size(response: Any) -> None:
    """Specification: "a maximum file size of 100KB"."""
    assert len(response.content) <= 100_000


def test_general_information(document: dict[str, Any], settings: Any) -> None:
    """General Information: fields and their requirements."""
    assert document["NETWORK_PASSPHRASE"] == settings.NETWORK_PASSPHRASE
    assert document["SIGNING_KEY"] == signing_keypair().public_key
    assert all(map(StrKey.is_valid_ed25519_public_key, document["ACCOUNTS"]))
    for endpoint in (
        "WEB_AUTH_ENDPOINT",
        "KYC_SERVER",  # DIRECT_PAYMENT_SERVER requires it
        "DIRECT_PAYMENT_SERVER",
        "ANCHOR_QUOTE_SERVER",
    ):
        assert document[endpoint].startswith(settings.BASE_URL)
        assert not document[endpoint].endswith("/")


def test_currency_documentation(document: dict[str, Any]) -> None:
    """Currency Documentation: code (<= 12) and issuer required, name <= 20, known statuses."""
    for currency in document["CURRENCIES"]:
        assert 1 <= len(currency["code"]) <= 12
        assert StrKey.is_valid_ed25519_public_key(currency["issuer"])
        assert len(currency.get("name", "")) <= 20
        assert currency.get("status", "live") in {"live", "dead", "test", "private"}


def test_organization_documentation(document: dict[str, Any]) -> None:
    """Organization Documentation: ORG_URL uses https."""
    assert document["DOCUMENTATION"]["ORG_NAME"]
    assert document["DOCUMENTATION"]["ORG_URL"].startswith("https://")
