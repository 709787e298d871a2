"""What `manage.py check`, and with it every start, says of the stellar.toml to be served."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as real_settings
from django.core.checks import CheckMessage, run_checks
from stellar_sdk import Network

from sep1.assets import received_assets


@pytest.fixture(autouse=True)
def own_configuration(settings: Any) -> Iterator[None]:
    settings.ANCHOR = copy.deepcopy(settings.ANCHOR)
    received_assets.cache_clear()
    yield
    received_assets.cache_clear()


def told() -> list[CheckMessage]:
    return [
        message
        for message in run_checks()
        if message.id in {"landfall.E020", "landfall.W010"} and message.hint
    ]


def test_the_shipped_configuration_is_fine_on_this_machine() -> None:
    assert told() == []


def test_a_mistake_in_the_configuration_stops_the_start_and_says_where_to_mend_it(
    settings: Any,
) -> None:
    settings.ANCHOR["organization"]["ORG_ULR"] = "https://example.com"
    [message] = told()
    assert (message.id, message.msg) == (
        "landfall.E020",
        "stellar.toml, DOCUMENTATION ORG_ULR: There is no such field.",
    )
    assert message.hint == (
        f"Did you mean ORG_URL? It comes from {real_settings.ANCHOR_CONFIG} and the environment."
    )
    assert message.level >= 40


@pytest.mark.parametrize(
    ("setting", "value", "where"),
    [
        ("BASE_URL", "http://anchor.example.com", "KYC_SERVER"),
        ("BASE_URL", "https://anchor.example.com/?x", "KYC_SERVER"),
        ("BASE_URL", "https://someone@example.com", "KYC_SERVER"),
        ("NETWORK_PASSPHRASE", "Test SDF Network ; September  2015", "NETWORK_PASSPHRASE"),
        ("HOME_DOMAINS", ["https://anchor.example.com"], "HOME_DOMAINS"),
    ],
)
def test_a_wrong_setting_stops_the_start_too(
    settings: Any, setting: str, value: Any, where: str
) -> None:
    setattr(settings, setting, value)
    assert [message.id for message in told() if where in message.msg] == ["landfall.E020"]


def test_on_the_public_network_the_shipped_organization_is_not_ours(settings: Any) -> None:
    settings.NETWORK_PASSPHRASE = Network.PUBLIC_NETWORK_PASSPHRASE
    settings.BASE_URL, settings.HOME_DOMAINS = "https://anchor.bank.mx", ["anchor.bank.mx"]
    stops = [message.msg for message in told() if message.id == "landfall.E020"]
    assert len(stops) == 1
    assert "ORG_URL" in stops[0]


def test_a_file_that_is_too_large_stops_the_start(settings: Any) -> None:
    settings.ANCHOR["organization"]["ORG_DESCRIPTION"] = "x" * 100_000
    [message] = told()
    assert "100KB" in message.msg


@pytest.mark.parametrize(
    "configuration",
    [
        {"general": {"ACCOUNTS": 5}},
        {"general": 5},
        {"organization": "us"},
        {"principals": "us"},
        {"validators": [["us"]]},
        {"assets": 5},
    ],
)
def test_what_has_the_wrong_shape_is_told_and_not_tripped_over(
    settings: Any, configuration: dict[str, Any]
) -> None:
    settings.ANCHOR |= configuration
    received_assets.cache_clear()
    assert any(message.id in {"landfall.E020", "landfall.E006"} for message in run_checks())


def test_the_commented_examples_of_the_shipped_configuration_are_right(settings: Any) -> None:
    text = Path(real_settings.ANCHOR_CONFIG).read_text()
    _, _, examples = text.partition('take away the "# " of what applies')
    examples, _, _ = examples.partition("[[assets]]")
    lines = [line[2:] for line in examples.splitlines()[1:]]
    settings.ANCHOR |= tomllib.loads("\n".join(lines))
    assert told() == []
    assert {"principals", "validators", "general"} <= set(settings.ANCHOR)


def test_the_web_server_itself_does_not_start_on_such_a_file(tmp_path: Path) -> None:
    shipped = Path(real_settings.ANCHOR_CONFIG)
    wrong = tmp_path / "anchor.toml"
    wrong.write_text(shipped.read_text().replace("ORG_DBA", "ORG_DAB"))
    web = subprocess.run(
        [sys.executable, "-c", "import anchor.wsgi"],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "ANCHOR_CONFIG": str(wrong)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert web.returncode != 0
    assert "Did you mean ORG_DBA?" in web.stderr
