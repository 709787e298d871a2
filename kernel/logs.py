"""What must not fill the logs while something is down for long."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

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


class QueueOutage(OnceAMinute):
    """For Celery's beat, which tells of each task that it can't send with two tracebacks: one line
    a minute for all of them, as long as it is the queue that does not answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not any(isinstance(one, OperationalError) for one in _causes(error)):
            return True
        record.msg = "Redis does not answer: scheduled tasks are not sent until it does"
        record.args, record.exc_info, record.exc_text = (), None, None
        return super().filter(record)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
