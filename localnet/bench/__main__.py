"""bin/bench: starts the service as the demo does, measures it, and stops it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.text import Text

from localnet.bench.load import Clients, Unexpected
from localnet.bench.memory import MemoryLog
from localnet.bench.rows import Row, make_table
from localnet.demo import DEMO_SETTINGS
from localnet.ports import PortBusy
from localnet.service import CannotRun, RunningService

# In the order in which they run: the last leaves thousands of payouts behind.
NAMES = ("http", "size", "payouts", "callbacks", "latency", "ingest")
# A million rows take minutes and a gigabyte, so they are made only if asked for.
ONLY_IF_ASKED = ("size",)

# Requests are counted against limits that nobody reaches: what counting costs is in the figures.
_LIMITS = {"AUTH_ADDRESS_LIMIT": "1000000", "AUTH_ACCOUNT_LIMIT": "1000000"}


def run(names: list[str], console: Console, *, quick: bool) -> list[Row]:
    """Start the service with a state of its own, measure, and leave nothing behind."""
    parent = Path(os.environ.get("STATE_DIR", ".local"))
    parent.mkdir(parents=True, exist_ok=True)
    service = RunningService(
        Path(tempfile.mkdtemp(prefix="bench-", dir=parent)),
        settings=DEMO_SETTINGS | _LIMITS,
        wsgi="localnet.bench.wsgi",
        report=lambda text: console.print(f"[dim]{text} ...[/]"),
    )
    try:
        with service:
            return _measure(service, names, console, quick=quick)
    finally:
        if service.ports:
            shutil.rmtree(service.postgres.data_folder.parent, ignore_errors=True)
        shutil.rmtree(service.state_dir, ignore_errors=True)


def _measure(
    service: RunningService, names: list[str], console: Console, *, quick: bool
) -> list[Row]:
    os.environ.update(service.env)
    os.environ["DJANGO_SETTINGS_MODULE"] = "anchor.settings"
    # Django's test client, which counts the queries, looks for static files that nobody collected.
    warnings.filterwarnings("ignore", "No directory at")
    import django

    django.setup()
    from localnet.bench.stage import QUICK, Bench, Scale

    memory = MemoryLog(service)
    memory.note()
    rows: list[Row] = []
    with Clients() as clients:
        bench = Bench(service, clients, memory, QUICK if quick else Scale())
        for name in NAMES:
            if name in names:
                started = time.monotonic()
                console.print(f"[dim]Measuring {name} ...[/]")
                found = import_module(f"localnet.bench.{name}").measure(bench)
                seconds = time.monotonic() - started
                console.print(make_table(f"{name} (took {seconds:.0f} s)", found))
                rows += found
    memory.note()
    console.print(make_table("memory at most", memory.rows()))
    return rows + memory.rows()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument(
        "--quick", action="store_true", help="only see that it works; figures mean nothing"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}")
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)  # a log has no width of its own
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C does
    try:
        usual = [name for name in NAMES if name not in ONLY_IF_ASKED]
        rows = run(options.names or usual, console, quick=options.quick)
    except (CannotRun, PortBusy, Unexpected) as error:
        console.print(Text(f"bin/bench: {error}", style="red"))
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json is not None:
        options.json.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
