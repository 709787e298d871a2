"""The look-up of an account's signers, against a small server in Horizon's place."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from stellar_sdk import Keypair

from kernel.errors import Unavailable
from sep10.signed_challenge import AccountSigners
from sep10.signers import load_signers

ACCOUNT = Keypair.random().public_key
OTHER = Keypair.random().public_key
NOT_FOUND = json.dumps({"type": "https://stellar.org/horizon-errors/not_found", "status": 404})
Horizon = Callable[[int, str], None]


@pytest.fixture
def horizon(settings: Any) -> Iterator[Horizon]:
    """Call it with the status and body that Horizon shall answer."""
    answer: list[Any] = [500, ""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == f"/accounts/{ACCOUNT}"
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1].encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    settings.HORIZON_URL = f"http://127.0.0.1:{server.server_address[1]}"

    def play(status: int, body: str) -> None:
        answer[:] = [status, body]

    yield play
    server.shutdown()
    server.server_close()


def account(signers: list[dict[str, Any]]) -> str:
    return json.dumps(
        {
            "id": ACCOUNT,
            "thresholds": {"low_threshold": 1, "med_threshold": 2, "high_threshold": 3},
            "signers": signers,
        }
    )


def test_the_signers_and_the_medium_threshold_are_the_ledgers(horizon: Horizon) -> None:
    horizon(
        200,
        account(
            [
                {"key": ACCOUNT, "weight": 0, "type": "ed25519_public_key"},
                {"key": OTHER, "weight": 2, "type": "ed25519_public_key"},
                {"key": "X" + "A" * 55, "weight": 9, "type": "sha256_hash"},
                {"key": "T" + "A" * 55, "weight": 9, "type": "preauth_tx"},
            ]
        ),
    )
    assert load_signers(ACCOUNT) == AccountSigners(2, {ACCOUNT: 0, OTHER: 2})


@pytest.mark.parametrize(("name", "threshold"), [("low", 1), ("medium", 2), ("high", 3)])
def test_the_threshold_is_the_one_of_the_settings(
    horizon: Horizon, settings: Any, name: str, threshold: int
) -> None:
    settings.AUTH_THRESHOLD = name
    horizon(200, account([]))
    assert load_signers(ACCOUNT) == AccountSigners(threshold, {})


def test_an_account_that_horizon_does_not_know_does_not_exist(horizon: Horizon) -> None:
    horizon(404, NOT_FOUND)
    assert load_signers(ACCOUNT) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "<html>nginx</html>"), (404, "{}"), (404, "[]"), (404, ""), (404, '{"extras": null}'),
        (400, "{}"), (429, "{}"), (500, ""), (502, "<html>"), (503, "{}"), (504, "{}"),
        (200, ""), (200, "<html>"), (200, "[]"), (200, "{}"), (200, "null"),
        (200, "[" * 100_000), (301, "{}"), (302, "{}"), (404, "[" * 100_000),
        (200, account([{"key": "GABC", "weight": 1, "type": "ed25519_public_key"}])),
        (200, account([{"key": OTHER}])), (200, '{"x": "' + "a" * 2_000_000 + '"}'),
    ],
    ids=lambda value: str(value)[:6],
)  # fmt: skip
def test_any_other_answer_is_no_answer(horizon: Horizon, status: int, body: str) -> None:
    horizon(status, body)
    with pytest.raises(Unavailable):
        load_signers(ACCOUNT)


def test_a_horizon_that_can_not_be_reached_is_unavailable(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    settings.HORIZON_URL = f"http://127.0.0.1:{port}"
    with pytest.raises(Unavailable):
        load_signers(ACCOUNT)


def test_a_horizon_that_says_nothing_is_given_up(settings: Any) -> None:
    settings.HORIZON_TIMEOUT_SECONDS = 0.1
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.HORIZON_URL = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable):
            load_signers(ACCOUNT)


@pytest.fixture
def keeping_horizon(settings: Any) -> Iterator[list[Any]]:
    """A Horizon that keeps connections and collects them; its answers have a length."""
    peers: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            peers.append(self.client_address)
            body = account([]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    settings.HORIZON_URL = f"http://127.0.0.1:{server.server_address[1]}"
    yield peers
    server.shutdown()
    server.server_close()


def test_a_connection_to_horizon_is_kept(keeping_horizon: list[Any]) -> None:
    for _ in range(3):
        load_signers(ACCOUNT)
    assert len(keeping_horizon) == 3
    assert len(set(keeping_horizon)) == 1


def test_an_answer_that_drips_is_given_up_at_the_deadline(settings: Any) -> None:
    settings.HORIZON_TIMEOUT_SECONDS = 0.3
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.HORIZON_URL = f"http://127.0.0.1:{server.getsockname()[1]}"
        given_up = threading.Event()

        def drip() -> None:
            peer, _ = server.accept()
            with peer, contextlib.suppress(OSError):
                peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not given_up.wait(0.05):
                    peer.sendall(b" ")

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(Unavailable):
            load_signers(ACCOUNT)  # by itself it would never end
        given_up.set()


@pytest.fixture
def raw_horizon(settings: Any) -> Iterator[list[bytes]]:
    """Answers each connection with the next of these bytes, and hangs up; asked lines follow."""
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.HORIZON_URL = f"http://127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer:
                        peer.recv(65536)
                        peer.sendall(answers[0])
                    answers.pop(0)

        threading.Thread(target=serve, daemon=True).start()
        yield answers


def answer(body: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{body}".encode()


def test_a_kept_connection_that_horizon_ended_is_replaced(raw_horizon: list[bytes]) -> None:
    for _ in range(3):
        raw_horizon.append(answer(account([])))
        assert load_signers(ACCOUNT) == AccountSigners(2, {})
        while raw_horizon:  # until it has hung up
            time.sleep(0.001)


def test_an_answer_that_breaks_off_is_no_answer(raw_horizon: list[bytes]) -> None:
    body = account([])
    raw_horizon += [answer(body, len(body) + 1), answer(body)]
    with pytest.raises(Unavailable):
        load_signers(ACCOUNT)
    assert load_signers(ACCOUNT) is not None


def test_the_proxy_of_the_environment_is_asked_for_the_whole_url(
    raw_horizon: list[bytes], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", settings.HORIZON_URL.replace("//", "//user:pass@"))
    settings.HORIZON_URL = "http://horizon.invalid"  # which only a proxy could find
    raw_horizon.append(answer(account([])))
    assert load_signers(ACCOUNT) == AccountSigners(2, {})
