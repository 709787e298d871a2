"""`bin/demo --once`, as a newcomer runs it: real processes, real HTTP, real path payments."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from localnet.bank import TEST_ACCOUNTS
from localnet.embedded import Postgres, Redis
from localnet.service import RunningService
from localnet.stories import RECEIVING_CLIENT, SENDING_CLIENT, STORIES, draw_document
from tests.acceptance.demos import make_folder, read_when_complete, start_demo
from tests.acceptance.traces import RedisWitness, find_traces, shapes_of

PASSPHRASE = "A network of the acceptance test"
DEMO_KEYS = {
    *("base_url", "horizon_url", "friendbot_url", "bank_url", "network_passphrase", "asset"),
    *("source_asset", "sending_anchors", "admin", "bank_accounts"),
}
STARTS_AND_TELLS_WITHIN_SECONDS = 400
NOT_PERSONAL = {"id_type", "id_country_code", "bank_number"}
PERSONAL: list[str | bytes] = [
    *(
        value
        for client in (SENDING_CLIENT, RECEIVING_CLIENT)
        for name, value in client.items()
        if name not in NOT_PERSONAL
    ),
    *{story.client for story in STORIES},
    *{TEST_ACCOUNTS[story.account] for story in STORIES},
    # How a PNG of that size begins, whoever wrote it; ours is stored written anew.
    draw_document()[:24],
]


@dataclass
class DemoRun:
    """What is left of one run."""

    state_dir: Path
    told: dict[str, Any]
    exit_code: int
    output: str
    redis: bytes  # every command that Redis got


@pytest.fixture(scope="module")
def state_dir() -> Iterator[Path]:
    with make_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def demo_run(state_dir: Path) -> DemoRun:
    with start_demo(state_dir, "--once", NETWORK_PASSPHRASE=PASSPHRASE) as demo:
        told = read_when_complete(state_dir / "demo.json", demo)
        port = json.loads((state_dir / "ports.json").read_text())["redis"]
        witness = RedisWitness(port, Redis(state_dir / "redis", port).password)
        output, _ = demo.communicate(timeout=STARTS_AND_TELLS_WITHIN_SECONDS)
    return DemoRun(state_dir, told, demo.returncode, output, witness.all_seen())


def test_four_payments_end_as_they_should_and_the_books_balance(demo_run: DemoRun) -> None:
    assert demo_run.exit_code == 0, demo_run.output
    assert set(demo_run.told) >= DEMO_KEYS
    assert demo_run.told["network_passphrase"] == PASSPHRASE
    assert len(demo_run.told["sending_anchors"]) == 2
    assert not (demo_run.state_dir / "demo.json").exists()


# -- Afterwards no personal value is anywhere in the clear -----------------------------------------
def dump_database(state_dir: Path) -> bytes:
    """Every row of every table, as text."""
    with RunningService(
        state_dir, processes=["postgres"], network_passphrase=PASSPHRASE
    ) as service:
        connection = psycopg2.connect(service.postgres.url())
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            dumped = io.BytesIO()
            for (name,) in cursor.fetchall():
                table = sql.Identifier(name)
                cursor.copy_expert(sql.SQL("COPY {} TO STDOUT (FORMAT csv)").format(table), dumped)
        connection.close()
    return dumped.getvalue()


def test_the_database_of_the_demo_holds_no_personal_value_in_the_clear(demo_run: DemoRun) -> None:
    dump = dump_database(demo_run.state_dir)
    assert find_traces(dump, PERSONAL) == set()
    # What may be there is found, so what may not be would be.
    shown = ["Meridian Remit", "photo_id_front", "image/png"]
    assert find_traces(dump, shown) == set(shown)


def test_redis_never_got_a_personal_value(demo_run: DemoRun) -> None:
    assert find_traces(demo_run.redis, PERSONAL) == set()
    shown = ["payouts.tasks.send_payout", "celery"]
    assert find_traces(demo_run.redis, shown) == set(shown)


def test_no_file_of_the_service_holds_a_personal_value(demo_run: DemoRun) -> None:
    """Logs, PostgreSQL's tables and journal as they are on disk, the local ledger, Redis' folder.

    But not what is the bank's: it is the outside world, and has to know whom it pays.
    """
    searched, bank = set(), set()
    folders = {demo_run.state_dir, Postgres(demo_run.state_dir / "postgres", 0).data_folder}
    for path in {path for folder in folders for path in folder.rglob("*") if path.is_file()}:
        if path.name.startswith(("bank.sqlite3", "bank.log")):
            bank |= find_traces(path.read_bytes(), PERSONAL)
            continue
        assert find_traces(path.read_bytes(), PERSONAL) == set(), path
        searched.add(path.name)
    logs = {f"{name}.log" for name in ("web", "worker", "watcher", "beat", "postgres", "redis")}
    assert searched >= {*logs, "localnet.sqlite3", "PG_VERSION"}
    assert STORIES[0].client in bank
    assert "PUT /sep12/customer" in (demo_run.state_dir / "logs" / "web.log").read_text()


@pytest.mark.parametrize("value", [one for one in PERSONAL if len(one) >= 8])
def test_a_personal_value_would_be_found_in_whatever_shape(value: str | bytes) -> None:
    raw = value if isinstance(value, bytes) else value.encode()
    for before in (b"", b"a", b"ab", b"abc"):
        hidden = before + raw + b'", "x'
        for shape in (hidden, base64.b64encode(hidden), hidden.hex().encode()):
            assert find_traces(shape, [value]) == {value}
    if isinstance(value, str):
        message = base64.b64encode(json.dumps([{"name": value}]).encode())
        assert find_traces(message, [value]) == {value}
    assert not any(shape in b"nothing of the kind" for shape in shapes_of(value))
