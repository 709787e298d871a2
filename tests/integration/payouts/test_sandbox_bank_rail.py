"""Whatever stands where the bank should be: what is not understood is unknown, never failed."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kernel.assets import parse_asset_name
from payouts.rails.base import Order, Outcome
from payouts.rails.sandbox_bank import MAX_ANSWER_BYTES, SandboxBank
from tests.integration.payouts.conftest import make_details


def make_order(currency="MXN", amount="1700.50"):
    return Order(
        key="a-key",
        reference="a-reference",
        amount=Decimal(amount),
        asset=parse_asset_name(f"iso4217:{currency}"),
        method="bank_account",
        details=make_details(),
    )


class Impostor(BaseHTTPRequestHandler):
    """Answers every request with what `server.answer` says, and keeps what it was sent."""

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.seen.append((self.path, dict(self.headers), self.rfile.read(length)))
        code, headers, body = self.server.answer
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture
def impostor(settings):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Impostor)
    server.seen, server.answer = [], (500, {}, b"")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    settings.BANK_URL = f"http://127.0.0.1:{server.server_port}"
    settings.BANK_API_KEY = "k"
    settings.BANK_TIMEOUT_SECONDS = 0.3
    yield server
    server.shutdown()
    server.server_close()


def as_json(code, value):
    return code, {"Content-Type": "application/json"}, json.dumps(value).encode()


NOT_UNDERSTOOD = {
    "a page": (200, {"Content-Type": "text/html"}, b"<html>paid</html>"),
    "nothing": (200, {}, b""),
    "no content": (204, {}, b""),
    "a list": as_json(201, [{"status": "paid"}]),
    "a number": as_json(201, 5),
    "no status": as_json(201, {"id": "1"}),
    "an unheard-of status": as_json(200, {"status": "maybe"}),
    "a status that is no text": as_json(200, {"status": ["paid"]}),
    "paid, says a gateway error": as_json(502, {"status": "paid"}),
    "refused without fields": as_json(422, {"status": "refused"}),
    "refused with no field": as_json(422, {"status": "refused", "fields": {}}),
    "refused with a list": as_json(422, {"status": "refused", "fields": ["last_name"]}),
    "refused with a foreign field": as_json(422, {"status": "refused", "fields": {"iban": "no"}}),
    "refused with success": as_json(201, {"status": "refused", "fields": {"last_name": "no"}}),
    "failed, but how": as_json(503, {"status": "failed"}),
    "failed, retryable in words": as_json(503, {"status": "failed", "retryable": "yes"}),
    "a gateway's 503": (503, {"Content-Type": "text/html"}, b"<h1>Service unavailable</h1>"),
    "a gateway's 404": (404, {"Content-Type": "text/html"}, b"<h1>Not found</h1>"),
    "somebody's 404": as_json(404, {"error": "Not found"}),
    "a conflict of keys": as_json(409, {"error": "This key was used for a different payout"}),
    "a wrong api key": as_json(401, {"error": "no"}),
    "a redirect": (302, {"Location": "/elsewhere"}, b""),
    "broken json": (201, {}, b'{"status": "paid"'),
    "text that is no utf-8": (201, {}, b'{"status": "\xff"}'),
    "very deep json": (201, {}, b"[" * MAX_ANSWER_BYTES),
    "too much": (201, {}, b'{"status": "paid"}' + b" " * 10 * MAX_ANSWER_BYTES),
    "less than promised": (201, {"Content-Length": "999"}, b'{"status": "paid"}'),
}


@pytest.mark.parametrize("answer", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_an_answer_that_is_not_understood_leaves_the_outcome_unknown(impostor, answer):
    impostor.answer = answer
    assert SandboxBank().send(make_order()).outcome == Outcome.UNKNOWN
    found = SandboxBank().look_up("a-key")
    assert found is not None, "a key must not count as never seen for any odd answer"
    assert found.outcome == Outcome.UNKNOWN


@pytest.mark.parametrize("code", [200, 201])
def test_a_plain_yes_is_understood(impostor, code):
    impostor.answer = as_json(code, {"status": "paid", "id": "b-1"})
    answer = SandboxBank().send(make_order())
    assert (answer.outcome, answer.rail_reference) == (Outcome.DELIVERED, "b-1")


def test_texts_that_are_no_texts_are_left_out(impostor):
    impostor.answer = as_json(
        422, {"status": "refused", "fields": {"last_name": {"a": 1}}, "message": 5, "id": []}
    )
    answer = SandboxBank().send(make_order())
    assert (answer.outcome, answer.fields) == (Outcome.REFUSED, {"last_name": ""})
    assert (answer.message, answer.rail_reference) == ("", "")


def test_only_the_banks_own_word_means_that_a_key_was_never_seen(impostor):
    impostor.answer = as_json(404, {"status": "never_seen"})
    assert SandboxBank().look_up("a-key") is None
    impostor.answer = as_json(200, {"status": "never_seen"})
    assert SandboxBank().look_up("a-key").outcome == Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("currency", "amount", "written"),
    [("MXN", "1700.5000000", "1700.50"), ("JPY", "1700", "1700"), ("KWD", "1.5", "1.500")],
)
def test_amounts_are_written_with_the_currencys_decimals(impostor, currency, amount, written):
    SandboxBank().send(make_order(currency, amount))
    [(path, headers, body)] = impostor.seen
    assert path == "/payouts"
    assert (headers["Idempotency-Key"], headers["Authorization"]) == ("a-key", "Bearer k")
    assert json.loads(body)["amount"] == written


def test_a_redirect_is_not_followed(impostor):
    impostor.answer = (307, {"Location": "/elsewhere"}, b"")
    SandboxBank().send(make_order())
    assert [path for path, _, _ in impostor.seen] == ["/payouts"]


def test_the_machines_netrc_and_proxies_have_no_say(impostor, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login evil password evil\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    SandboxBank().send(make_order())
    assert impostor.seen[0][1]["Authorization"] == "Bearer k"


@contextmanager
def raw_server(settings, behave):
    """A socket that does with each connection what `behave(connection)` does."""

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                behave(peer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.BANK_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings.BANK_TIMEOUT_SECONDS = 0.2
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


def hang_up(peer):
    peer.recv(1)


def talk_nonsense(peer):
    peer.recv(65536)
    peer.sendall(b"\x00\x01\x02 not http at all\r\n\r\n")


@pytest.mark.parametrize("behave", [hang_up, talk_nonsense])
def test_a_connection_that_misbehaves_leaves_the_outcome_unknown(settings, behave):
    with raw_server(settings, behave):
        assert SandboxBank().send(make_order()).outcome == Outcome.UNKNOWN


def test_a_bank_that_trickles_its_answer_is_hung_up_on(settings):
    def trickle(peer):
        peer.recv(65536)
        peer.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 999\r\n\r\n{"status": ')
        try:
            for _ in range(100):
                time.sleep(0.05)
                peer.sendall(b" ")
        except OSError:
            hung_up.set()

    hung_up = threading.Event()
    with raw_server(settings, trickle):
        assert SandboxBank().send(make_order()).outcome == Outcome.UNKNOWN
        assert hung_up.wait(timeout=10)


def test_an_order_does_not_show_the_receiving_client_when_it_is_printed():
    assert "Luna" not in repr(make_order())
