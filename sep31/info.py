"""GET /info: what we receive, in today's keys and in deprecated ones that clients still read."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.conf import settings

from sep1.assets import ReceivedAsset, received_assets


@lru_cache(maxsize=1)
def describe_assets() -> dict[str, Any]:
    """SEP-31's asset objects by asset code, made once per process."""
    return {asset.name.code: _describe_asset(asset) for asset in received_assets().values()}


def _describe_asset(asset: ReceivedAsset) -> dict[str, Any]:
    described = {
        "enabled": True,  # not in SEP-31, but clients of the Anchor Platform read it
        "quotes_supported": asset.quotes_supported,
        "quotes_required": asset.quotes_required,
        "fee_fixed": _number(asset.fee_fixed),
        "fee_percent": _number(asset.fee_percent),
        "min_amount": _number(asset.min_amount),
        "max_amount": _number(asset.max_amount),
        "funding_methods": list(asset.funding_methods),
        "sep12": {
            "sender": _describe_types(asset.sender_types),
            "receiver": _describe_types(asset.receiver_types),
        },
        "fields": {"transaction": asset.fields},
    }
    return {key: value for key, value in described.items() if value is not None}


def _describe_types(types: tuple[str, ...]) -> dict[str, Any]:
    configured = settings.ANCHOR["customer_types"]
    if not types:
        return {}
    return {"types": {name: {"description": configured[name]["description"]} for name in types}}


def _number(amount: Decimal | None) -> int | float | None:
    """SEP-31 has these as JSON numbers. Shown only, never reckoned with."""
    if amount is None:
        return None
    return int(amount) if amount == amount.to_integral_value() else float(amount)
