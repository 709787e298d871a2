"""How much memory each process of the service has held at its most."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from localnet.bench.rows import Row
from localnet.service import RunningService

_MEGABYTE = 1024 * 1024


class MemoryLog:
    """Peaks by process. A process that is started again begins anew, so note them before."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._first: dict[str, float] = {}
        self._most: dict[str, float] = {}

    def note(self) -> None:
        """Read the peaks of all that runs now. The first note is the floor."""
        for name in self._service.processes:
            pid = self._service.pid_of(name)
            if pid is None:
                continue
            peak = peak_of_tree(pid)
            self._first.setdefault(name, peak)
            self._most[name] = max(self._most.get(name, 0.0), peak)

    def rows(self) -> list[Row]:
        return [
            Row(f"memory {name}", self._most[name], "MB", self._first[name]) for name in self._most
        ]


def peak_of_tree(pid: int) -> float:
    """Megabytes that a process and its children held at their most.

    What they share (PostgreSQL's buffers) is counted once.
    """
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    found = [_read(process) for process in tree]
    return sum(own for own, _ in found) + max(shared for _, shared in found)


def own_peak() -> float:
    """Megabytes that this process held at its most."""
    return sum(_read(psutil.Process()))


def _read(process: psutil.Process) -> tuple[float, float]:
    """(peak without what is shared, what is shared) in megabytes."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak, shared = (
            int(re.findall(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[0]) / 1024
            for name in ("VmHWM", "RssShmem")
        )
        return peak - shared, shared
    except (OSError, IndexError):  # not Linux, or it is gone
        try:
            return process.memory_info().rss / _MEGABYTE, 0.0
        except psutil.Error:
            return 0.0, 0.0
