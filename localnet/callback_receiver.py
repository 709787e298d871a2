"""Where a sending anchor receives the anchor's callbacks: a small HTTP server of its own.

It trusts nothing but the signature (SEP-31, VERIFY signature).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from stellar_sdk import Keypair
from stellar_sdk.exceptions import BadSignatureError

_SIGNATURE = re.compile(r"t=([0-9]{1,12}), ?s=([A-Za-z0-9+/=]{88})", re.ASCII)
LOOPBACK = "127.0.0.1"
_MAX_AGE_SECONDS = 120
_MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ReceivedCallback:
    """One callback; `problem` says what is wrong with it, "" if nothing is."""

    transaction: dict[str, Any]
    problem: str
    at: float  # time.monotonic()


def find_problem(key: Keypair, header: str | None, *, host: str, body: bytes, now: float) -> str:
    """What is wrong with a callback's signature, "" if nothing is.

    `key` is the SIGNING_KEY of the anchor's stellar.toml and `host` our own host, with its port.
    """
    match = _SIGNATURE.fullmatch(header or "")
    if match is None:
        return "the Signature header is missing or malformed"
    if abs(now - int(match[1])) > _MAX_AGE_SECONDS:
        return "the signature is too old"
    try:
        key.verify(f"{match[1]}.{host}.".encode() + body, base64.b64decode(match[2]))
    except (BadSignatureError, binascii.Error):
        return "the signature is not the anchor's"
    return ""


class CallbackReceiver:
    """Receives callbacks on a free port while it is entered.

    `name` is the host that its URL names; with another one than this machine's own loopback
    address it listens on every address.
    """

    def __init__(self, signing_key: str, *, name: str = LOOPBACK) -> None:
        self._key = Keypair.from_public_key(signing_key)
        self._received: list[ReceivedCallback] = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(min(length, _MAX_BODY_BYTES))
                problem = receiver._record(self.headers.get("Signature"), body)
                self.send_response(400 if problem else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK if name == LOOPBACK else "", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"{name}:{self._server.server_port}"
        self.url = f"http://{self.host}/callback"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _record(self, header: str | None, body: bytes) -> str:
        problem = find_problem(self._key, header, host=self.host, body=body, now=time.time())
        try:
            document = json.loads(body)
            transaction = dict(document.get("transaction") or document)
        except (ValueError, TypeError, AttributeError):
            transaction, problem = {}, problem or "the body is not a transaction object"
        with self._lock:
            self._received.append(ReceivedCallback(transaction, problem, time.monotonic()))
        return problem

    def of_transaction(self, transaction_id: str) -> list[ReceivedCallback]:
        """The callbacks about one transaction, in the order of arrival."""
        with self._lock:
            return [one for one in self._received if one.transaction.get("id") == transaction_id]

    def problems(self) -> list[str]:
        """What was wrong with callbacks that could not be accepted."""
        with self._lock:
            return [one.problem for one in self._received if one.problem]
