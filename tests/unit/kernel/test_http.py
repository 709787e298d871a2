"""Outbound calls, against real sockets on this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from kernel import http
from kernel.http import (
    OutboundFailed,
    OutboundRefused,
    is_public,
    parse_outbound_url,
    safe_get,
    safe_post,
)

REAL_GETADDRINFO = socket.getaddrinfo


@pytest.fixture
def insecure(settings: Any) -> None:
    settings.ALLOW_INSECURE_URLS = True


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names and the addresses they have; the key "asked" collects what was looked up."""
    names: dict[str, list[str]] = {"asked": []}

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host not in names:
            return REAL_GETADDRINFO(host, port, *args, **kwargs)
        names["asked"].append(host)
        found = []
        for address in names[host]:
            found += REAL_GETADDRINFO(address, port, *args, **kwargs)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@dataclass
class Received:
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)


@dataclass
class LocalServer:
    port: int
    received: Received


Answer = Callable[[BaseHTTPRequestHandler], None]


def plain_answer(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/plain")
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"hello")


@pytest.fixture
def serve() -> Iterator[Callable[..., LocalServer]]:
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer = plain_answer, tls: ssl.SSLContext | None = None) -> LocalServer:
        received = Received()

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                received.requests.append((self.command, self.path, dict(self.headers), body))
                answer(self)

            do_GET = do_POST = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        if tls is not None:
            tls.sni_callback = lambda _, name, __: received.server_names.append(name)
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return LocalServer(server.server_address[1], received)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for wallet.example that the anchor trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wallet.example")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("wallet.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    monkeypatch.setattr(http, "_trusted_certificates", lambda: str(certificate_file))
    return context


# -- Addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "127.0.0.1", "127.255.255.254", "100.64.0.1", "100.127.255.255",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.0.0.8", "192.0.2.1",
        "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
        "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
        "100::1", "2001:db8::1", "3fff::1", "5f00::1", "2001::1", "2001:2::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:100.64.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::",
        "2001:0:808:808::1",
    ],
)  # fmt: skip
def test_an_address_inside_any_private_or_special_network_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "2606:4700::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_as_public_inside_ipv6_as_by_itself(
    address: ipaddress.IPv4Address,
) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))
    assert is_public(mapped) == is_public(translated) == is_public(address)


# -- URLs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://wallet.example/", "ftp://wallet.example/", "file:///etc/passwd", "//wallet.example",
        "wallet.example", "", "https://", "https:///path", "https://:443/",
        "https://user@wallet.example/", "https://user:pass@wallet.example/",
        "https://wallet.example:8443/", "https://wallet.example:80/", "https://wallet.example:0/",
        "https://wallet.example:99999/", "https://wallet.example:x/", "https://wallet.example/#a",
        "https://wallet.example\\@10.0.0.1/", "https://wallet example/", "https://wallet.example/\n",
        "https://wallet.example/\x00", "https://wället.example/", "https://[::1", "https://[fe80::1%25eth0]/",
        "https://wallet.example/" + "a" * 2048,
    ],
)  # fmt: skip
def test_a_url_that_is_not_plain_https_on_its_own_port_is_refused(url: str) -> None:
    with pytest.raises(OutboundRefused):
        parse_outbound_url(url)


@given(st.text() | st.from_regex(r"https?://[^/]{1,30}(/.{0,10})?", fullmatch=True))
def test_any_text_is_a_callable_url_or_refused_in_words(url: str) -> None:
    try:
        parsed = parse_outbound_url(url)
    except OutboundRefused as error:
        assert str(error)
    else:
        assert (parsed.scheme, parsed.port) == ("https", 443)


def test_a_url_is_split_into_what_the_call_uses() -> None:
    parsed = parse_outbound_url("https://Wallet.Example.:443/a/b?c=d")
    assert (parsed.host, parsed.port, parsed.target) == ("wallet.example", 443, "/a/b?c=d")


# -- Where a call goes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["8.8.8.8", "192.168.0.1"]],
)
def test_a_name_with_any_address_inside_is_never_called(
    addresses: list[str], look_ups: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_ups["wallet.example"] = addresses
    monkeypatch.setattr(
        socket, "create_connection", lambda *a, **k: pytest.fail("a connection was made")
    )
    with pytest.raises(OutboundRefused, match="public"):
        safe_get("https://wallet.example/")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://[::1]/", "https://2130706433/", "https://0x7f.1/",
            "https://127.1/", "https://localhost/"],
)  # fmt: skip
def test_no_spelling_of_our_own_address_is_called(url: str) -> None:
    with pytest.raises((OutboundRefused, OutboundFailed)) as raised:
        safe_get(url, timeout=1)
    assert "public" in str(raised.value) or "could not be found" in str(raised.value)


def test_a_name_is_looked_up_once_and_the_connection_goes_to_that_address(
    insecure: None,
    serve: Callable[..., LocalServer],
    look_ups: dict[str, list[str]],
    certificate: ssl.SSLContext,
) -> None:
    server = serve(tls=certificate)
    look_ups["wallet.example"] = ["127.0.0.1"]
    answer = safe_get(f"https://wallet.example:{server.port}/x?y=1")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-type"] == "text/plain"
    assert look_ups["asked"] == ["wallet.example"]
    method, target, headers, _ = server.received.requests[0]
    assert (method, target) == ("GET", "/x?y=1")
    assert headers["Host"] == f"wallet.example:{server.port}"
    assert server.received.server_names == ["wallet.example"]


def test_a_certificate_for_another_name_is_not_accepted(
    insecure: None,
    serve: Callable[..., LocalServer],
    look_ups: dict[str, list[str]],
    certificate: ssl.SSLContext,
) -> None:
    server = serve(tls=certificate)
    look_ups["other.example"] = ["127.0.0.1"]
    with pytest.raises(OutboundFailed):
        safe_get(f"https://other.example:{server.port}/")
    assert server.received.requests == []


def test_the_next_address_is_tried_when_one_does_not_answer(
    insecure: None, serve: Callable[..., LocalServer], look_ups: dict[str, list[str]]
) -> None:
    server = serve()
    look_ups["wallet.example"] = ["127.0.0.2", "127.0.0.1"]
    assert safe_get(f"http://wallet.example:{server.port}/").status == 200


def test_a_proxy_from_the_environment_is_not_used(
    insecure: None, serve: Callable[..., LocalServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert safe_get(f"http://127.0.0.1:{serve().port}/").status == 200


def test_a_name_without_addresses_is_a_failed_call() -> None:
    with pytest.raises(OutboundFailed, match="could not be found"):
        safe_get("https://nowhere.invalid/", timeout=5)


# -- What comes back --------------------------------------------------------------------------


def test_a_redirect_is_an_answer_and_is_not_followed(
    insecure: None, serve: Callable[..., LocalServer]
) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    server = serve(redirect)
    assert safe_get(f"http://127.0.0.1:{server.port}/").status == 302
    assert len(server.received.requests) == 1


def test_a_post_sends_its_body_and_headers_once(
    insecure: None, serve: Callable[..., LocalServer]
) -> None:
    server = serve()
    answer = safe_post(
        f"http://127.0.0.1:{server.port}/callback",
        body=b'{"a":1}',
        headers={"Signature": "t=1, s=x"},
    )
    assert answer.status == 200
    [(method, target, headers, body)] = server.received.requests
    assert (method, target, body) == ("POST", "/callback", b'{"a":1}')
    assert headers["Signature"] == "t=1, s=x"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "ü\u4e00"])
def test_a_header_that_would_split_the_request_is_not_sent(
    insecure: None, serve: Callable[..., LocalServer], value: str
) -> None:
    server = serve()
    with pytest.raises(OutboundFailed):
        safe_post(f"http://127.0.0.1:{server.port}/", body=b"", headers={"Signature": value})
    assert server.received.requests == []


def long_answer(handler: BaseHTTPRequestHandler) -> None:
    """No length announced, and far more than anybody wants."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"x" * 10_000)


def test_an_answer_over_the_limit_is_not_read_to_its_end(
    insecure: None, serve: Callable[..., LocalServer]
) -> None:
    url = f"http://127.0.0.1:{serve(long_answer).port}/"
    with pytest.raises(OutboundFailed, match="longer than 1000 bytes"):
        safe_get(url, max_bytes=1000)


def test_a_delivered_post_counts_however_much_comes_back(
    insecure: None, serve: Callable[..., LocalServer]
) -> None:
    url = f"http://127.0.0.1:{serve(long_answer).port}/"
    answer = safe_post(url, body=b"{}", headers={}, max_bytes=1000)
    assert (answer.status, len(answer.body)) == (200, 1000)


def test_an_answer_of_exactly_the_limit_is_read(
    insecure: None, serve: Callable[..., LocalServer]
) -> None:
    assert safe_get(f"http://127.0.0.1:{serve().port}/", max_bytes=5).body == b"hello"


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()  # flushed only here; the rest never ends
    drip(handler)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """One byte at a time, each well before a read timeout."""
    while True:
        handler.wfile.write(b"H")
        handler.wfile.flush()
        time.sleep(0.02)


@pytest.mark.parametrize("answer", [drip, drip_headers])
@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_drips_is_hung_up_on_at_the_deadline(
    insecure: None,
    serve: Callable[..., LocalServer],
    look_ups: dict[str, list[str]],
    certificate: ssl.SSLContext,
    answer: Answer,
    secure: bool,
) -> None:
    server = serve(answer, tls=certificate if secure else None)
    look_ups["wallet.example"] = ["127.0.0.1"]
    scheme = "https" if secure else "http"
    began = time.monotonic()
    with pytest.raises(OutboundFailed):
        safe_get(f"{scheme}://wallet.example:{server.port}/", timeout=0.5)
    assert time.monotonic() - began < 5  # not for ever; the drip itself has no end


def test_a_tls_handshake_that_drips_is_hung_up_on_at_the_deadline(insecure: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip_handshake() -> None:
            sock, _ = server.accept()
            with sock, contextlib.suppress(OSError):
                sock.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KB is to come
                while True:
                    sock.sendall(b"\x00")
                    time.sleep(0.02)

        threading.Thread(target=drip_handshake, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(OutboundFailed):
            safe_get(f"https://127.0.0.1:{server.getsockname()[1]}/", timeout=0.5)
        assert time.monotonic() - began < 5  # not for ever; the drip itself has no end


def test_all_addresses_of_a_host_share_one_deadline(
    insecure: None, look_ups: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_ups["wallet.example"] = [f"127.0.0.{number}" for number in range(2, 12)]
    tried = []

    def never_answer(address: tuple[str, int], timeout: float) -> None:
        tried.append(address)
        time.sleep(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", never_answer)
    with pytest.raises(OutboundFailed):
        safe_get("http://wallet.example/", timeout=0.1)
    assert len(tried) == 1


def test_a_server_that_says_nothing_is_hung_up_on(insecure: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OutboundFailed):
        safe_get(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2)


def test_a_resolver_that_hangs_does_not_hold_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: release.wait())
    try:
        with pytest.raises(OutboundFailed, match="in time"):
            safe_get("https://wallet.example/", timeout=0.1)
    finally:
        release.set()


def test_what_is_no_http_is_a_failed_call(
    insecure: None, serve: Callable[..., LocalServer]
) -> None:
    def garbage(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"\x00\xff garbage\r\n\r\n")

    with pytest.raises(OutboundFailed):
        safe_get(f"http://127.0.0.1:{serve(garbage).port}/")
