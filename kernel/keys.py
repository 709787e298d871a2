"""The anchor's own keys, read once. Never logged, never in the database."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from stellar_sdk import Keypair


@lru_cache(maxsize=4)
def _keypair(secret: str) -> Keypair:
    return Keypair.from_secret(secret)


def signing_keypair() -> Keypair:
    """The key behind stellar.toml's SIGNING_KEY: signs challenges and callbacks."""
    return _keypair(settings.SIGNING_SECRET)
