"""How fast a backlog of payments is recorded, matched and advanced."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extras
import requests
from stellar_sdk import IdMemo, Keypair, Server, TransactionBuilder

from localnet.bench.counting import CountedQueries
from localnet.bench.load import Unexpected, run_apart
from localnet.bench.memory import own_peak
from localnet.bench.pages import PageServer
from localnet.bench.rows import Row

if TYPE_CHECKING:
    from localnet.bench.stage import Bench
    from sep31.models import Transaction

_PAGE = 200
_PATIENCE = 300.0


@dataclass(frozen=True)
class CaughtUp:
    """Seconds, statements and megabytes that a backlog took."""

    record: float
    match: float
    advance: float
    queries: int
    peak_before: float
    peak: float

    @property
    def seconds(self) -> float:
        return self.record + self.match + self.advance


@dataclass(frozen=True)
class Floor:
    """Seconds and statements of the bare minimum."""

    seconds: float
    queries: int


def measure(bench: Bench) -> list[Row]:
    """One process does what watcher and sweep do; those of the service are stopped, for good:
    they would be busy with the payouts of it all."""
    count = bench.scale.backlog
    bench.memory.note()
    for name in ("beat", "watcher", "worker"):
        bench.service.stop_process(name)
    account = Keypair.random().public_key
    rows = bench.make_backlog(count, account=account)
    with serve_payments(bench, account, rows) as pages:
        before = run_apart(parse_and_insert, bench.service.env["DATABASE_URL"], pages.url, account)
        done = run_apart(catch_up, pages.url, account)
        after = run_apart(parse_and_insert, bench.service.env["DATABASE_URL"], pages.url, account)
    floor_rate = 2 * count / (before.seconds + after.seconds)
    return [
        Row("ingest", count / done.seconds, "payments/s", floor_rate),
        Row("ingest record", count / done.record, "payments/s", floor_rate),
        Row("ingest match", count / done.match, "payments/s", floor_rate),
        Row("ingest advance", count / done.advance, "payments/s", floor_rate),
        Row("ingest queries", done.queries / count, "queries/payment", before.queries / count),
        Row("ingest memory", done.peak, "MB", done.peak_before),
    ]


def serve_payments(bench: Bench, account: str, rows: Sequence[Transaction]) -> PageServer:
    """A Horizon whose pages hold the payments that these transactions wait for."""
    payments = [(row.memo, f"{row.amount_in:.7f}") for row in rows]
    return PageServer(_payment_record(bench), account, payments)


def _payment_record(bench: Bench) -> dict[str, Any]:
    """A payment between the two sending anchors, as the local network tells of it."""
    with Server(bench.service.horizon_url) as server:
        payer, payee = bench.keypair, bench.other_keypair.public_key
        envelope = (
            TransactionBuilder(
                server.load_account(payer.public_key), bench.service.network_passphrase, 10_000
            )
            .append_payment_op(payee, bench.asset, "1")
            .add_memo(IdMemo(2**62))
            .set_timeout(60)
            .build()
        )
        envelope.sign(payer)
        server.submit_transaction(envelope)
        found = server.payments().for_account(payee).join("transactions").order().limit(1).call()
    record: dict[str, Any] = found["_embedded"]["records"][0]
    if record["type"] != "payment":
        raise Unexpected(f"the newest payment of {payee} is a {record['type']}")
    return record


# -- What runs in processes of their own -----------------------------------------------------------


def catch_up(horizon_url: str, account: str) -> CaughtUp:
    """Record, match and advance what is there, as watcher and sweep do, in this process."""
    import django

    django.setup()
    from sep31.machine import Status
    from sep31.models import Transaction
    from sep31.receipts import match_payments
    from sep31.services import advance_due
    from sep31.tasks import BATCH
    from stellar.sources import HorizonSource
    from stellar.watcher import ingest_page

    peak_before = own_peak()
    with CountedQueries() as queries:
        begun = time.perf_counter()
        with HorizonSource(horizon_url) as source:
            while ingest_page(account, source).is_full:
                pass
        recorded = time.perf_counter()
        while match_payments(BATCH):
            pass
        matched = time.perf_counter()
        waiting = Transaction.objects.filter(stellar_account=account, status=Status.PENDING_SENDER)
        while waiting.exists():
            # Nothing is left for us while a worker that runs beside us is at the rest.
            if not advance_due(BATCH):
                time.sleep(0.05)
            if time.perf_counter() > begun + _PATIENCE:
                raise Unexpected(f"{waiting.count()} payments were not credited")
        advanced = time.perf_counter()
    return CaughtUp(
        record=recorded - begun,
        match=matched - recorded,
        advance=advanced - matched,
        queries=queries.count,
        peak_before=peak_before,
        peak=own_peak(),
    )


def parse_and_insert(database_url: str, horizon_url: str, account: str) -> Floor:
    """Read the same pages as JSON and insert their payments, a statement and a commit a page."""
    pages = list(_fetch_pages(horizon_url, account))
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_payment")
        cursor.execute(
            "CREATE TABLE bench_payment (id bigint PRIMARY KEY, account text, payer text,"
            " asset text, amount numeric(19, 7), memo text, hash text, closed_at timestamptz)"
        )
    started = time.perf_counter()
    for page in pages:
        values = [
            (
                int(record["paging_token"]),
                record["to"],
                record["from"],
                f"stellar:{record['asset_code']}:{record['asset_issuer']}",
                record["amount"],
                record["transaction"]["memo"],
                record["transaction_hash"],
                record["created_at"],
            )
            for record in json.loads(page)["_embedded"]["records"]
        ]
        with connection, connection.cursor() as cursor:
            psycopg2.extras.execute_values(
                cursor, "INSERT INTO bench_payment VALUES %s", values, page_size=_PAGE
            )
    seconds = time.perf_counter() - started
    connection.close()
    return Floor(seconds=seconds, queries=len(pages))


def _fetch_pages(horizon_url: str, account: str) -> list[bytes]:
    pages: list[bytes] = []
    cursor = "0"
    with requests.Session() as session:
        while True:
            page = session.get(
                f"{horizon_url}/accounts/{account}/payments",
                params={"cursor": cursor, "limit": str(_PAGE)},
                timeout=30,
            ).content
            records = json.loads(page)["_embedded"]["records"]
            if not records:
                return pages
            pages.append(page)
            cursor = records[-1]["paging_token"]
