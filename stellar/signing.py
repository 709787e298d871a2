"""Who signs for the distribution account. The secret lives in the environment, never in rows."""

from __future__ import annotations

from typing import Protocol

from django.conf import settings
from stellar_sdk import Keypair, TransactionEnvelope


class SigningUnavailable(Exception):
    """No signer is configured: set DISTRIBUTION_SECRET where the workers run."""


class Signer(Protocol):
    """Signs for `account`. Called with no lock and no open database transaction: it may be remote.

    `sign` adds its signature to the envelope; raises `SigningUnavailable`.
    """

    account: str

    def sign(self, envelope: TransactionEnvelope) -> None: ...


class SecretKeySigner:
    """Signs for the distribution account with the secret key in DISTRIBUTION_SECRET."""

    def __init__(self) -> None:
        if not settings.DISTRIBUTION_SECRET:
            raise SigningUnavailable(
                "DISTRIBUTION_SECRET is not set, so nothing can be signed for the distribution "
                "account; set it in the environment of the workers"
            )
        self.account: str = settings.DISTRIBUTION_ACCOUNT
        # Not necessarily the account's own key: an operator may have added it as a signer.
        self._keypair = Keypair.from_secret(settings.DISTRIBUTION_SECRET)

    def sign(self, envelope: TransactionEnvelope) -> None:
        envelope.sign(self._keypair)
