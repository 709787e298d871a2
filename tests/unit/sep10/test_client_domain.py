"""Looking up a client domain's key: seldom, briefly, and never with all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from stellar_sdk import Keypair

from kernel.errors import BadRequest, Unavailable
from kernel.http import HttpAnswer, OutboundFailed
from sep10 import client_domain
from sep10.client_domain import MAX_FETCHES, find_client_domain

KEY = Keypair.random().public_key
GOOD = HttpAnswer(200, {}, f'SIGNING_KEY = "{KEY}"'.encode())
Web = Callable[[str], HttpAnswer]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every domain answers with KEY, but dead.example; collects what was asked for."""
    asked: list[str] = []

    def get(url: str, **limits: Any) -> HttpAnswer:
        asked.append(url)
        if "dead.example" in url:
            raise OutboundFailed("no answer")
        return GOOD

    monkeypatch.setattr(client_domain, "safe_get", get)
    return asked


def test_a_key_is_fetched_once_for_many_challenges(web: list[str]) -> None:
    assert {find_client_domain("wallet.example").signing_key for _ in range(5)} == {KEY}
    assert web == ["https://wallet.example/.well-known/stellar.toml"]


def test_a_domain_that_failed_is_not_asked_again_at_once(web: list[str]) -> None:
    for _ in range(5):
        with pytest.raises(BadRequest, match="could not be fetched"):
            find_client_domain("dead.example")
    assert len(web) == 1


def test_what_was_found_is_forgotten_after_a_while(
    web: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_domain, "KEEP_SECONDS", 0)
    monkeypatch.setattr(client_domain, "KEEP_FAILURE_SECONDS", 0)
    for _ in range(2):
        find_client_domain("wallet.example")
        with pytest.raises(BadRequest):
            find_client_domain("dead.example")
    assert len(web) == 4


def test_many_domains_take_no_more_memory_than_the_cache_has(web: list[str]) -> None:
    from django.core.cache import cache

    for number in range(500):
        find_client_domain(f"wallet{number}.example")
    assert len(cache._cache) <= cache._max_entries  # type: ignore[attr-defined]


@pytest.fixture
def slow_web(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Domains that answer only once `.go` is set; `.waiting` counts who waits for them."""

    class Slow:
        go = threading.Event()
        waiting = threading.Semaphore(0)

    def get(url: str, **limits: Any) -> HttpAnswer:
        Slow.waiting.release()
        assert Slow.go.wait(30)
        return GOOD

    monkeypatch.setattr(client_domain, "safe_get", get)
    monkeypatch.setattr(client_domain, "QUEUE_SECONDS", 0.01)
    return Slow


def test_slow_domains_hold_a_few_threads_only(slow_web: Any) -> None:
    with ThreadPoolExecutor(MAX_FETCHES) as threads:
        fetches = [
            threads.submit(find_client_domain, f"slow{number}.example")
            for number in range(MAX_FETCHES)
        ]
        for _ in fetches:
            assert slow_web.waiting.acquire(timeout=30)
        with pytest.raises(Unavailable, match="try again"):
            find_client_domain("another.example")
        slow_web.go.set()
        assert {fetch.result().signing_key for fetch in fetches} == {KEY}
    find_client_domain("another.example")


def test_whoever_waited_for_the_same_domain_does_not_fetch_it_again(
    slow_web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_domain, "QUEUE_SECONDS", 30)
    monkeypatch.setattr(client_domain, "_fetches", threading.BoundedSemaphore(1))
    with ThreadPoolExecutor(4) as threads:
        fetches = [threads.submit(find_client_domain, "wallet.example") for _ in range(4)]
        assert slow_web.waiting.acquire(timeout=30)
        slow_web.go.set()
        assert {fetch.result().signing_key for fetch in fetches} == {KEY}
    assert not slow_web.waiting.acquire(blocking=False)
