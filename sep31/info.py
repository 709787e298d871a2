"""GET /info: what we receive, in today's keys and in deprecated ones that clients still read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache, reduce
from typing import Any

from rest_framework.renderers import JSONRenderer

from kernel.languages import ENGLISH, LANGUAGES, Phrase, join_phrases, translate
from kernel.money import format_amount
from sep1.assets import ReceivedAsset, received_assets
from sep12.tiers import Step, steps_of

FOR_PAYMENTS = "{description} For payments {conditions}."
BY = "by {methods}"
EITHER = "{methods} or {method}"
FROM = "of {amount} or more"
BELOW = "of less than {amount}"
FROM_TO = "of {lowest} or more, but less than {amount}"


@lru_cache(maxsize=len(LANGUAGES))
def write_info(language: str) -> bytes:
    """The body of GET /info in JSON, made once per process and language."""
    body: bytes = JSONRenderer().render({"receive": describe_assets(language)})
    return body


def describe_assets(language: str = ENGLISH) -> dict[str, Any]:
    """SEP-31's asset objects by asset code."""
    return {
        asset.name.code: _describe_asset(asset, language) for asset in received_assets().values()
    }


def _describe_asset(asset: ReceivedAsset, language: str) -> dict[str, Any]:
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
            "sender": _describe_types("sender", asset, language),
            "receiver": _describe_types("receiver", asset, language),
        },
        "fields": {"transaction": describe_fields(asset.fields, language)},
    }
    return {key: value for key, value in described.items() if value is not None}


def describe_fields(fields: Mapping[str, Any], language: str) -> dict[str, Any]:
    """SEP-31's deprecated per-transaction fields, in one language."""
    return {
        name: {**field, "description": translate(field["description"], language)}
        for name, field in fields.items()
    }


def _describe_types(role: str, asset: ReceivedAsset, language: str) -> dict[str, Any]:
    steps: dict[str, list[Step]] = {}
    for step in steps_of(role, asset):
        steps.setdefault(step.customer_type.name, []).append(step)
    if not steps:
        return {}
    return {
        "types": {
            name: {"description": translate(_describe_type(of, asset), language)}
            for name, of in steps.items()
        }
    }


def _describe_type(steps: list[Step], asset: ReceivedAsset) -> str:
    """A type's own description, and which payments ask for it where not all do.

    "A person who sends money. For payments of 3000 USDC or more."
    """
    methods = [step.funding_method for step in steps]
    conditions = []
    if set(methods) != set(asset.funding_methods):
        conditions.append(Phrase(BY, methods=reduce(_either, methods)))
    lowest = _write_amount(_if_same(step.lowest for step in steps), asset)
    below = _write_amount(_if_same(step.below for step in steps), asset)
    if lowest and below:
        conditions.append(Phrase(FROM_TO, lowest=lowest, amount=below))
    elif lowest:
        conditions.append(Phrase(FROM, amount=lowest))
    elif below:
        conditions.append(Phrase(BELOW, amount=below))
    description = steps[0].customer_type.description
    if not conditions:
        return description
    return Phrase(FOR_PAYMENTS, description=description, conditions=join_phrases(conditions, ", "))


def _either(methods: str, method: str) -> Phrase:
    return Phrase(EITHER, methods=methods, method=method)


def _write_amount(amount: Decimal | None, asset: ReceivedAsset) -> str:
    return "" if amount is None else f"{format_amount(amount)} {asset.name.code}"


def _if_same(amounts: Iterable[Decimal | None]) -> Decimal | None:
    # Where the funding methods differ in it, POST /transactions tells.
    [amount, *others] = set(amounts)
    return None if others else amount


def _number(amount: Decimal | None) -> int | float | None:
    """SEP-31 has these as JSON numbers. Shown only, never reckoned with."""
    if amount is None:
        return None
    return int(amount) if amount == amount.to_integral_value() else float(amount)
