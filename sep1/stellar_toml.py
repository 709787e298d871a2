"""The anchor's stellar.toml (SEP-1): who we are, what we receive, and where our services are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import toml
from django.conf import settings

from kernel.api import absolute_url
from kernel.keys import signing_keypair
from sep1.assets import ReceivedAsset, received_assets

SEP1_VERSION = "2.7.0"


@dataclass(frozen=True)
class PublishedFile:
    """The file as served, and its entity tag."""

    body: bytes
    etag: str


@lru_cache(maxsize=1)
def published_file() -> PublishedFile:
    """Built once: nothing in it changes while the process runs."""
    body = write_toml(build_document()).encode()
    return PublishedFile(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def build_document() -> dict[str, Any]:
    """What the file says, from the settings and the anchor's configuration."""
    general = dict(settings.ANCHOR.get("general", {}))
    others = [one for one in general.pop("ACCOUNTS", []) if one != settings.DISTRIBUTION_ACCOUNT]
    document = {
        **general,
        "VERSION": SEP1_VERSION,
        "NETWORK_PASSPHRASE": settings.NETWORK_PASSPHRASE,
        "ACCOUNTS": [settings.DISTRIBUTION_ACCOUNT, *others],
        "SIGNING_KEY": signing_keypair().public_key,
        "WEB_AUTH_ENDPOINT": absolute_url("/auth"),
        "KYC_SERVER": absolute_url("/sep12"),
        "DIRECT_PAYMENT_SERVER": absolute_url("/sep31"),
        "ANCHOR_QUOTE_SERVER": absolute_url("/sep38"),
        "DOCUMENTATION": settings.ANCHOR.get("organization", {}),
        "PRINCIPALS": settings.ANCHOR.get("principals", []),
        "CURRENCIES": [_currency(asset) for asset in received_assets().values()],
        "VALIDATORS": settings.ANCHOR.get("validators", []),
    }
    return {key: value for key, value in document.items() if value}


def write_toml(document: dict[str, Any]) -> str:
    """A document as TOML."""
    encoder = toml.TomlEncoder()
    encoder.dump_funcs[str] = _quoted
    return toml.dumps(document, encoder)


def _quoted(text: str) -> str:
    # toml's own way with control characters is wrong. JSON's strings are TOML's, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _currency(asset: ReceivedAsset) -> dict[str, Any]:
    return {"code": asset.name.code, "issuer": asset.name.issuer, **asset.toml}
