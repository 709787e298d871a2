"""Keys and passwords of the demo: made once, kept in STATE_DIR/secrets.env (0600), used again."""

from __future__ import annotations

import base64
import os
import secrets
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from stellar_sdk import Keypair


def _stellar_secret() -> str:
    return Keypair.random().secret


def _sealing_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


# What the anchor itself needs, under the names of its settings.
_ANCHOR: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "JWT_KEYS": lambda: f"demo:{secrets.token_hex(32)}",
    "SEALING_KEYS": _sealing_key,
    "SIGNING_SECRET": _stellar_secret,
    "DISTRIBUTION_SECRET": _stellar_secret,
    "BANK_API_KEY": lambda: secrets.token_urlsafe(24),
}
# Who else is on the stage: the assets' issuers, who makes the market, and who sends.
_STAGE: dict[str, Callable[[], str]] = {
    "ASSET_ISSUER_SECRET": _stellar_secret,
    "SOURCE_ASSET_ISSUER_SECRET": _stellar_secret,
    "MARKET_MAKER_SECRET": _stellar_secret,
    "SENDING_ANCHOR_1_SECRET": _stellar_secret,
    "SENDING_ANCHOR_2_SECRET": _stellar_secret,
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
}


class Keys(dict[str, str]):
    """All secrets by name."""

    def keypair(self, name: str) -> Keypair:
        """The Stellar key behind `<name>_SECRET`."""
        return Keypair.from_secret(self[f"{name}_SECRET"])

    def anchor_settings(self) -> dict[str, str]:
        """The part that the anchor reads from its environment."""
        return {name: self[name] for name in _ANCHOR} | {
            "DISTRIBUTION_ACCOUNT": self.keypair("DISTRIBUTION").public_key,
            "ASSET_ISSUER": self.keypair("ASSET_ISSUER").public_key,
        }


def make_keys() -> Keys:
    """New keys, kept nowhere."""
    return Keys({name: make() for name, make in (_ANCHOR | _STAGE).items()})


def keep_keys(path: Path) -> Keys:
    """The keys kept in `path`; whatever is missing there is made and added."""
    kept = {}
    if path.exists():
        for line in path.read_text().splitlines():
            name, _, value = line.partition("=")
            kept[name] = value
    keys = Keys(make_keys() | kept)
    if keys != kept:
        write_keys(path, keys)
    return keys


def write_keys(path: Path, values: Mapping[str, str]) -> None:
    """Write `NAME=value` lines that only this user can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place, so that a full disk or a kill never leaves half of the keys.
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    partial.rename(path)


def _print_production_settings() -> None:
    """Print, for a shell, made-up settings in the shape that production has (bin/check).

    On testnet: the offer of anchor.toml says "test", which no one may on the public network.
    """
    keys = make_keys()
    values = keys.anchor_settings() | {
        "READ_DOT_ENV": "false",
        "BASE_URL": "https://anchor.example.com",
        "ALLOWED_HOSTS": "anchor.example.com",
        "HOME_DOMAINS": "anchor.example.com",
        "DATABASE_URL": "postgres://landfall:password@127.0.0.1:5432/landfall",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "BANK_URL": "https://bank.example.com",
        "NETWORK_PASSPHRASE": "Test SDF Network ; September 2015",
        "HORIZON_URL": "https://horizon-testnet.stellar.org",
        "DJANGO_SETTINGS_MODULE": "anchor.settings",
    }
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    _print_production_settings()
