"""The Stellar assets that we receive, from the `[[assets]]` of the anchor's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.conf import settings

from kernel.assets import AssetName, parse_asset_name
from kernel.languages import read_words

# Keys of an [[assets]] entry that stellar.toml repeats, and SEP-1's [[CURRENCIES]] name of each.
# SEP-1 has three more: `contract` and `code_template` are not for what we receive, which is
# classic assets, each named by code and issuer; `toml` would hide those in another file.
CURRENCY_FIELDS = {
    "description": "desc",
    **{
        name: name
        for name in (
            *("name", "status", "display_decimals", "conditions", "image"),
            *("fixed_number", "max_number", "is_unlimited"),
            *("is_asset_anchored", "anchor_asset_type", "anchor_asset"),
            *("attestation_of_reserve", "redemption_instructions", "collateral_addresses"),
            *("collateral_address_messages", "collateral_address_signatures"),
            *("regulated", "approval_server", "approval_criteria"),
        )
    },
}

# All that an [[assets]] entry may say.
ASSET_KEYS = frozenset(CURRENCY_FIELDS) | {
    *("code", "issuer", "counterpart", "funding_methods", "min_amount", "max_amount"),
    *("fee_fixed", "fee_percent", "quotes", "memo_type", "payment_deadline_seconds"),
    *("policy", "fields"),
}


@dataclass(frozen=True)
class PaymentPolicy:
    """What happens to a payment that is not as agreed: "refund" it, or leave it in the "inbox"."""

    underpaid: str = "refund"
    overpaid: str = "refund"
    late: str = "refund"
    not_as_agreed: str = "refund"  # wrong asset, paid twice, or not payable (any more)
    undeliverable: str = "refund"
    refund_fee: Decimal = Decimal(0)


@dataclass(frozen=True)
class ReceivedAsset:
    """An asset that sending anchors may pay us in. Amounts are in units of the asset."""

    name: AssetName
    counterpart: AssetName
    funding_methods: tuple[str, ...]
    min_amount: Decimal | None
    max_amount: Decimal | None
    fee_fixed: Decimal
    fee_percent: Decimal
    quotes_supported: bool
    quotes_required: bool
    memo_type: str
    payment_deadline_seconds: int
    policy: PaymentPolicy
    toml: dict[str, Any]  # what stellar.toml says besides code and issuer
    fields: dict[str, Any]  # SEP-31's deprecated per-transaction fields


def _optional_amount(entry: dict[str, Any], key: str) -> Decimal | None:
    return Decimal(str(entry[key])) if key in entry else None


def _read_fields(entries: dict[str, Any]) -> dict[str, Any]:
    """Raises `ValueError` for a description that can't be read."""
    fields = {}
    for name, about in entries.items():
        try:
            fields[name] = {**about, "description": read_words(about.get("description", ""))}
        except ValueError as error:
            raise ValueError(f"fields.{name}: description {error}") from error
    return fields


def _read_asset(entry: dict[str, Any]) -> ReceivedAsset:
    policy = dict(entry.get("policy", {}))
    if "refund_fee" in policy:
        policy["refund_fee"] = Decimal(str(policy["refund_fee"]))
    quotes = entry.get("quotes", "none")
    return ReceivedAsset(
        name=parse_asset_name(f"stellar:{entry['code']}:{entry['issuer']}"),
        counterpart=parse_asset_name(entry["counterpart"]),
        funding_methods=tuple(entry["funding_methods"]),
        min_amount=_optional_amount(entry, "min_amount"),
        max_amount=_optional_amount(entry, "max_amount"),
        fee_fixed=Decimal(str(entry.get("fee_fixed", "0"))),
        fee_percent=Decimal(str(entry.get("fee_percent", "0"))),
        quotes_supported=quotes in ("supported", "required"),
        quotes_required=quotes == "required",
        memo_type=entry.get("memo_type", "id"),
        payment_deadline_seconds=int(entry.get("payment_deadline_seconds", 86400)),
        policy=PaymentPolicy(**policy),
        toml={field: entry[key] for key, field in CURRENCY_FIELDS.items() if key in entry},
        fields=_read_fields(entry.get("fields", {})),
    )


@lru_cache(maxsize=1)
def received_assets() -> dict[AssetName, ReceivedAsset]:
    """All assets that we receive, by name (code and issuer)."""
    assets = [_read_asset(entry) for entry in settings.ANCHOR.get("assets", [])]
    return {asset.name: asset for asset in assets}


def find_received_asset(code: str, issuer: str | None) -> ReceivedAsset | None:
    """The asset that a client means by `asset_code` and, perhaps, `asset_issuer`.

    Without an issuer the code must be ours alone (SEP-31, POST /transactions).
    """
    matches = [
        asset
        for asset in received_assets().values()
        if asset.name.code == code and issuer in (None, asset.name.issuer)
    ]
    return matches[0] if len(matches) == 1 else None
