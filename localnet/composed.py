"""The composed service's stage (docker-compose.yml): `python -m localnet.composed COMMAND`.

`setup` makes the keys once and puts everybody on the stage; `stories` sends the demo's payments
through what runs; `login` shows the operator's login.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests
from rich.console import Console

from localnet.demo import check_books, print_results, tell_stories
from localnet.keys import Keys, keep_keys, write_keys
from localnet.preparation import OPERATOR
from localnet.service import DEFAULT_PASSPHRASE, ROOT, CannotRun
from localnet.stage import describe_stage, set_stage

KEYS = Path("/keys")
# Written by `setup` when everybody is on the stage. Only `setup` makes keys: the others wait.
_SET_UP = KEYS / "stage" / "set-up"
_PATIENCE_SECONDS = 300.0
_LOOK_AGAIN_SECONDS = 2.0
# What signs payments is in a file of its own: only the workers get it.
_PAYMENTS = ("DISTRIBUTION_SECRET",)
_BANK = ("BANK_API_KEY",)


class ComposedService:
    """The service that other containers run, as `localnet.stage` and `localnet.demo` want it."""

    def __init__(self, keys: Keys, environment: dict[str, str]) -> None:
        self.keys = keys
        self.env = {**environment, **keys.anchor_settings()}
        self.base_url = environment.get("BASE_URL", "http://localhost:8000")
        self.horizon_url = environment["HORIZON_URL"]
        self.friendbot_url = f"{self.horizon_url}/friendbot"
        self.network_passphrase = environment.get("NETWORK_PASSPHRASE", DEFAULT_PASSPHRASE)

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py; its standard output. Raises `CannotRun` if it fails."""
        return self._run([sys.executable, "manage.py", *arguments])

    def prepare_database(self, commands: list[list[str]]) -> None:
        """Run commands of manage.py and make the operator's login. `migrate` migrates, not we."""
        self._run(
            [sys.executable, "-m", "localnet.preparation"],
            given=json.dumps(commands),
            OPERATOR_PASSWORD=self.keys["ADMIN_PASSWORD"],
        )

    def is_migrated(self) -> bool:
        """Whether the database answers and has its tables."""
        try:
            self.manage("migrate", "--check", "--verbosity", "0")
        except CannotRun:
            return False
        return True

    def network_answers(self) -> bool:
        return _answers(self.horizon_url)

    def is_ready(self) -> bool:
        return _answers(f"{self.base_url}/health/ready")

    def _run(self, command: list[str], given: str = "", **env: str) -> str:
        result = subprocess.run(
            command,
            cwd=ROOT,
            env={**self.env, **env},
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise CannotRun(f"{' '.join(command)} failed:\n{result.stderr.strip()}")
        return result.stdout


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def wait_for(what: str, is_there: Callable[[], bool], console: Console) -> None:
    """Raises `CannotRun` if it is not there after five minutes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            raise CannotRun(f"{what} does not answer")
        console.print(f"Waiting for {what} ...")
        time.sleep(_LOOK_AGAIN_SECONDS)


def share_keys(keys: Keys, folder: Path) -> None:
    """Write what each container may know into its own volume; see deploy/run-with-keys."""
    settings = keys.anchor_settings()
    parts = {
        "payments": {name: settings[name] for name in _PAYMENTS},
        "bank": {name: settings[name] for name in _BANK},
        "anchor": {name: value for name, value in settings.items() if name not in _PAYMENTS},
    }
    for part, values in parts.items():
        write_keys(folder / part / "keys.env", values)


def set_up(service: ComposedService, console: Console) -> None:
    share_keys(service.keys, KEYS)
    wait_for("the local network", service.network_answers, console)
    wait_for("the migrated database", service.is_migrated, console)
    set_stage(service)
    _SET_UP.touch()
    console.print(f"{service.base_url} is set up. Send payments: docker compose run --rm stories")


def show_login(service: ComposedService, console: Console) -> None:
    console.print(f"{service.base_url}/admin/   {OPERATOR} / {service.keys['ADMIN_PASSWORD']}")


def run_stories(service: ComposedService, console: Console) -> bool:
    """Whether every story ended as it should and the books are right."""
    wait_for("the service", service.is_ready, console)
    stage = describe_stage(service)
    results = tell_stories(
        service, stage, console, callback_host=os.environ.get("CALLBACK_HOST", "127.0.0.1")
    )
    print_results(results, console)
    return check_books(service, console) and not any(result.problem for result in results)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m localnet.composed", description=__doc__)
    parser.add_argument("command", choices=("setup", "stories", "login"))
    command = parser.parse_args().command
    # The first process of a container ignores SIGTERM unless it says otherwise.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a log has no width of its own
    try:
        if command != "setup":
            wait_for("setup", _SET_UP.exists, console)
        service = ComposedService(keep_keys(KEYS / "stage" / "secrets.env"), dict(os.environ))
        if command == "setup":
            set_up(service, console)
        elif command == "login":
            show_login(service, console)
        else:
            return 0 if run_stories(service, console) else 1
    except CannotRun as error:
        console.print(f"setup: {error}" if command == "setup" else str(error), markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
