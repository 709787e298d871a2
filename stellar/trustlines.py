"""Trustlines of the distribution account: without one, an asset can't be received."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from stellar_sdk import Account, TransactionBuilder

from kernel.assets import AssetName
from stellar.signing import Signer
from stellar.sources import LedgerSource


def add_trustlines(
    source: LedgerSource, signer: Signer, assets: Iterable[AssetName]
) -> list[AssetName]:
    """Create the signer's missing trustlines for `assets` in one transaction; which were missing.

    Does nothing when called again. Raises `SourceUnavailable` (the outcome may be unknown: call
    again), `NotOnLedger` if the account doesn't exist, `Refused`.
    """
    state = source.fetch_account(signer.account)
    missing = [
        asset
        for asset in assets
        if asset.issuer and asset.issuer != signer.account and asset not in state.balances
    ]
    if not missing:
        return []
    builder = TransactionBuilder(
        Account(signer.account, state.sequence),
        settings.NETWORK_PASSPHRASE,
        base_fee=min(settings.MAX_BASE_FEE, source.fetch_base_fee()),
    )
    for asset in missing:
        builder.append_change_trust_op(asset.to_stellar())
    until = int(state.as_of.closed_at.timestamp()) + settings.OUTGOING_VALID_SECONDS
    envelope = builder.add_time_bounds(0, until).build()
    signer.sign(envelope)
    source.submit(envelope.to_xdr())
    return missing
