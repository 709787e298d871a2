"""The client domain's side of a challenge: its SIGNING_KEY, from its stellar.toml.

Source: SEP-10, "Verifying the Client Domain"; SEP-1 (the file's place and its limit of 100 KB).
"""

from __future__ import annotations

import threading
import time
import tomllib
from typing import Any

from django.conf import settings
from django.core.cache import cache
from stellar_sdk.strkey import StrKey

from kernel.errors import BadRequest, Unavailable
from kernel.http import HttpAnswer, OutboundFailed, OutboundRefused, safe_get
from sep10.challenge import ClientDomain

MAX_TOML_BYTES = 100 * 1024
# A client waits for its challenge meanwhile, and holds one of our few threads.
TIMEOUT_SECONDS = 3.0
# A wallet's key changes seldom; one that was just put right is found soon.
KEEP_SECONDS = 60
KEEP_FAILURE_SECONDS = 10
# Strangers choose where we call and how long it takes: of a process's four threads (see the
# Procfile) two stay free of them.
MAX_FETCHES = 2
QUEUE_SECONDS = 0.25

_fetches = threading.BoundedSemaphore(MAX_FETCHES)


def find_client_domain(name: str) -> ClientDomain:
    """The signing key of `name` (a bare domain), from its stellar.toml or as it was a moment ago.

    Raises `BadRequest` if it has none, `Unavailable` while too many domains are being asked.
    """
    key, refusal = _find_signing_key(name)
    if refusal:
        raise BadRequest(refusal)
    return ClientDomain(name, key)


def _find_signing_key(name: str) -> tuple[str, str]:
    """(G..., ""), or ("", why there is none)."""
    place = f"client-domain:{name}"
    if found := cache.get(place):
        return found
    if not _fetches.acquire(timeout=QUEUE_SECONDS):
        raise Unavailable("Too many client domains are being looked up; try again in a moment")
    try:
        if found := cache.get(place):  # by whom we waited for
            return found
        try:
            found = (_fetch_signing_key(name), "")
        except BadRequest as error:
            found = ("", error.message)
        cache.set(place, found, KEEP_SECONDS if found[0] else KEEP_FAILURE_SECONDS)
        return found
    finally:
        _fetches.release()


def _fetch_signing_key(name: str) -> str:
    try:
        answer = _fetch(name)
    except OutboundRefused as error:
        raise BadRequest(f"client_domain can't be used: {error}") from error
    except OutboundFailed as error:
        raise BadRequest("client_domain's stellar.toml could not be fetched") from error
    if answer.status != 200:
        raise BadRequest(f"client_domain's stellar.toml answers with status {answer.status}")
    return _signing_key(answer.body)


def _fetch(name: str) -> HttpAnswer:
    address = f"{name}/.well-known/stellar.toml"
    deadline = time.monotonic() + TIMEOUT_SECONDS
    try:
        return safe_get(f"https://{address}", max_bytes=MAX_TOML_BYTES, timeout=TIMEOUT_SECONDS)
    except OutboundFailed:
        if not settings.ALLOW_INSECURE_URLS or time.monotonic() > deadline:
            raise
    # Wallets on a developer's machine have no certificate.
    left = max(deadline - time.monotonic(), 0.001)
    return safe_get(f"http://{address}", max_bytes=MAX_TOML_BYTES, timeout=left)


def _signing_key(body: bytes) -> str:
    try:
        document: dict[str, Any] = tomllib.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise BadRequest("client_domain's stellar.toml is not valid TOML") from error
    key = document.get("SIGNING_KEY")
    if not isinstance(key, str) or not StrKey.is_valid_ed25519_public_key(key):
        raise BadRequest("client_domain's stellar.toml must hold a SIGNING_KEY (G...)")
    return key
