"""Starts `bin/demo` as people do: a process of its own, with a folder and ports of its own."""

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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
_STOPS_WITHIN_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def make_folder() -> Iterator[Path]:
    # Not pytest's folder: PostgreSQL's own user must be able to pass through it.
    folder = Path(tempfile.mkdtemp(prefix="landfall-acceptance-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def start_demo(
    state_dir: Path, *options: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """`bin/demo` with `options`, until the block ends; its output is one stream."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "localnet.demo", *options],
        cwd=PROJECT,
        env={
            **os.environ,
            "STATE_DIR": str(state_dir),
            "PORT": str(free_port()),
            "HORIZON_PORT": str(free_port()),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield demo
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.communicate(timeout=_STOPS_WITHIN_SECONDS)


def read_when_complete(path: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON that the demo writes when all of it answers."""
    while process.poll() is None:
        try:
            return dict(json.loads(path.read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.1)
    raise AssertionError(f"the demo ended without {path.name}: {process.communicate()[0]}")
