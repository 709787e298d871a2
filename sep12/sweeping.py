"""One sweep over what an outside partner has yet to be told, a row at a time."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable

SWEEP_LIMIT_SECONDS = 20.0


def try_each(
    due: Iterable[uuid.UUID], attempt: Callable[[uuid.UUID], bool], busy: threading.Lock
) -> int:
    """`attempt` each of `due` until one fails or the time is up; how many were tried.

    Nothing while another thread of this process sweeps with the same `busy`: a partner that hangs
    must not hold all threads of a worker. `due` is asked only then, so it may be a query.
    """
    if not busy.acquire(blocking=False):
        return 0
    try:
        stop_at = time.monotonic() + SWEEP_LIMIT_SECONDS
        tried = 0
        for pk in list(due):
            tried += 1
            if not attempt(pk) or time.monotonic() > stop_at:
                break
        return tried
    finally:
        busy.release()
