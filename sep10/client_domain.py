"""The client domain's side of a challenge: its SIGNING_KEY, from its stellar.toml.

Source: SEP-10, "Verifying the Client Domain"; SEP-1 (the file's place and its limit of 100 KB).
"""

from __future__ import annotations

import tomllib
from typing import Any

from django.conf import settings
from stellar_sdk.strkey import StrKey

from kernel.errors import BadRequest
from kernel.http import HttpAnswer, OutboundFailed, OutboundRefused, safe_get
from sep10.challenge import ClientDomain

MAX_TOML_BYTES = 100 * 1024
# A client waits for its challenge meanwhile.
TIMEOUT_SECONDS = 5.0


def find_client_domain(name: str) -> ClientDomain:
    """Fetch the signing key of `name` (a bare domain). Raises `BadRequest` if it has none."""
    try:
        answer = _fetch(name)
    except OutboundRefused as error:
        raise BadRequest(f"client_domain can't be used: {error}") from error
    except OutboundFailed as error:
        raise BadRequest("client_domain's stellar.toml could not be fetched") from error
    if answer.status != 200:
        raise BadRequest(f"client_domain's stellar.toml answers with status {answer.status}")
    return ClientDomain(name, _signing_key(answer.body))


def _fetch(name: str) -> HttpAnswer:
    address = f"{name}/.well-known/stellar.toml"
    try:
        return safe_get(f"https://{address}", max_bytes=MAX_TOML_BYTES, timeout=TIMEOUT_SECONDS)
    except OutboundFailed:
        if not settings.ALLOW_INSECURE_URLS:
            raise
    # Wallets on a developer's machine have no certificate.
    return safe_get(f"http://{address}", max_bytes=MAX_TOML_BYTES, timeout=TIMEOUT_SECONDS)


def _signing_key(body: bytes) -> str:
    try:
        document: dict[str, Any] = tomllib.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise BadRequest("client_domain's stellar.toml is not valid TOML") from error
    key = document.get("SIGNING_KEY")
    if not isinstance(key, str) or not StrKey.is_valid_ed25519_public_key(key):
        raise BadRequest("client_domain's stellar.toml must hold a SIGNING_KEY (G...)")
    return key
