"""Nothing that a test here asks for leaves this machine."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No name is looked up but localhost, and nothing is connected to but loopback."""
    look_up, connect, refused = socket.getaddrinfo, socket.socket.connect, []

    def look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_loopback(host):
            raise socket.gaierror(socket.EAI_NONAME, "no such name in tests")
        return look_up(host, *args, **kwargs)

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            refused.append(address)
            raise ConnectionRefusedError
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    monkeypatch.setattr(socket.socket, "connect", connect_here)
    yield
    assert not refused


def _is_loopback(host: Any) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _one_connection(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests stay in the test's database transaction, as with Django's test client."""
    place = "django.db.backends.base.base.BaseDatabaseWrapper.close_if_unusable_or_obsolete"
    monkeypatch.setattr(place, lambda self: None)
