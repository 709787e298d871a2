"""Looks for personal values wherever they could have been left, in every shape that bytes take on
their way through JSON, URLs, Celery's messages and a dump."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote

_SHORTEST_BASE64 = 8  # fewer letters turn up in other people's bytes by chance


@cache
def shapes_of(value: str | bytes) -> frozenset[bytes]:
    """Every shape that `value` may be recognised by."""
    spelled = {value}
    if isinstance(value, str):
        spelled |= {json.dumps(value)[1:-1], quote(value), value.upper(), value.lower()}
    shapes = set()
    for one in spelled:
        raw = one.encode() if isinstance(one, str) else one
        shapes |= {raw, raw.hex().encode(), raw.hex().upper().encode(), *_base64_of(raw)}
    return frozenset(shapes)


def _base64_of(raw: bytes) -> set[bytes]:
    """What `raw` looks like inside of longer base64, at each of the three places it can begin."""
    found = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        # The letters at both ends also depend on what is beside it.
        inner = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        if len(inner) >= _SHORTEST_BASE64:
            found.add(inner)
    return found


def find_traces(haystack: bytes, values: Iterable[str | bytes]) -> set[str | bytes]:
    """Those of `values` that stand in `haystack` in any shape."""
    return {value for value in values if any(shape in haystack for shape in shapes_of(value))}


class RedisWitness:
    """Writes down every command that a Redis server gets, from now until it ends: what went
    through it and is gone again counts too."""

    def __init__(self, port: int, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.sendall(f"AUTH {password}\r\nMONITOR\r\n".encode())
        answers = b""
        while answers.count(b"\r\n") < 2:
            answers += self._socket.recv(100)
        assert answers.startswith(b"+OK\r\n+OK\r\n"), answers
        self._socket.settimeout(None)
        self._seen = bytearray()
        self._thread = threading.Thread(target=self._write_down, daemon=True)
        self._thread.start()

    def _write_down(self) -> None:
        while part := self._socket.recv(1 << 16):
            self._seen += part
        self._socket.close()

    def all_seen(self) -> bytes:
        """All of it, once the server has ended, also with its escapes undone."""
        self._thread.join(60)
        plain = re.sub(
            rb'\\x([0-9a-f]{2})|\\(["\\])',
            lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2],
            bytes(self._seen),
        )
        return bytes(self._seen) + plain
