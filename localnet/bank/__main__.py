"""`python -m localnet.bank --port 8002 --state-dir .local [--api-key KEY]`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import uvicorn

from localnet.bank.app import build_app
from localnet.bank.book import Book


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localnet.bank", description=__doc__)
    parser.add_argument("--host", default=os.environ.get("BANK_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("BANK_PORT", "8002")))
    parser.add_argument("--state-dir", default=os.environ.get("STATE_DIR", ".local"))
    parser.add_argument("--api-key", default=os.environ.get("BANK_API_KEY", ""))
    parser.add_argument(
        "--settle-seconds", type=float, default=2.0, help="until an accepted payout is settled"
    )
    parser.add_argument(
        "--hang-seconds", type=float, default=30.0, help="how long the time-out accounts wait"
    )
    options = parser.parse_args()
    book = Book(Path(options.state_dir) / "bank.sqlite3", settle_seconds=options.settle_seconds)
    uvicorn.run(
        build_app(book, api_key=options.api_key, hang_seconds=options.hang_seconds),
        host=options.host,
        port=options.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
