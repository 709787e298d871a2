"""Runs pytest beside an embedded PostgreSQL and Redis: what `bin/test` does after set-up.

Their data stays under STATE_DIR/test, so that the next run starts at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from localnet.ports import PortBusy
from localnet.service import BACKING, ROOT, CannotRun, RunningService

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
            command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
            with subprocess.Popen(command, cwd=ROOT, env=service.env) as pytest:
                try:
                    return pytest.wait()
                except KeyboardInterrupt:
                    pytest.send_signal(signal.SIGINT)
                    return pytest.wait(timeout=30)
    except (CannotRun, PortBusy) as error:
        print(f"bin/test: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
