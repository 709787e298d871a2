"""An outage is told, and told once a minute: it must not fill the disk that the logs are on."""

from __future__ import annotations

import logging

import psycopg2
import pytest
from celery.beat import SchedulingError
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from kernel import logs

BEAT, TASKS, SCREENING = "celery.beat", "celery.app.trace", "sep12.screening.services"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    for logger in (BEAT, TASKS, SCREENING):
        for one in logging.getLogger(logger).filters:
            assert isinstance(one, logs.OnceAMinute)  # the settings name them
            one._said_at.clear()
    now = [1000.0]
    monkeypatch.setattr("kernel.logs.time.monotonic", lambda: now[0])
    return now


def fail_to_send(task: str, reason: Exception) -> None:
    """As beat does it."""
    try:
        try:
            raise reason
        except Exception as error:
            raise SchedulingError(f"Couldn't apply scheduled task {task}: {error}") from error
    except Exception as error:
        logging.getLogger(BEAT).error("Message Error: %s\n%s", error, ["a stack"], exc_info=True)


def test_an_outage_of_the_queue_is_one_line_a_minute_for_all_tasks(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    def go_on() -> None:
        for task in ("payouts.tasks.send_due_payouts", "sep31.tasks.sweep_transactions"):
            fail_to_send(task, OperationalError("Connection refused"))

    for _ in range(3):
        go_on()
    line = "Redis does not answer: scheduled tasks are not sent until it does"
    assert [(one.getMessage(), one.exc_info) for one in caplog.records] == [(line, None)]
    clock[0] += 61
    go_on()
    assert [one.getMessage() for one in caplog.records] == [line, line]


def test_another_fault_of_beat_keeps_its_traceback_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        fail_to_send("sep31.tasks.sweep_transactions", TypeError("not JSON"))
    assert [one.exc_info is not None for one in caplog.records] == [True, True]
    assert "not JSON" in caplog.records[0].getMessage()


class WithCode(psycopg2.OperationalError):
    """As psycopg2 raises it for what PostgreSQL answered."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    @property
    def pgcode(self) -> str:
        return self.code


def fail_task(reason: Exception) -> None:
    """As a worker does it; Django wraps what the driver raises."""
    try:
        try:
            raise reason
        except Exception as error:
            raise DatabaseError(str(error)) from error
    except Exception:
        logging.getLogger(TASKS).error("Task %s raised unexpected", "sweep", exc_info=True)


def test_an_outage_of_the_database_is_one_line_a_minute_for_all_tasks(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    outages = [
        psycopg2.OperationalError("Connection refused"),
        psycopg2.InterfaceError("connection already closed"),
        WithCode("57P01"),
        WithCode("08006"),
    ]
    for reason in outages:
        fail_task(reason)
    [told] = caplog.records
    assert told.getMessage().startswith("PostgreSQL does not answer")
    assert told.exc_info is None
    clock[0] += 61
    fail_task(outages[0])
    assert len(caplog.records) == 2


@pytest.mark.parametrize("code", ["40P01", "57014", "55P03"])
def test_a_deadlock_and_a_time_limit_are_no_outage(
    caplog: pytest.LogCaptureFixture, code: str
) -> None:
    for _ in range(2):
        fail_task(WithCode(code))
    assert [one.exc_info is not None for one in caplog.records] == [True, True]


def test_missing_sanctions_lists_are_told_once_a_minute_and_each_by_itself(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    logger = logging.getLogger(SCREENING)
    for name in ("ofac", "ofac", "eu"):
        logger.error("nobody can be screened: %s", f"the list {name} is missing")
    assert [one.getMessage()[-12:] for one in caplog.records] == ["c is missing", "u is missing"]
    clock[0] += 61
    logger.error("nobody can be screened: %s", "the list ofac is missing")
    assert len(caplog.records) == 3
