"""Freezing processes, and waiting for what others do."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from localnet.service import RunningService

# Generous: it only decides how long a defect takes to show on a busy machine.
PATIENCE = 180.0

Seen = TypeVar("Seen")


def wait_for(look: Callable[[], Seen], what: str, *, explain: Callable[[], str] = str) -> Seen:
    """Wait until `look` answers something true, and return it. Fails with what `explain` says."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE:g} seconds in vain until {what}\n{explain()}")
        time.sleep(0.05)
    return seen


def freeze(service: RunningService, name: str) -> int:
    """Stop a process in its tracks (SIGSTOP), as a long pause of its machine would; its pid."""
    pid = service.wait_until_running(name)
    os.kill(pid, signal.SIGSTOP)
    return pid


def thaw(service: RunningService, name: str) -> None:
    """Let a frozen process go on where it was."""
    pid = service.pid_of(name)
    if pid is not None:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def frozen(service: RunningService, name: str) -> Iterator[int]:
    """A process frozen for a while; its pid."""
    pid = freeze(service, name)
    try:
        yield pid
    finally:
        thaw(service, name)
