"""Keys of the demo: made once, private, and the same at the next start."""

from __future__ import annotations

import base64
from pathlib import Path

from localnet.keys import keep_keys, make_keys


def test_keys_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    assert keep_keys(path) == keep_keys(path)


def test_two_state_folders_have_no_secret_in_common(tmp_path: Path) -> None:
    first, second = keep_keys(tmp_path / "a"), keep_keys(tmp_path / "b")
    assert not set(first.values()) & set(second.values())


def test_only_the_owner_may_read_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    keep_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_a_newer_version_needs_is_added_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    before = keep_keys(path)
    kept_lines = [line for line in path.read_text().splitlines() if "BANK_API_KEY" not in line]
    path.write_text("\n".join(kept_lines) + "\n")
    after = keep_keys(path)
    assert after["BANK_API_KEY"] != before["BANK_API_KEY"]
    assert {**after, "BANK_API_KEY": ""} == {**before, "BANK_API_KEY": ""}


def test_the_anchor_gets_what_its_settings_read_and_nothing_of_the_other_players() -> None:
    keys = make_keys()
    settings = keys.anchor_settings()
    assert len(base64.b64decode(settings["SEALING_KEYS"])) == 32
    assert settings["DISTRIBUTION_ACCOUNT"] == keys.keypair("DISTRIBUTION").public_key
    assert settings["ASSET_ISSUER"] == keys.keypair("ASSET_ISSUER").public_key
    assert keys["ASSET_ISSUER_SECRET"] not in settings.values()
    assert keys["SENDING_ANCHOR_1_SECRET"] not in settings.values()
