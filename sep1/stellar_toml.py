"""The anchor's stellar.toml (SEP-1): who we are, what we receive, and where our services are."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import toml
from django.conf import settings

from kernel.api import absolute_url
from kernel.keys import signing_keypair
from sep1.assets import ReceivedAsset, received_assets

SEP1_VERSION = "2.7.0"


@lru_cache(maxsize=1)
def stellar_toml() -> bytes:
    """The file as served. Built once: nothing in it changes while the process runs."""
    return build_stellar_toml().encode()


def build_stellar_toml() -> str:
    """The file's text, from the settings and the anchor's configuration."""
    document: dict[str, Any] = {
        "VERSION": SEP1_VERSION,
        "NETWORK_PASSPHRASE": settings.NETWORK_PASSPHRASE,
        "ACCOUNTS": [settings.DISTRIBUTION_ACCOUNT],
        "SIGNING_KEY": signing_keypair().public_key,
        "WEB_AUTH_ENDPOINT": absolute_url("/auth"),
        "KYC_SERVER": absolute_url("/sep12"),
        "DIRECT_PAYMENT_SERVER": absolute_url("/sep31"),
        "ANCHOR_QUOTE_SERVER": absolute_url("/sep38"),
        "DOCUMENTATION": settings.ANCHOR.get("organization", {}),
        "PRINCIPALS": settings.ANCHOR.get("principals", []),
        "CURRENCIES": [_currency(asset) for asset in received_assets().values()],
    }
    encoder = toml.TomlEncoder()
    encoder.dump_funcs[str] = _quoted
    return toml.dumps({key: value for key, value in document.items() if value}, encoder)


def _quoted(text: str) -> str:
    # toml's own way with control characters is wrong. JSON's strings are TOML's, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _currency(asset: ReceivedAsset) -> dict[str, Any]:
    issuer = {"issuer": asset.name.issuer} if asset.name.issuer else {}
    return {"code": asset.name.code, **issuer, **asset.toml}
