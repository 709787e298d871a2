"""What must not fill the logs while something is down for long."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import psycopg2
from kombu.exceptions import OperationalError

SECONDS = 60.0
_MOST = 1000  # messages that are remembered


class OnceAMinute(logging.Filter):
    """Lets the same words pass once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        words, now = record.getMessage(), time.monotonic()
        said_at = self._said_at.get(words)
        if said_at is not None and now - said_at < SECONDS:
            return False
        if len(self._said_at) >= _MOST:
            self._said_at.clear()
        self._said_at[words] = now
        return True


class Outage(OnceAMinute):
    """What fails because something else does not answer is one line a minute, `words`, and no
    traceback each time."""

    words: str

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not any(self.is_outage(one) for one in _causes(error)):
            return True
        record.msg, record.args = self.words, ()
        record.exc_info = record.exc_text = None
        return super().filter(record)

    def is_outage(self, error: BaseException) -> bool:
        raise NotImplementedError


class QueueOutage(Outage):
    """For Celery's beat, which else tells of each task that it can't send with two tracebacks."""

    words = "Redis does not answer: scheduled tasks are not sent until it does"

    def is_outage(self, error: BaseException) -> bool:
        return isinstance(error, OperationalError)


class DatabaseOutage(Outage):
    """For Celery's workers, which else tell of each task that fails."""

    words = "PostgreSQL does not answer: tasks fail until it does, and are taken up again then"

    def is_outage(self, error: BaseException) -> bool:
        if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
            return False
        # Without a code nobody answered; 08 is a lost connection, 57P a server that shuts down. A
        # deadlock or a time limit is an OperationalError too, and of another kind.
        return error.pgcode is None or error.pgcode.startswith(("08", "57P"))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
