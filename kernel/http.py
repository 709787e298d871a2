"""Outbound HTTP to URLs that others gave us (callbacks, client domains), and to our partners.

A URL from others is a way to make us speak to the inside of our own network. So: https only, the
host resolved once, every address of it public, the connection made to exactly those addresses (a
second look-up could answer differently), no redirects, no proxies, no credentials, port 443 only,
and limits on time and size. `settings.ALLOW_INSECURE_URLS` permits http, other ports and private
addresses, for development.

urllib3 speaks HTTP and TLS under the host's own name, so certificate, SNI and Host header are the
host's; only where the TCP connection goes is ours.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import certifi
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

MAX_URL_LENGTH = 2048
DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_MAX_BYTES = 64 * 1024
_CHUNK_BYTES = 16 * 1024
# Beside what ipaddress knows: deprecated relays and documentation, which older Pythons call global.
_NEVER_PUBLIC = [
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
]
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutboundRefused(Exception):
    """We will not call this URL. The message is plain words that its giver may read."""


class OutboundFailed(Exception):
    """The call was made, or tried, and brought no usable answer (network, TLS, time, size)."""


@dataclass(frozen=True)
class OutboundUrl:
    """A URL that passed every check that needs no network. `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str


@dataclass(frozen=True)
class HttpAnswer:
    """`headers` has lower-case names. `body` is as sent: no content encoding is undone."""

    status: int
    headers: dict[str, str]
    body: bytes


def safe_get(
    url: str,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """GET `url` within `timeout` seconds in all, redirects and error statuses as they come.

    Raises `OutboundRefused`, or `OutboundFailed` (also for more than `max_bytes`).
    """
    return _whole(_exchange("GET", url, None, headers or {}, max_bytes, timeout), max_bytes)


def safe_post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> HttpAnswer:
    """POST `body` to `url` within `timeout` seconds in all. One try, never repeated here.

    The answer's body is cut at `max_bytes`: that they took it is in the status, and to fail after
    that would only make us send it again. Raises `OutboundRefused` or `OutboundFailed`.
    """
    return _cut(_exchange("POST", url, body, headers, max_bytes, timeout), max_bytes)


def partner_get(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> HttpAnswer:
    """`safe_get` of a URL of our own settings: it may be http, at any port and private address."""
    answer = _exchange("GET", url, None, headers or {}, max_bytes, timeout, trusted=True)
    return _whole(answer, max_bytes)


def partner_post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> HttpAnswer:
    """`safe_post` to a URL of our own settings: it may be http, at any port and private address."""
    answer = _exchange("POST", url, body, headers, max_bytes, timeout, trusted=True)
    return _cut(answer, max_bytes)


def _whole(answer: HttpAnswer, max_bytes: int) -> HttpAnswer:
    if len(answer.body) > max_bytes:
        raise OutboundFailed(f"the answer is longer than {max_bytes} bytes")
    return answer


def _cut(answer: HttpAnswer, max_bytes: int) -> HttpAnswer:
    return HttpAnswer(answer.status, answer.headers, answer.body[:max_bytes])


def parse_outbound_url(url: str, *, trusted: bool = False) -> OutboundUrl:
    """Check and split a URL; needs no network. Raises `OutboundRefused`.

    Whoever compares the host with a list must use this reading of it, since the call does.
    `trusted`, or `settings.ALLOW_INSECURE_URLS`: http and other ports will do.
    """
    if len(url) > MAX_URL_LENGTH:
        raise OutboundRefused(f"a URL must be at most {MAX_URL_LENGTH} characters long")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise OutboundRefused("a URL must be plain ASCII without spaces or backslashes")
    try:
        parts = parse_url(url)
    except (HTTPError, ValueError) as error:
        raise OutboundRefused("this is not a valid URL") from error
    insecure = trusted or settings.ALLOW_INSECURE_URLS
    if parts.scheme != "https" and not (insecure and parts.scheme == "http"):
        raise OutboundRefused("a URL must start with https://")
    if parts.auth is not None:
        raise OutboundRefused("a URL must not hold a user name or password")
    if parts.fragment is not None:
        raise OutboundRefused("a URL must not hold a fragment")
    host = (parts.host or "").strip("[]").rstrip(".")
    if not host or "%" in host:
        raise OutboundRefused("a URL must name a host")
    default_port = 443 if parts.scheme == "https" else 80
    port = default_port if parts.port is None else parts.port
    if port != default_port and not insecure:
        raise OutboundRefused("a URL must use port 443")
    return OutboundUrl(parts.scheme, host, port, parts.request_uri)


def is_public(address: Address) -> bool:
    """Whether `address` is a host on the public internet, seen through any embedding of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            # What DNS64 answers on an IPv6-only network for every IPv4 host.
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST:
            return False
    if any(address in network for network in _NEVER_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _resolve(host: str, port: int, timeout: float) -> list[Address]:
    """Look `host` up once. The resolver takes no timeout, so it runs in a thread of its own."""
    outcome: list[Any] = []

    def look_up() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            outcome.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(timeout)
    if not outcome:
        raise OutboundFailed("the host's address could not be looked up in time")
    if isinstance(outcome[0], Exception):
        raise OutboundFailed("the host's address could not be found") from outcome[0]
    return [ipaddress.ip_address(entry[4][0]) for entry in outcome[0]]


class _Pinned:
    """Mixin for urllib3's connections: connect to `addresses`, whatever a look-up would say."""

    addresses: list[Address]
    port: int
    timeout: float

    def _new_conn(self) -> socket.socket:
        failure: OSError = OSError("no address")
        deadline = time.monotonic() + self.timeout  # of all addresses together
        for address in self.addresses:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return socket.create_connection((str(address), self.port), timeout=left)
            except OSError as error:
                failure = error
        raise failure


class _PinnedHTTPConnection(_Pinned, HTTPConnection):  # type: ignore[misc]
    pass


class _PinnedHTTPSConnection(_Pinned, HTTPSConnection):  # type: ignore[misc]
    pass


def _trusted_certificates() -> str:
    return certifi.where()


def _connection(url: OutboundUrl, addresses: list[Address], timeout: float) -> HTTPConnection:
    connection: HTTPConnection
    if url.scheme == "https":
        connection = _PinnedHTTPSConnection(
            url.host,
            url.port,
            timeout=timeout,
            cert_reqs="CERT_REQUIRED",
            ca_certs=_trusted_certificates(),
        )
    else:
        connection = _PinnedHTTPConnection(url.host, url.port, timeout=timeout)
    connection.addresses = addresses
    return connection


@contextlib.contextmanager
def _hang_up_after(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """End the connection at the deadline, even while it drips one byte before each timeout."""
    assert connection.sock is not None
    # A duplicate: it stays valid under TLS and after urllib3 closed its own.
    handle = socket.socket(fileno=os.dup(connection.sock.fileno()))

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(seconds, 0), hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        handle.close()


def _exchange(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    max_bytes: int,
    timeout: float,
    *,
    trusted: bool = False,
) -> HttpAnswer:
    """One request and its answer; the body holds at most `max_bytes` + 1 bytes."""
    deadline = time.monotonic() + timeout
    parsed = parse_outbound_url(url, trusted=trusted)
    addresses = _resolve(parsed.host, parsed.port, timeout)
    may_be_private = trusted or settings.ALLOW_INSECURE_URLS
    if not may_be_private and not all(map(is_public, addresses)):
        raise OutboundRefused("the URL's host must have public addresses only")
    connection = _connection(parsed, addresses, max(deadline - time.monotonic(), 0.001))
    try:
        connection.connect()
        with _hang_up_after(connection, deadline - time.monotonic()):
            connection.request(
                method,
                parsed.target,
                body=body,
                headers={
                    "User-Agent": "Landfall",
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                    **headers,
                },
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            received = bytearray()
            while len(received) <= max_bytes:
                chunk = response.read(min(_CHUNK_BYTES, max_bytes + 1 - len(received)))
                if not chunk:
                    break
                received += chunk
            if time.monotonic() >= deadline:
                # A body without a length may look complete when we were the one to hang up.
                raise OutboundFailed("the answer did not come in time")
    except (OSError, HTTPError, HTTPException, ValueError) as error:
        # The cause may quote headers that we sent; its class tells enough.
        raise OutboundFailed(f"the call failed: {type(error).__name__}") from error
    finally:
        connection.close()
    return HttpAnswer(
        response.status, {k.lower(): v for k, v in response.headers.items()}, bytes(received)
    )
