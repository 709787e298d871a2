"""An outage is told, and told once a minute: it must not fill the disk that the logs are on."""

from __future__ import annotations

import logging

import psycopg2
import pytest
import redis
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
    """As kombu and beat do it."""
    try:
        try:
            try:
                raise reason
            except Exception as error:
                raise OperationalError(str(error)) from error
        except Exception as error:
            raise SchedulingError(f"Couldn't apply scheduled task {task}: {error}")  # noqa: B904
    except Exception as error:
        logging.getLogger(BEAT).error("Message Error: %s\n%s", error, ["a stack"], exc_info=True)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    """Each line, and whether a traceback came with it."""
    return [(one.getMessage(), one.exc_info is not None) for one in caplog.records]


def test_an_outage_of_the_queue_is_one_line_a_minute_for_all_tasks(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    def go_on() -> None:
        for task in ("payouts.tasks.send_due_payouts", "sep31.tasks.sweep_transactions"):
            fail_to_send(task, redis.ConnectionError("Error 111. Connection refused."))

    for _ in range(3):
        go_on()
    line = ("scheduled tasks can't be sent to Redis: Error 111. Connection refused.", False)
    assert told(caplog) == [line]
    clock[0] += 61
    go_on()
    assert told(caplog) == [line, line]


def test_another_reason_is_another_line(caplog: pytest.LogCaptureFixture) -> None:
    fail_to_send("sweep", redis.ConnectionError("Connection refused"))
    fail_to_send("sweep", redis.ResponseError("OOM command not allowed"))
    assert [line for line, _ in told(caplog)] == [
        "scheduled tasks can't be sent to Redis: Connection refused",
        "scheduled tasks can't be sent to Redis: OOM command not allowed",
    ]


def test_a_fault_of_ours_keeps_its_traceback_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        fail_to_send("sep31.tasks.sweep_transactions", KeyError("task"))
    assert [traceback for _, traceback in told(caplog)] == [True, True]


class WithCode(psycopg2.OperationalError):
    """As psycopg2 raises it for what PostgreSQL answered."""

    def __init__(self, code: str) -> None:
        super().__init__(f"of code {code}\nwith details")
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


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (psycopg2.OperationalError("Connection refused\n\tIs it there?"), "Connection refused"),
        (psycopg2.OperationalError("FATAL: too many clients"), "FATAL: too many clients"),
        (psycopg2.InterfaceError("connection already closed"), "connection already closed"),
        (WithCode("57P01"), "of code 57P01"),
        (WithCode("08006"), "of code 08006"),
    ],
)
def test_an_outage_of_the_database_is_one_line_a_minute_for_all_tasks(
    caplog: pytest.LogCaptureFixture, clock: list[float], reason: Exception, said: str
) -> None:
    for _ in range(3):
        fail_task(reason)
    words = "tasks can't reach PostgreSQL, and are taken up again when they can"
    assert told(caplog) == [(f"{words}: {said}", False)]
    clock[0] += 61
    fail_task(reason)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "reason",
    [
        *(WithCode(code) for code in ("40P01", "57014", "55P03")),
        psycopg2.InterfaceError("cursor already closed"),
    ],
    ids=str,
)
def test_a_deadlock_a_time_limit_and_a_fault_of_ours_are_no_outage(
    caplog: pytest.LogCaptureFixture, reason: Exception
) -> None:
    for _ in range(2):
        fail_task(reason)
    assert [traceback for _, traceback in told(caplog)] == [True, True]


def test_a_fault_that_comes_up_during_an_outage_is_told_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        try:
            raise psycopg2.OperationalError("Connection refused")
        except psycopg2.OperationalError:
            dict[str, str]()["amount"]
    except KeyError:
        logging.getLogger(TASKS).error("Task %s raised unexpected", "sweep", exc_info=True)
    assert told(caplog) == [("Task sweep raised unexpected", True)]


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
