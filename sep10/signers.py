"""Who may sign for an account, asked of Horizon."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import select
import socket
import ssl
import time
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import requests
from django.conf import settings
from requests.utils import prepend_scheme_if_needed, select_proxy
from stellar_sdk.strkey import StrKey

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
        *(HTTPException, OSError),
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
    status, body = _horizon(settings.HORIZON_URL, seconds).get(f"/accounts/{account}")
    return status, json.loads(body)


class _Horizon:
    """Kept connections to one Horizon, by its proxy and with its certificates where the environment
    names some, as for the SDK. The SDK's own client, which the watcher uses, takes a millisecond of
    our time for each call, which is most of what a token takes beside the look-up itself.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = urlsplit(url)
        self._seconds = seconds
        self._idle: queue.LifoQueue[HTTPConnection] = queue.LifoQueue(_CONNECTIONS)
        self._headers = {"Accept": "application/json", "User-Agent": "Landfall"}
        found = requests.Session().merge_environment_settings(url, {}, None, None, None)
        certificates = found["verify"]
        self._tls = ssl.create_default_context(
            cafile=certificates if isinstance(certificates, str) else requests.certs.where()
        )
        proxy = select_proxy(url, found["proxies"])
        self._proxy = urlsplit(prepend_scheme_if_needed(proxy, "http")) if proxy else None
        self._is_tls = self._url.scheme == "https"
        # A proxy is asked for a whole URL, or for a tunnel.
        self._prefix = url if self._proxy and not self._is_tls else self._url.path
        if self._proxy and not self._is_tls:
            self._headers |= _proxy_headers(self._proxy)

    def get(self, path: str) -> tuple[int, bytes]:
        """(status, body). Raises `OSError`, `HTTPException` or `ValueError`."""
        deadline = time.monotonic() + self._seconds
        connection = self._take()
        try:
            connection.request("GET", f"{self._prefix}{path}", headers=self._headers)
            response = connection.getresponse()
            body = bytearray()
            while chunk := response.read1(_CHUNK_BYTES):
                body += chunk
                if len(body) > MAX_ACCOUNT_BYTES or time.monotonic() > deadline:
                    raise ValueError("the answer is too long, or took too long")
            if response.length:
                raise ValueError("the answer broke off")
            response.close()
        except BaseException:
            connection.close()  # what is still to come must not be the next answer
            raise
        self._keep(connection)
        return response.status, bytes(body)

    def _take(self) -> HTTPConnection:
        with contextlib.suppress(queue.Empty):
            while True:
                kept = self._idle.get_nowait()
                if _is_silent(kept.sock):
                    return kept
                kept.close()  # Horizon hung up meanwhile
        return self._connect()

    def _keep(self, connection: HTTPConnection) -> None:
        try:
            if connection.sock is not None:  # None: the answer said that it was the last
                self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def _connect(self) -> HTTPConnection:
        to = self._proxy or self._url
        assert to.hostname is not None
        if not self._is_tls:
            return HTTPConnection(to.hostname, to.port, timeout=self._seconds)
        connection = HTTPSConnection(
            to.hostname, to.port or 443, timeout=self._seconds, context=self._tls
        )
        if self._proxy:
            connection.set_tunnel(
                self._url.hostname or "", self._url.port, headers=_proxy_headers(self._proxy)
            )
        return connection


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def _is_silent(sock: socket.socket) -> bool:
    """Whether nothing came after the last answer: not even the end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


@lru_cache(maxsize=2)
def _horizon(url: str, seconds: float) -> _Horizon:
    return _Horizon(url, seconds)
