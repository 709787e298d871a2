"""A server of payments pages, as Horizon would serve a long backlog.

The local network would do, but slowly: thousands of signed transactions, one a payment, as
sending anchors make them. The records here are copies of one that it served, with other numbers.
"""

from __future__ import annotations

import bisect
import json
import multiprocessing
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_PAYMENTS_PER_LEDGER = 50


def make_records(
    template: dict[str, Any],
    account: str,
    payments: Sequence[tuple[str, str]],
    *,
    first_ledger: int,
    now: datetime,
) -> list[tuple[int, dict[str, Any]]]:
    """(paging token, record) of payments to `account`, each of (memo, amount), oldest first.

    The last of their ledgers closes at `now`; one closes each second.
    """
    last = (len(payments) - 1) // _PAYMENTS_PER_LEDGER
    records = []
    for number, (memo, amount) in enumerate(payments):
        ledger, order = divmod(number, _PAYMENTS_PER_LEDGER)
        token = (first_ledger + ledger << 32) + (order + 1 << 12) + 1
        closed_at = (now - timedelta(seconds=last - ledger)).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = f"{token:064x}"
        transaction = {
            **template["transaction"],
            "id": digest,
            "hash": digest,
            "paging_token": str(token - 1),
            "ledger": first_ledger + ledger,
            "created_at": closed_at,
            "memo_type": "id",
            "memo": memo,
        }
        record = {
            **template,
            "id": str(token),
            "paging_token": str(token),
            "created_at": closed_at,
            "transaction_hash": digest,
            "to": account,
            "amount": amount,
            "transaction": transaction,
        }
        records.append((token, record))
    return records


class PageServer:
    """Serves pages on a free port, from a process of its own, while it is entered."""

    def __init__(
        self, template: dict[str, Any], account: str, payments: Sequence[tuple[str, str]]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(template, account, payments, theirs), daemon=True
        )
        self.url = ""

    def __enter__(self) -> Self:
        self._process.start()
        self.url = f"http://127.0.0.1:{self._ours.recv()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(
    template: dict[str, Any], account: str, payments: Sequence[tuple[str, str]], parent: Connection
) -> None:
    now = datetime.now(UTC)
    # Operation ids are unique on a network, and the service has seen others.
    first_ledger = 10_000_000 + secrets.randbelow(2**30)
    records = make_records(template, account, payments, first_ledger=first_ledger, now=now)
    tokens = [token for token, _ in records]
    texts = [json.dumps(record, separators=(",", ":")) for _, record in records]
    latest = records[-1][0] >> 32

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == f"/accounts/{account}/payments":
                query = parse_qs(url.query)
                start = bisect.bisect(tokens, int(query["cursor"][0]))
                page = texts[start : start + int(query["limit"][0])]
                body = '{"_embedded":{"records":[' + ",".join(page) + "]}}"
            else:  # the latest ledger, the only other thing that is asked for
                closed_at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
                body = json.dumps({"sequence": latest, "closed_at": closed_at})
            raw = body.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/hal+json; charset=utf-8")
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Latest-Ledger", str(latest))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    parent.send(server.server_port)
    server.serve_forever()
