"""A local network in its own process, and small hands to use it with the unmodified SDK."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from stellar_sdk import Asset, Keypair, MuxedAccount, Server, TransactionBuilder
from stellar_sdk.operation import Operation

PASSPHRASE = "Tests of the local network ; 2026"
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Network:
    """One server process over one state folder."""

    folder: Path
    close_seconds: float = 0.05
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    # One client for all: making a client costs more than most requests here.
    http: httpx.Client = field(default_factory=lambda: httpx.Client(verify=False, timeout=30))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def server(self) -> Server:
        return Server(self.url)

    def start(self) -> "Network":
        command = [sys.executable, "-m", "localnet.network", "--port", str(self.port)]
        command += ["--state-dir", str(self.folder), "--passphrase", PASSPHRASE]
        command += ["--close-seconds", str(self.close_seconds)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, cwd=self.folder, env=env)
        for _ in range(200):
            try:
                if self.http.get(self.url + "/health").status_code == 200:
                    return self
            except httpx.TransportError:
                assert self.process.poll() is None, "the network did not start"
                time.sleep(0.05)
        raise AssertionError("the network did not answer")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.http.get(self.url + path, params=params)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def records(self, path: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(path, **params)["_embedded"]["records"]
        return found

    def account(self) -> Keypair:
        """Return a new account with 10,000 lumens."""
        keypair = Keypair.random()
        answer = self.http.get(self.url + "/friendbot", params={"addr": keypair.public_key})
        assert answer.status_code == 200, answer.text
        return keypair

    def build(
        self,
        source: Keypair,
        *operations: Operation,
        muxed: MuxedAccount | None = None,
        **options: Any,
    ) -> TransactionBuilder:
        loaded = self.server.load_account(muxed or source.public_key)
        builder = TransactionBuilder(loaded, PASSPHRASE, options.get("base_fee", 100))
        for operation in operations:
            builder.append_operation(operation)
        return builder.set_timeout(options.get("timeout", 60))

    def send(
        self, source: Keypair, *operations: Operation, signers: tuple[Keypair, ...] = ()
    ) -> dict[str, Any]:
        """Submit operations of one account, signed by it and by ``signers``."""
        built = self.build(source, *operations).build()
        for signer in (source, *signers):
            built.sign(signer)
        return self.server.submit_transaction(built)

    def balance(self, account: str, asset: Asset) -> str | None:
        for line in self.get(f"/accounts/{account}")["balances"]:
            if asset.is_native() and line["asset_type"] == "native":
                return str(line["balance"])
            if (line.get("asset_code"), line.get("asset_issuer")) == (asset.code, asset.issuer):
                return str(line["balance"])
        return None


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    started = Network(tmp_path_factory.mktemp("network")).start()
    yield started
    started.kill()
