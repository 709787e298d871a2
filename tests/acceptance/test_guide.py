"""docs/sending-anchors.md as developers follow it: its blocks, pasted in order into one shell."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.demos import PROJECT, make_folder, read_when_complete, start_demo

GUIDE = (PROJECT / "docs" / "sending-anchors.md").read_text()
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FOLLOWED_WITHIN_SECONDS = 180
# Readers see what was refused; here it has to end the shell.
BEFORE = """
set -euo pipefail
curl() { command curl --fail-with-body --max-time 30 "$@"; }
"""
AFTER = """
printf '%s' "$ID" > id
curl -sS "$PAYMENTS/transactions" -H "Authorization: Bearer $TOKEN" > transactions.json
"""


@dataclass
class Followed:
    """What is left once all blocks have run."""

    output: str
    by_curl: dict[str, Any]  # the transactions, as the anchor tells of them
    by_python: dict[str, Any]
    demo: dict[str, Any]


@pytest.fixture(scope="module")
def followed() -> Iterator[Followed]:
    if shutil.which("curl") is None:
        pytest.skip("the guide is followed with curl, which this machine has not")
    with make_folder() as folder:
        # The guide's paths are of the project's folder, and the state is in .local there.
        (folder / "docs").symlink_to(PROJECT / "docs")
        state_dir = folder / ".local"
        with start_demo(state_dir, "--no-stories") as demo:
            told = read_when_complete(state_dir / "demo.json", demo)
            blocks = "\n".join(block for _, block in FENCED.findall(GUIDE))
            shell = subprocess.run(
                ["bash", "-c", BEFORE + blocks + AFTER],
                cwd=folder,
                # Nothing that the tests themselves run with.
                env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=FOLLOWED_WITHIN_SECONDS,
                check=False,
            )
            assert shell.returncode == 0, shell.stdout
            listed = json.loads((folder / "transactions.json").read_text())["transactions"]
            assert len(listed) == 2, shell.stdout
            [by_curl] = (one for one in listed if one["id"] == (folder / "id").read_text())
            [by_python] = (one for one in listed if one is not by_curl)
            yield Followed(shell.stdout, by_curl, by_python, told)


def payment_on_stellar(followed: Followed, transaction: dict[str, Any]) -> dict[str, Any]:
    url = f"{followed.demo['horizon_url']}/transactions/{transaction['stellar_transaction_id']}"
    [payment] = requests.get(f"{url}/payments", timeout=30).json()["_embedded"]["records"]
    return dict(payment)


def test_every_fenced_block_is_one_that_runs() -> None:
    """One in another language would be proved by nobody; what only illustrates is indented."""
    assert {language for language, _ in FENCED.findall(GUIDE)} == {"sh"}
    assert GUIDE.count("```") == 2 * len(FENCED.findall(GUIDE))


def test_each_step_begins_with_the_block_to_paste() -> None:
    headings = re.findall(r"^## (\d)\. .*\n\n```sh$", GUIDE, re.MULTILINE)
    assert headings == ["1", "2", "3", "4", "5", "6", "7"]
    # Without what comes later in a section, as the guide's first lines say.
    assert len(re.findall(r"^### .*\n\n```sh$", GUIDE.split("## 7.")[0], re.MULTILINE)) == 0


@pytest.mark.parametrize("way", ["by_curl", "by_python"])
def test_a_payment_sent_as_the_guide_says_is_paid_out(followed: Followed, way: str) -> None:
    transaction = getattr(followed, way)
    assert transaction["status"] == "completed", followed.output
    told = {name: transaction[name] for name in ("amount_in", "amount_fee", "amount_out")}
    assert told == {"amount_in": "100", "amount_fee": "1.5", "amount_out": "1682.13"}
    assert "100 USDC the fee took 1.5, and 1682.13 MXN were paid out" in GUIDE


def test_whoever_follows_sees_both_payments_end(followed: Followed) -> None:
    assert followed.output.splitlines().count("completed") == 2, followed.output


def test_curl_sends_the_asset_itself_and_python_another_one(followed: Followed) -> None:
    plain = payment_on_stellar(followed, followed.by_curl)
    assert (plain["type"], plain["asset_code"]) == ("payment", "USDC")
    path = payment_on_stellar(followed, followed.by_python)
    assert path["type"] == "path_payment_strict_receive"
    assert (path["source_asset_code"], path["asset_code"]) == ("EURC", "USDC")
    assert float(plain["amount"]) == float(path["amount"]) == 100
