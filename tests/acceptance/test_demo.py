"""`bin/demo --once`, as a newcomer runs it: real processes, real HTTP, real path payments."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PASSPHRASE = "A network of the acceptance test"
DEMO_KEYS = {
    *("base_url", "horizon_url", "friendbot_url", "bank_url", "network_passphrase", "asset"),
    *("source_asset", "sending_anchors", "admin", "bank_accounts"),
}
STARTS_AND_TELLS_WITHIN_SECONDS = 400


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def state_dir() -> Iterator[Path]:
    # Not pytest's folder: PostgreSQL's own user must be able to pass through it.
    folder = Path(tempfile.mkdtemp(prefix="landfall-acceptance-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def read_when_complete(path: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    while process.poll() is None:
        try:
            return dict(json.loads(path.read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.1)
    raise AssertionError(f"the demo ended without {path.name}: {process.communicate()[0]}")


def test_four_payments_end_as_they_should_and_the_books_balance(state_dir):
    environment = {
        **os.environ,
        "STATE_DIR": str(state_dir),
        "PORT": str(free_port()),
        "HORIZON_PORT": str(free_port()),
        "NETWORK_PASSPHRASE": PASSPHRASE,
    }
    demo = subprocess.Popen(
        [sys.executable, "-m", "localnet.demo", "--once"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        told = read_when_complete(state_dir / "demo.json", demo)
        output, _ = demo.communicate(timeout=STARTS_AND_TELLS_WITHIN_SECONDS)
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(30)
    assert demo.returncode == 0, output
    assert set(told) >= DEMO_KEYS
    assert told["network_passphrase"] == PASSPHRASE
    assert len(told["sending_anchors"]) == 2
    assert not (state_dir / "demo.json").exists()
