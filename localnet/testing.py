"""Runs pytest beside an embedded PostgreSQL and Redis: what `bin/test` does after set-up.

Their data stays under STATE_DIR/test, so that the next run starts at once. All tests run in two
parts: those that keep to one process, several at a time, each with a database of its own; then
those that start a whole service, or count over all their cases, one by one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from localnet.ports import PortBusy
from localnet.service import BACKING, ROOT, CannotRun, RunningService

ONE_BY_ONE = ("fuzz", "localnet", "faults", "acceptance")

# As a fresh production machine has them, whatever the demo uses.
_SETTINGS = {
    "ALLOW_INSECURE_URLS": "false",
    "BASE_URL": "http://localhost:8000",
    "HOME_DOMAINS": "localhost:8000",
    "DJANGO_SETTINGS_MODULE": "anchor.settings",
}


def main() -> int:
    state_dir = Path(os.environ.get("STATE_DIR", ".local")) / "test"
    # Ends like Ctrl-C does: pytest tears down, then the servers stop.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with RunningService(
            state_dir, processes=BACKING, durable=False, settings=_SETTINGS
        ) as service:
            results = [_run_pytest(args, service.env) for args in _parts(sys.argv[1:])]
            return next((result for result in results if result), 0)
    except KeyboardInterrupt:
        return 130
    except (CannotRun, PortBusy) as error:
        print(f"bin/test: {error}", file=sys.stderr)
        return 1


def _parts(args: list[str]) -> list[list[str]]:
    """The arguments of each run of pytest. Whoever asks for certain tests gets one run."""
    if args:
        return [args]
    apart = [f"--ignore=tests/{name}" for name in ONE_BY_ONE]
    return [
        ["-n", str(os.cpu_count() or 1), "--dist", "loadfile", *apart],
        [f"tests/{name}" for name in ONE_BY_ONE],
    ]


def _run_pytest(args: list[str], env: Mapping[str, str]) -> int:
    with subprocess.Popen([sys.executable, "-m", "pytest", *args], cwd=ROOT, env=env) as pytest:
        try:
            return pytest.wait()
        except KeyboardInterrupt:
            pytest.send_signal(signal.SIGINT)
            pytest.wait(timeout=30)
            raise


if __name__ == "__main__":
    sys.exit(main())
