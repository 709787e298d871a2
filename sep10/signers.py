"""Who may sign for an account, asked of Horizon."""

from __future__ import annotations

import json
import time
from functools import lru_cache
from http.client import HTTPException
from typing import Any

import requests
import urllib3
from django.conf import settings
from requests.utils import select_proxy
from stellar_sdk.strkey import StrKey
from urllib3.exceptions import HTTPError

from kernel.errors import Unavailable
from sep10.signed_challenge import AccountSigners

MAX_ACCOUNT_BYTES = 1024 * 1024  # an account with its thousand trustlines is well below
# A client waits meanwhile, and holds one of our few threads.
MAX_SECONDS = 5.0
_CHUNK_BYTES = 64 * 1024
_CONNECTIONS = 16
_UNAVAILABLE = "The account's signers can't be looked up right now; try again later"
# Horizon's names of what the settings call low, medium and high.
_THRESHOLDS = {"low": "low_threshold", "medium": "med_threshold", "high": "high_threshold"}


def load_signers(account: str) -> AccountSigners | None:
    """The signers of `account` (G...) and the threshold they must meet; None if it does not exist.

    One GET and no second try: the client may simply ask again. Raises `Unavailable` if Horizon
    does not answer.
    """
    try:
        status, found = _get_account(account)
        if status == 200:
            return AccountSigners(
                threshold=int(found["thresholds"][_THRESHOLDS[settings.AUTH_THRESHOLD]]),
                weights={
                    _public_key(signer["key"]): int(signer["weight"])
                    for signer in found["signers"]
                    if signer["type"] == "ed25519_public_key"
                },
            )
        # Some proxy's 404 must not pass for Horizon's: it would let a master key in that the
        # account has switched off.
        if status == 404 and str(found["type"]).endswith("/not_found"):
            return None
    except (
        *(HTTPError, HTTPException, OSError),
        *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
    ) as error:
        raise Unavailable(_UNAVAILABLE) from error
    raise Unavailable(_UNAVAILABLE)


def _public_key(key: str) -> str:
    StrKey.decode_ed25519_public_key(key)
    return key


def _get_account(account: str) -> tuple[int, Any]:
    """(status, document) of Horizon's answer, whatever answers under its name."""
    seconds = min(settings.HORIZON_TIMEOUT_SECONDS, MAX_SECONDS)
    deadline = time.monotonic() + seconds
    response = _connections(settings.HORIZON_URL).urlopen(
        "GET",
        f"{settings.HORIZON_URL}/accounts/{account}",
        headers={"Accept": "application/json", "User-Agent": "Landfall"},
        timeout=urllib3.Timeout(connect=seconds, read=seconds),
        retries=False,
        redirect=False,
        preload_content=False,
    )
    body = bytearray()
    try:
        while chunk := response.read1(_CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_ACCOUNT_BYTES or time.monotonic() > deadline:
                raise ValueError("the answer is too long, or took too long")
    except BaseException:
        response.close()  # what is still to come must not be the next answer
        raise
    response.release_conn()
    return response.status, json.loads(body)


@lru_cache(maxsize=2)
def _connections(url: str) -> urllib3.PoolManager:
    """Kept connections to the Horizon at `url`, by its proxy and with its certificates where the
    environment names some, as for the SDK. The SDK's own client, which the watcher uses, would
    take a millisecond of our time for each call.
    """
    found = requests.Session().merge_environment_settings(url, {}, None, None, None)
    certificates = found["verify"]
    options: dict[str, Any] = {
        "maxsize": _CONNECTIONS,
        "ca_certs": certificates if isinstance(certificates, str) else requests.certs.where(),
    }
    proxy = select_proxy(url, found["proxies"])
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
