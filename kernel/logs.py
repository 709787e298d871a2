"""What must not fill the logs while something is down for long."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import psycopg2
import redis
from celery.beat import SchedulingError

SECONDS = 60.0
_MOST = 1000  # messages that are remembered


class OnceAMinute(logging.Filter):
    """Lets the same words pass once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        return self.is_due(record.getMessage())

    def is_due(self, words: str) -> bool:
        now = time.monotonic()
        said_at = self._said_at.get(words)
        if said_at is not None and now - said_at < SECONDS:
            return False
        if len(self._said_at) >= _MOST:
            self._said_at.clear()
        self._said_at[words] = now
        return True


class Outage(OnceAMinute):
    """What fails because something else can't be reached is a line a minute for each kind of
    reason, which it ends with, and no traceback each time."""

    words: str

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        reason = next((one for one in _causes(error) if self.is_outage(one)), None)
        if reason is None:
            return True
        first_line = str(reason).strip().partition("\n")[0]
        record.msg, record.args = "%s: %s", (self.words, first_line)
        record.exc_info = record.exc_text = None
        return self.is_due(type(reason).__name__)

    def is_outage(self, error: BaseException) -> bool:
        raise NotImplementedError


class QueueOutage(Outage):
    """For Celery's beat, which else tells of each task that it can't send with two tracebacks."""

    words = "scheduled tasks can't be sent to Redis"

    def is_outage(self, error: BaseException) -> bool:
        # Not kombu's own OperationalError, which it makes of everything, also of our mistakes.
        return isinstance(error, redis.RedisError | ConnectionError | TimeoutError)


class DatabaseOutage(Outage):
    """For Celery's workers, which else tell of each task that fails."""

    words = "tasks can't reach PostgreSQL, and are taken up again when they can"

    def is_outage(self, error: BaseException) -> bool:
        if isinstance(error, psycopg2.InterfaceError):
            return "connection already closed" in str(error)
        if not isinstance(error, psycopg2.OperationalError):
            return False
        # Without a code we were not let in; 08 is a lost connection, 57P a server that shuts down.
        # A deadlock or a time limit is an OperationalError too, and of another kind.
        return error.pgcode is None or error.pgcode.startswith(("08", "57P"))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised `from`. Not what was being handled when another fault came
    up, except beat's, which is raised without saying so."""
    while error is not None:
        yield error
        error = error.__context__ if isinstance(error, SchedulingError) else error.__cause__
