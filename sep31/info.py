"""GET /info: what we receive, in today's keys and in deprecated ones that clients still read."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from kernel.money import format_amount
from sep1.assets import ReceivedAsset, received_assets
from sep12.tiers import Step, steps_of


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
            "sender": _describe_types("sender", asset),
            "receiver": _describe_types("receiver", asset),
        },
        "fields": {"transaction": asset.fields},
    }
    return {key: value for key, value in described.items() if value is not None}


def _describe_types(role: str, asset: ReceivedAsset) -> dict[str, Any]:
    steps: dict[str, list[Step]] = {}
    for step in steps_of(role, asset):
        steps.setdefault(step.customer_type.name, []).append(step)
    if not steps:
        return {}
    return {
        "types": {name: {"description": _describe_type(of, asset)} for name, of in steps.items()}
    }


def _describe_type(steps: list[Step], asset: ReceivedAsset) -> str:
    """A type's own description, and which payments ask for it where not all do.

    "A person who sends money. For payments of 3000 USDC or more."
    """
    methods = [step.funding_method for step in steps]
    parts = []
    if set(methods) != set(asset.funding_methods):
        parts.append(f"by {' or '.join(methods)}")
    code = asset.name.code
    lowest = _if_same(step.lowest for step in steps)
    below = _if_same(step.below for step in steps)
    if lowest is not None:
        parts.append(f"of {format_amount(lowest)} {code} or more")
    if below is not None:
        words = "of less than" if lowest is None else "but less than"
        parts.append(f"{words} {format_amount(below)} {code}")
    description = steps[0].customer_type.description
    return f"{description} For payments {', '.join(parts)}." if parts else description


def _if_same(amounts: Iterable[Decimal | None]) -> Decimal | None:
    # Where the funding methods differ in it, POST /transactions tells.
    [amount, *others] = set(amounts)
    return None if others else amount


def _number(amount: Decimal | None) -> int | float | None:
    """SEP-31 has these as JSON numbers. Shown only, never reckoned with."""
    if amount is None:
        return None
    return int(amount) if amount == amount.to_integral_value() else float(amount)
