"""Limits, against a real Redis."""

from __future__ import annotations

import logging
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.test import RequestFactory

from kernel import throttling
from kernel.errors import TooManyRequests
from kernel.throttling import Limit, client_address, count_request


@pytest.fixture
def somebody() -> str:
    """Nobody else's name, whoever tests at this Redis."""
    return str(uuid.uuid4())


def attempts(limit: Limit, count: int) -> list[bool]:
    return [passes(limit) for _ in range(count)]


def passes(*limits: Limit) -> bool:
    try:
        count_request(*limits)
    except TooManyRequests:
        return False
    return True


def test_as_many_requests_pass_as_a_minute_has_and_then_none(somebody: str) -> None:
    assert attempts(Limit("test", somebody, 3), 5) == [True, True, True, False, False]


def test_the_refusal_says_when_to_come_again(somebody: str) -> None:
    limit = Limit("test", somebody, 2)
    attempts(limit, 2)
    with pytest.raises(TooManyRequests) as raised:
        count_request(limit)
    assert 0 < raised.value.retry_after <= 30
    assert str(raised.value.retry_after) in raised.value.message


def test_the_bucket_fills_up_again(somebody: str) -> None:
    limit = Limit("test", somebody, 600)
    while passes(limit):
        pass
    threading.Event().wait(0.25)  # two more of 600 a minute
    assert passes(limit)


def test_each_subject_and_each_name_has_a_bucket_of_its_own(somebody: str) -> None:
    attempts(Limit("test", somebody, 1), 2)
    assert passes(Limit("test", somebody + "x", 1))
    assert passes(Limit("other", somebody, 1))


def test_a_request_counts_against_all_its_limits_or_none(somebody: str) -> None:
    narrow, wide = Limit("narrow", somebody, 1), Limit("wide", somebody, 3)
    assert passes(narrow, wide)
    assert [passes(narrow, wide) for _ in range(5)] == [False] * 5
    assert attempts(wide, 3) == [True, True, False]


def test_requests_at_once_share_one_bucket(somebody: str) -> None:
    limit = Limit("test", somebody, 20)
    with ThreadPoolExecutor(16) as threads:
        passed = list(threads.map(lambda _: passes(limit), range(60)))
    assert 20 <= sum(passed) <= 21  # a slow machine fills up by one meanwhile


@pytest.mark.parametrize(("per_minute", "subject"), [(0, "x"), (5, "")])
def test_no_limit_and_nobody_in_particular_are_not_counted(
    settings: Any, per_minute: int, subject: str
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"  # nobody is asked
    assert attempts(Limit("test", subject, per_minute), 20) == [True] * 20
    throttling._counts.cache_clear()


def test_redis_holds_no_name_and_only_for_a_while(settings: Any, somebody: str) -> None:
    client = redis.Redis.from_url(settings.REDIS_URL)
    before = set(client.keys("limit:*"))
    count_request(Limit("mine", somebody, 10))
    new = [key for key in client.keys("limit:mine:*") if key not in before]
    assert new
    assert all(somebody.encode() not in key for key in new)
    assert all(0 < client.pttl(key) <= 60_000 for key in new)


def test_the_key_of_a_name_depends_on_our_secret(settings: Any, somebody: str) -> None:
    limit = Limit("test", somebody, 1)
    before = throttling._key(limit)
    settings.SECRET_KEY = "another" * 10
    assert throttling._key(limit) != before


def test_an_emptied_redis_lets_requests_pass(settings: Any, somebody: str) -> None:
    limit = Limit("test", somebody, 1)
    assert attempts(limit, 2) == [True, False]
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.delete(throttling._key(limit))
    client.script_flush()
    assert passes(limit)


def test_without_redis_requests_pass_and_it_is_said_once(
    settings: Any, somebody: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
    monkeypatch.setattr(throttling, "PAUSE_SECONDS", 0.0)
    with caplog.at_level(logging.WARNING, "kernel.throttling"):
        assert attempts(Limit("test", somebody, 1), 5) == [True] * 5
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert somebody not in caplog.text


def test_a_redis_that_says_nothing_is_not_asked_again_for_a_while(
    settings: Any, somebody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "PAUSE_SECONDS", 60.0)
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        counts = throttling._counts(settings.REDIS_URL)
        run = counts._run

        def note(*arguments: Any) -> Any:
            asked.append(1)
            return run(*arguments)

        monkeypatch.setattr(counts, "_run", note)
        assert attempts(Limit("test", somebody, 1), 5) == [True] * 5
    assert asked == [1]


# -- Whose request it is ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        (0, "203.0.113.9", None, "203.0.113.9"),
        (0, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (1, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "10.0.0.1", "198.51.100.1", "10.0.0.1"),
        (1, "10.0.0.1", None, "10.0.0.1"),
        (1, "10.0.0.1", "", "10.0.0.1"),
        (1, "10.0.0.1", "unknown", ""),
        (1, "10.0.0.1", "x" * 10_000, ""),
        (1, "10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "10.0.0.1", "[2001:db8:1:2:ffff::1]", "2001:db8:1:2::/64"),
        (0, "::ffff:203.0.113.9", None, "203.0.113.9"),
        (0, "", None, ""),
    ],
)
def test_the_address_is_the_one_that_our_outermost_proxy_saw(
    settings: Any, proxies: int, peer: str, forwarded: str | None, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    assert client_address(request) == address


def test_who_asks_often_costs_redis_few_calls_and_gets_no_more_than_the_limit(
    settings: Any, somebody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = throttling._counts(settings.REDIS_URL)
    calls, run = [], counts._run

    def note(*arguments: Any) -> Any:
        calls.append(1)
        return run(*arguments)

    monkeypatch.setattr(counts, "_run", note)
    passed = attempts(Limit("test", somebody, 600), 700)
    assert len(calls) < 400
    # The bucket fills up by ten a second meanwhile.
    assert passed[:600] == [True] * 600
    assert not all(passed)
