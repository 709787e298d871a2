"""Kept connections to PostgreSQL: checked before use, without a word to PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


def start_request() -> None:
    """What Django does with a kept connection when a request comes."""
    connection.close_if_unusable_or_obsolete()


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 600)
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", True)
    connection.close()
    yield
    connection.close()


def terminate(pid: int) -> None:
    terms = connection.get_connection_params()
    terms = {name: terms[name] for name in terms if name not in ("cursor_factory", "options")}
    killer = psycopg2.connect(**terms)
    killer.autocommit = True
    with killer.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    killer.close()


def test_the_backend_is_the_one_that_asks_the_socket() -> None:
    assert settings.DATABASES["default"]["ENGINE"] == "kernel.postgresql"
    assert settings.DATABASES["default"]["CONN_HEALTH_CHECKS"]


def test_a_good_connection_is_used_again_and_checking_it_asks_postgresql_nothing() -> None:
    first = backend()
    said = []

    def note(execute: Any, sql: Any, *rest: Any) -> Any:
        said.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        start_request()
        again = backend()
    assert again == first
    assert said == ["SELECT pg_backend_pid()"]


def test_a_connection_that_postgresql_ended_is_replaced_before_it_is_used() -> None:
    first = backend()
    start_request()
    terminate(first)
    start_request()
    assert backend() != first


def test_after_an_error_postgresql_itself_is_asked() -> None:
    first = backend()
    with pytest.raises(Exception, match="no_such"), connection.cursor() as cursor:
        cursor.execute("SELECT no_such")
    connection.errors_occurred = True
    start_request()
    assert backend() == first
    assert not connection.errors_occurred
