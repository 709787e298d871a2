"""Run the local Stellar network: ``python -m localnet.network --port 8001 --state-dir .local``.

For demo and tests only. Anyone who can reach the port can spend everything on it, so it listens
on the loopback address unless told otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import uvicorn

from .app import build_app
from .genesis import DEFAULT_PASSPHRASE
from .ledger import Ledger
from .store import Store, WrongNetwork


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line, with the environment for what it leaves out."""
    env = os.environ
    parser = argparse.ArgumentParser(prog="python -m localnet.network", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(env.get("HORIZON_PORT", "8001")))
    parser.add_argument("--state-dir", type=Path, default=Path(env.get("STATE_DIR", ".local")))
    parser.add_argument("--passphrase", default=env.get("NETWORK_PASSPHRASE", DEFAULT_PASSPHRASE))
    parser.add_argument(
        "--close-seconds", type=float, default=float(env.get("LEDGER_SECONDS", "1"))
    )
    parser.add_argument("--operations-per-ledger", type=int, default=2000)
    return parser.parse_args(arguments)


def main() -> None:
    """Open the state and serve until told to stop."""
    options = read_arguments(sys.argv[1:])
    try:
        store = Store(options.state_dir, options.passphrase)
    except WrongNetwork as error:
        sys.exit(f"localnet: {error}")
    ledger = Ledger(store, options.passphrase, options.operations_per_ledger)
    uvicorn.run(
        build_app(ledger, options.close_seconds),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
