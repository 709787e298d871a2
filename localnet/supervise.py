"""Runs supervisord, and stops it (and so all that it runs) when our parent dies, even by kill -9.

`python -m localnet.supervise PARENT_PID CONFIG_FILE`. On systems without Linux's prctl the next
start cleans up instead; see `localnet.service`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from supervisor import supervisord

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


if __name__ == "__main__":
    _die_with(int(sys.argv[1]))
    supervisord.main(["--nodaemon", "--configuration", sys.argv[2]])
