"""Makes the virtual environment that bin/demo, bin/test and bin/check run in.

Runs before anything is installed, so it imports the standard library alone. Prints the
environment's interpreter. Installs only when a requirements file changed since the last time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt")


def _fingerprint() -> str:
    """Changes whenever what has to be installed does."""
    digest = hashlib.sha256(sys.version.encode())
    for name in REQUIREMENTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _run(*command: str | Path) -> None:
    # Our own stdout is read by the caller; what tools print belongs on the terminal.
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, stdout=sys.stderr)


def _works(python: Path) -> bool:
    """Whether the environment exists and its base interpreter is still there."""
    return python.exists() and subprocess.run([python, "-c", ""], check=False).returncode == 0


def _install(venv: Path) -> None:
    python = venv / "bin" / "python"
    # Debian ships pip without ensurepip: then the outer pip installs into the environment.
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    if not _works(python):
        _run(sys.executable, "-m", "venv", *([] if has_ensurepip else ["--without-pip"]), venv)
    pip: list[str | Path] = [python, "-m", "pip"]
    if not has_ensurepip:
        pip = [sys.executable, "-m", "pip", "--python", python]
    _run(
        *(*pip, "--disable-pip-version-check", "install", "--quiet"),
        *("-r", "requirements-dev.txt", "-c", "constraints.txt"),
    )


def ensure_environment(venv: Path) -> Path:
    """Return the interpreter of an up-to-date environment in the folder `venv`."""
    python, stamp = venv / "bin" / "python", venv / "landfall-requirements"
    fingerprint = _fingerprint()
    venv.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{venv}.lock").open("w") as lock:
        # Two commands started at once must not both install into one folder.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == fingerprint and _works(python)):
            print(f"Installing pinned packages into {venv} ...", file=sys.stderr)
            _install(venv)
            stamp.write_text(fingerprint)
    return python


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this very check must run on an older one
        print("Landfall needs Python 3.11 or newer.", file=sys.stderr)
        return 1
    venv = Path(os.environ.get("VENV_DIR", ".venv"))
    try:
        print(ensure_environment(ROOT / venv))
    except subprocess.CalledProcessError as error:
        print(f"Could not set up {venv}: `{' '.join(error.cmd)}` failed.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
