"""What a receiving client gets and what we keep, for payments without a quote. Pure.

With a quote or a destination asset the same figures come from SEP-38's pricing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from kernel.errors import BadRequest
from kernel.languages import Phrase
from kernel.money import EXACT, STELLAR_DECIMALS, format_amount, round_down, round_up
from sep1.assets import ReceivedAsset


@dataclass(frozen=True)
class Amounts:
    """`fee` is in the asset that comes in; `amount_in - fee` is what `amount_out` was made of."""

    amount_out: Decimal
    fee: Decimal
    fee_details: dict[str, object]


def split_one_to_one(amount_in: Decimal, asset: ReceivedAsset) -> Amounts:
    """Split a payment that is delivered 1:1 in the asset's counterpart (SEP-31, GET /info).

    The percentage fee is rounded up to a stroop, for us. What goes out is rounded down to the
    counterpart's minor unit, and what that cuts off is part of the fee: the parts add up to the
    whole, and the fee that we name is the fee that we keep.

    Raises `BadRequest` if nothing would be left to deliver.
    """
    with localcontext(EXACT):
        fee = round_up(asset.fee_fixed + amount_in * asset.fee_percent / 100, STELLAR_DECIMALS)
        amount_out = round_down(amount_in - fee, asset.counterpart.decimals)
    if amount_out <= 0:
        raise BadRequest(
            Phrase(
                "amount is too small: after the fee of {fee} nothing would be left to deliver",
                fee=f"{format_amount(fee)} {asset.name.code}",
            )
        )
    return Amounts(amount_out, amount_in - amount_out, one_fee(amount_in - amount_out, asset))


def one_fee(total: Decimal, asset: ReceivedAsset) -> dict[str, object]:
    """SEP-31's Fee Details with a single part."""
    text = format_amount(total)
    return {
        "total": text,
        "asset": str(asset.name),
        "details": [{"name": "Service fee", "amount": text}],
    }
