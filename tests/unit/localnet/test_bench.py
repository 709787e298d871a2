"""What bin/bench is made of, and that it runs: never how fast anything is."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localnet.bench.__main__ import NAMES
from localnet.bench.load import Load, Unexpected, check, make_request, read_reply, run_load
from localnet.bench.memory import own_peak, peak_of_tree
from localnet.bench.pages import make_records
from localnet.bench.rows import Row, percentile
from localnet.service import ROOT


def test_a_row_is_told_beside_its_floor() -> None:
    assert Row("http GET /auth", 300.0, "requests/s", 600.0).as_json() == {
        "name": "http GET /auth",
        "value": 300.0,
        "unit": "requests/s",
        "floor": 600.0,
        "ratio": 0.5,
    }


def test_where_the_floor_is_nothing_there_is_no_ratio() -> None:
    assert Row("queries", 3, "queries/request", 0).as_json()["ratio"] is None


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 5.0), (90, 9.0), (99, 10.0), (100, 10.0), (1, 1.0)]
)
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile([float(number) for number in range(10, 0, -1)], percent) == expected


def test_a_request_is_written_with_its_length() -> None:
    raw = make_request("PUT", "/a?b=c", host="localhost:1", headers={"X": "y"}, body=b"{}")
    assert raw == b"PUT /a?b=c HTTP/1.1\r\nHost: localhost:1\r\nX: y\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, True)),
        (b"HTTP/1.1 201 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\n{}", (201, False)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", (200, True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, True)),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil it closes", (200, False)),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_a_reply_is_read_to_its_end_however_it_is_cut(
    reply: bytes, expected: tuple[int, bool], size: int
) -> None:
    parts = iter([reply[at : at + size] for at in range(0, len(reply), size)])
    assert read_reply(lambda _: next(parts, b"")) == expected
    assert next(parts, None) is None


@contextmanager
def answering(reply: bytes) -> Iterator[tuple[int, list[int]]]:
    """A server that answers each request so; (port, requests of each connection)."""
    counts: list[int] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket, number: int) -> None:
        with client:
            while client.recv(65536):
                counts[number] += 1
                client.sendall(reply)

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            counts.append(0)
            threading.Thread(target=serve, args=(client, len(counts) - 1), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], counts
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_clients_send_as_many_requests_as_asked_and_connect_anew_now_and_then() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, counts):
        request = make_request("GET", "/", host="localhost", headers={})
        load = run_load(port, [request], clients=2, seconds=30, count=45)
    assert (len(load.latencies), dict(load.statuses), dict(load.failures)) == (45, {200: 45}, {})
    assert sum(counts) == 45
    assert max(counts) == 10


def test_a_load_with_other_answers_than_expected_is_no_figure() -> None:
    with answering(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n") as (port, _):
        request = make_request("GET", "/", host="localhost", headers={})
        load = run_load(port, [request], clients=1, seconds=30, count=3)
    with pytest.raises(Unexpected, match=r"expected 200, got \{500: 3\}"):
        check("GET /", load, 200)


def test_a_load_with_lost_replies_is_no_figure() -> None:
    load = Load(seconds=1.0, latencies=[0.1], statuses=Counter({200: 1}))
    check("GET /", load, 200)
    load.failures["ValueError"] += 1
    with pytest.raises(Unexpected):
        check("GET /", load, 200)


def test_payments_of_a_backlog_are_in_the_ledgers_order_each_with_its_memo() -> None:
    template = {"type": "payment", "from": "GA", "transaction": {"memo_type": "none", "hash": "x"}}
    payments = [(str(number), "1.0000000") for number in range(120)]
    now = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    records = make_records(template, "GB", payments, first_ledger=7, now=now)
    tokens = [token for token, _ in records]
    assert tokens == sorted(set(tokens))
    assert tokens[0] >> 32 == 7
    assert [record["transaction"]["memo"] for _, record in records] == [m for m, _ in payments]
    assert {record["to"] for _, record in records} == {"GB"}
    assert records[-1][1]["created_at"] == "2026-11-23T01:02:03Z"


def test_memory_is_that_of_the_whole_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert peak_of_tree(os.getpid()) > own_peak() > 0
        child.communicate(b"\n")


def test_a_quick_run_gives_rows_of_every_kind_and_leaves_nothing_behind(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    state = tmp_path / "state"
    result = subprocess.run(
        [sys.executable, "-m", "localnet.bench", "--quick", "--json", str(figures), *NAMES],
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads(figures.read_text())
    assert all(list(row) == ["name", "value", "unit", "floor", "ratio"] for row in rows)
    assert all(isinstance(row[key], int | float) for row in rows for key in ("value", "floor"))
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names)
    assert {name.split()[0] for name in names} == {
        *("http", "size", "payouts", "callbacks", "latency", "ingest", "memory")
    }
    assert not list(state.iterdir())


def test_an_unknown_name_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "localnet.bench", "htpp"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert f"unknown: htpp; known are {', '.join(NAMES)}" in result.stderr
