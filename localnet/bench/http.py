"""How many requests a second each endpoint answers, beside an empty view of the same server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone
from stellar_sdk import Keypair, TransactionEnvelope

from localnet.bench.counting import CountedQueries
from localnet.bench.ingest import catch_up, serve_payments
from localnet.bench.load import Load, Unexpected, check, make_request, run_apart
from localnet.bench.rows import Row, percentile
from localnet.bench.stage import RECEIVER, Bench, clone, timed, wait_for_status
from localnet.bench.urls import EMPTY
from sep10.services import create_challenge
from sep10.signers import load_signers
from sep31.machine import Status
from sep38.models import Quote

CLIENTS = 8
_DESTINATION = "iso4217:MXN"
# Requests that are sent before any is timed, to each endpoint: imports, caches, connections.
_WARM_UP = 16
# Requests in which queries are counted; caches are full from the first on.
_COUNTED = 2
_TIMED_CALLS = 50


@dataclass(frozen=True)
class Request:
    """One request of our sending anchor's."""

    method: str
    target: str
    token: str = ""
    body: dict[str, str] | None = None

    @property
    def raw_body(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body).encode()

    def as_bytes(self, host: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return make_request(
            self.method, self.target, host=host, headers=headers, body=self.raw_body
        )


@dataclass(frozen=True)
class Endpoint:
    """An endpoint and as many different requests to it as are wanted."""

    name: str
    status: int
    make: Callable[[int], list[Request]]


def measure(bench: Bench) -> list[Row]:
    rows = []
    for endpoint in endpoints(bench):
        rows += measure_endpoint(bench, endpoint)
    return [*rows, *_measure_parts_of_a_token(bench)]


def measure_endpoint(bench: Bench, endpoint: Endpoint) -> list[Row]:
    """Its rate, the times of one request and its queries, each beside the empty view's."""
    scale, port, host = bench.scale, bench.service.ports["web"], bench.host
    wanted = _WARM_UP + _COUNTED + scale.rounds * scale.requests
    requests = endpoint.make(wanted)
    encoded = [request.as_bytes(host) for request in requests[_COUNTED:]]
    empty = [Request("GET", EMPTY).as_bytes(host)]

    def send(some: list[bytes], what: str, status: int, seconds: float, count: int) -> Load:
        load = bench.clients.send(port, some, clients=CLIENTS, seconds=seconds, count=count)
        check(what, load, status)
        return load

    send(empty, EMPTY, 200, 5, _WARM_UP)
    send(encoded[:_WARM_UP], endpoint.name, endpoint.status, 30, _WARM_UP)
    load, floor = Load(), Load()
    for start in range(_WARM_UP, len(encoded), scale.requests):
        bench.settle()  # else the floor would pay for what the workers do about the requests
        floor.add(send(empty, EMPTY, 200, scale.floor_seconds, 100_000))
        part = encoded[start : start + scale.requests]
        load.add(send(part, endpoint.name, endpoint.status, scale.seconds, len(part)))
    bench.settle()
    queries = _count_queries(endpoint, requests[:_COUNTED])
    name = f"http {endpoint.name}"
    return [
        Row(name, load.rate, "requests/s", floor.rate),
        *(
            Row(
                f"{name} p{percent}",
                percentile(load.latencies, percent) * 1000,
                "ms",
                percentile(floor.latencies, percent) * 1000,
            )
            for percent in (50, 99)
        ),
        Row(f"{name} queries", queries, "queries/request", 0),
    ]


def _count_queries(endpoint: Endpoint, requests: list[Request]) -> int:
    """Statements of the last of `requests`, handled in this process with the same settings."""
    for request in requests:
        with CountedQueries() as queries:
            response = Client().generic(
                request.method,
                request.target,
                request.raw_body,
                content_type="application/json",
                headers={"Authorization": f"Bearer {request.token}"} if request.token else {},
            )
        if response.status_code != endpoint.status:
            raise Unexpected(f"{endpoint.name} answered {response.status_code}")
    return queries.count


# -- What is asked ---------------------------------------------------------------------------------


def endpoints(bench: Bench) -> Iterator[Endpoint]:
    """All that are measured, one after the other: making the requests of one takes a while."""
    token, account = bench.make_token(), bench.keypair.public_key
    asset = f"stellar:{bench.asset.code}:{bench.asset.issuer}"
    price = {
        "context": "sep31",
        "sell_asset": asset,
        "buy_asset": _DESTINATION,
        "sell_amount": "100",
        "buy_delivery_method": "bank_account",
    }
    prices = {"sell_asset": asset, "sell_amount": "100"}
    customer = {"id": bench.receiver_id, "type": RECEIVER["type"]}

    def always(request: Request) -> Callable[[int], list[Request]]:
        return lambda count: [request] * count

    def get(target: str, query: dict[str, str] | None = None, *, token: str = "") -> Request:
        return Request("GET", f"{target}?{urlencode(query)}" if query else target, token)

    yield Endpoint("GET stellar.toml", 200, always(get("/.well-known/stellar.toml")))
    yield Endpoint("GET /auth", 200, always(get("/auth", {"account": account})))
    yield Endpoint("POST /auth", 200, lambda count: _make_logins(bench.keypair, count))
    yield Endpoint("GET /sep31/info", 200, always(get("/sep31/info")))
    yield Endpoint("GET /sep38/info", 200, always(get("/sep38/info")))
    yield Endpoint("GET /sep38/prices", 200, always(get("/sep38/prices", prices)))
    yield Endpoint("GET /sep38/price", 200, always(get("/sep38/price", price)))
    yield Endpoint("POST /sep38/quote", 201, always(Request("POST", "/sep38/quote", token, price)))
    yield Endpoint("PUT /sep12/customer", 202, lambda count: _make_customers(token, count))
    yield Endpoint(
        "GET /sep12/customer", 200, always(get("/sep12/customer", customer, token=token))
    )
    yield Endpoint(
        "POST /sep31/transactions",
        201,
        always(Request("POST", "/sep31/transactions", token, bench.order())),
    )
    yield Endpoint(
        "POST /sep31/transactions with a quote",
        201,
        lambda count: _make_redemptions(bench, token, price, count),
    )
    yield Endpoint(
        "GET /sep31/transactions/:id", 200, lambda count: _make_lookups(bench, token, count)
    )
    yield Endpoint(
        "GET /sep31/transactions",
        200,
        always(get("/sep31/transactions", {"limit": "10"}, token=token)),
    )
    yield Endpoint("GET /health/ready", 200, always(get("/health/ready")))


def _make_logins(keypair: Keypair, count: int) -> list[Request]:
    """A challenge buys one token."""
    from django.conf import settings

    requests = []
    for _ in range(count):
        challenge = create_challenge(
            account=keypair.public_key, memo=None, home_domain=None, client_domain=None
        )
        envelope = TransactionEnvelope.from_xdr(challenge, settings.NETWORK_PASSPHRASE)
        envelope.sign(keypair)
        requests.append(Request("POST", "/auth", body={"transaction": envelope.to_xdr()}))
    return requests


def _make_customers(token: str, count: int) -> list[Request]:
    """Each registers another client."""
    return [
        Request(
            "PUT",
            "/sep12/customer",
            token,
            {"memo": str(secrets.randbits(63)), "memo_type": "id", **RECEIVER},
        )
        for _ in range(count)
    ]


def _make_redemptions(bench: Bench, token: str, price: dict[str, str], count: int) -> list[Request]:
    """A firm quote is redeemed once."""
    quote = bench.sender.firm_quote(
        price["sell_asset"],
        price["buy_asset"],
        price["sell_amount"],
        delivery_method=price["buy_delivery_method"],
    )
    template = Quote.objects.get(pk=quote["id"])
    quotes = [clone(template, created_at=timezone.now()) for _ in range(count)]
    Quote.objects.bulk_create(quotes, 1000)
    order = bench.order(amount=price["sell_amount"], destination_asset=price["buy_asset"])
    return [
        Request("POST", "/sep31/transactions", token, {**order, "quote_id": str(row.pk)})
        for row in quotes
    ]


def _make_lookups(bench: Bench, token: str, count: int) -> list[Request]:
    """Completed transactions: the longest answer, with a receipt."""
    account = Keypair.random().public_key
    rows = bench.make_backlog(CLIENTS, account=account)
    with serve_payments(bench, account, rows) as pages:
        run_apart(catch_up, pages.url, account)
    wait_for_status(rows, Status.COMPLETED, 60)
    targets = [f"/sep31/transactions/{row.pk}" for row in rows]
    return [Request("GET", targets[number % len(targets)], token) for number in range(count)]


# -- What a token costs beside our own work --------------------------------------------------------


def _measure_parts_of_a_token(bench: Bench) -> list[Row]:
    """The two things in `POST /auth` that SEP-10 does not let us leave out."""
    account = bench.keypair.public_key
    port = bench.service.ports["network"]
    request = make_request("GET", f"/accounts/{account}", host=f"127.0.0.1:{port}", headers={})
    count = min(_TIMED_CALLS, bench.scale.requests)
    bare = bench.clients.send(port, [request], clients=1, seconds=10, count=count)
    check("the local network", bare, 200)
    lookup = timed(lambda: load_signers(account), count)
    message = secrets.token_bytes(32)
    signature = bench.keypair.sign(message)
    verification = timed(lambda: bench.keypair.verify(message, signature), count)
    key = bench.keypair.verify_key
    bare_verification = timed(lambda: key.verify(message, signature), count)
    return [
        Row(
            "http token: the ledger lookup in it",
            lookup * 1000,
            "ms",
            percentile(bare.latencies, 50) * 1000,
        ),
        Row(
            "http token: one ed25519 verification",
            verification * 1000,
            "ms",
            bare_verification * 1000,
        ),
    ]
