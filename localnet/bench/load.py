"""Clients that do as little as clients can, in a process of their own.

Their own work is on the same cores as the server's, so it is kept small: requests are bytes that
were written beforehand, and of a reply only its status and its end are looked for.
"""

from __future__ import annotations

import itertools
import multiprocessing
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

T = TypeVar("T")

# A client that keeps its connection may stay with one worker of the server for ever, and the
# figures then depend on which worker drew how many clients.
REQUESTS_PER_CONNECTION = 10
TIMEOUT_SECONDS = 30.0


@dataclass
class Load:
    """What came of a number of requests. `latencies` are in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def add(self, other: Load) -> None:
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.statuses += other.statuses
        self.failures += other.failures


class Unexpected(Exception):
    """Something answered otherwise than it should; a figure of it would be worthless."""


def check(what: str, load: Load, expected: int) -> None:
    """Raise `Unexpected` unless each request was answered as expected."""
    if load.failures or set(load.statuses) != {expected}:
        raise Unexpected(
            f"{what}: expected {expected}, got {dict(load.statuses)} {dict(load.failures)}"
        )


def make_request(
    method: str, target: str, *, host: str, headers: dict[str, str], body: bytes = b""
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One client's connection to 127.0.0.1, opened anew when it is time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._uses = 0

    def exchange(self, request: bytes) -> int:
        """Send a request, read its whole reply; the status. Raises `OSError`, `ValueError`."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._uses = 0
        self._uses += 1
        self._socket.sendall(request)
        status, keeps = read_reply(self._socket.recv)
        if not keeps or self._uses >= REQUESTS_PER_CONNECTION:
            self.close()
        return status

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def read_reply(receive: Callable[[int], bytes]) -> tuple[int, bool]:
    """(status, whether the connection goes on) of a reply, read to its end."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        part = receive(65536)
        if not part:
            raise ValueError("the reply broke off")
        data += part
    head = data[: end + 2].lower()
    status = int(head[9:12])
    keeps = head.startswith(b"http/1.1") and b"\r\nconnection: close\r\n" not in head
    if b"\r\ntransfer-encoding: chunked\r\n" in head:
        while not data.endswith(b"0\r\n\r\n"):
            data += _more(receive)
        return status, keeps
    if status == 204:
        return status, keeps
    length = head.find(b"\r\ncontent-length: ")
    if length < 0:
        while receive(65536):
            pass
        return status, False
    wanted = end + 4 + int(head[length + 18 : head.find(b"\r\n", length + 2)])
    while len(data) < wanted:
        data += _more(receive)
    return status, keeps


def _more(receive: Callable[[int], bytes]) -> bytes:
    part = receive(65536)
    if not part:
        raise ValueError("the reply broke off")
    return part


def run_load(
    port: int, requests: Sequence[bytes], *, clients: int, seconds: float, count: int
) -> Load:
    """Let `clients` send `requests` in turn, from the first again after the last.

    Ends after `count` requests or after `seconds`, whichever comes first.
    """
    sys.setswitchinterval(0.0005)
    load = Load()
    # Shared by the threads: taking the next is one step of the interpreter.
    queue: Iterator[bytes] = itertools.islice(itertools.cycle(requests), count)
    started = time.perf_counter()
    stop_at = started + seconds

    def work() -> None:
        connection = Connection(port)
        while time.perf_counter() < stop_at and (request := next(queue, None)) is not None:
            sent_at = time.perf_counter()
            try:
                status = connection.exchange(request)
            except (OSError, ValueError) as error:
                load.failures[type(error).__name__] += 1
                connection.close()
                continue
            load.latencies.append(time.perf_counter() - sent_at)
            load.statuses[status] += 1
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - started
    return load


class Clients:
    """The clients' process, ready to send."""

    def __init__(self) -> None:
        self._pool = _new_process()

    def __enter__(self) -> Self:
        self._pool.submit(time.time).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def send(
        self, port: int, requests: Sequence[bytes], *, clients: int, seconds: float, count: int
    ) -> Load:
        """See `run_load`."""
        return self._pool.submit(
            run_load, port, requests, clients=clients, seconds=seconds, count=count
        ).result()


def _new_process() -> ProcessPoolExecutor:
    # Spawned: a fork would inherit our memory, and with it our peak, and our connections.
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def run_apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call `function` in a new process of its own."""
    with _new_process() as pool:
        return pool.submit(function, *arguments).result()
