"""Amounts of money: read from strangers, rounded on purpose, written for strangers.

Amounts are `Decimal` and always travel beside their asset. A Stellar amount has at most 7
decimals and is at most 922337203685.4775807 (a signed 64-bit count of stroops); a fiat amount
has its currency's ISO 4217 minor unit.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import lru_cache

from iso4217 import Currency

from kernel.errors import BadRequest
from kernel.languages import Phrase

STELLAR_DECIMALS = 7
STROOP = Decimal("0.0000001")
MAX_STELLAR_AMOUNT = Decimal("922337203685.4775807")
# Room for the product of two largest amounts; a quotient is cut far below any minor unit.
EXACT = Context(prec=60)

# Plain digits only: Decimal() itself would take "1e3", "NaN", "+1" and "1_000".
_PLAIN_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?", re.ASCII)


def parse_amount(value: object, *, field: str, decimals: int = STELLAR_DECIMALS) -> Decimal:
    """Read a positive amount that a client sent as a JSON number or string, digit for digit.

    Numbers must have been decoded as `int` or `Decimal` (see `kernel.api.ExactJSONParser`), since
    a float has already lost digits. Never rounds.

    Raises `BadRequest` naming `field` for anything else: zero, signs, exponents, NaN, spaces,
    more than `decimals` decimals, or more than the network can carry.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadRequest(Phrase("{field} must be a number, for example 100.5", field=field))
    text = str(value)
    if isinstance(value, Decimal) and value.is_finite() and _written_plainly(value):
        text = format(value, "f")  # str() writes 0.0000001 as 1E-7
    if not _PLAIN_AMOUNT.fullmatch(text):
        raise BadRequest(
            Phrase(
                "{field} must be a positive amount in plain digits, for example 100.5, with at "
                "most {decimals} decimals",
                field=field,
                decimals=str(decimals),
            )
        )
    amount = Decimal(text)
    if amount == 0:
        raise BadRequest(Phrase("{field} must be greater than 0", field=field))
    if not fits_decimals(amount, decimals):
        raise BadRequest(
            Phrase(
                "{field} must have at most {decimals} decimals", field=field, decimals=str(decimals)
            )
        )
    if amount > MAX_STELLAR_AMOUNT:
        raise BadRequest(
            Phrase(
                "{field} must be at most {amount}",
                field=field,
                amount=format_amount(MAX_STELLAR_AMOUNT),
            )
        )
    return amount


def _written_plainly(value: Decimal) -> bool:
    # The digits of 1e999999999 alone would fill the memory.
    return -30 <= int(value.as_tuple().exponent) <= 0


def fits_decimals(amount: Decimal, decimals: int) -> bool:
    """Whether `amount` can be written with `decimals` decimals without rounding."""
    return amount == amount.quantize(_unit(decimals), context=EXACT)


def round_down(amount: Decimal, decimals: int) -> Decimal:
    """Round towards zero; who gains is for the caller to say."""
    return amount.quantize(_unit(decimals), rounding=ROUND_FLOOR, context=EXACT)


def round_up(amount: Decimal, decimals: int) -> Decimal:
    """Round away from zero; who gains is for the caller to say."""
    return amount.quantize(_unit(decimals), rounding=ROUND_CEILING, context=EXACT)


@lru_cache(maxsize=64)
def _unit(decimals: int) -> Decimal:
    return Decimal(1).scaleb(-decimals)


@lru_cache(maxsize=512)
def fiat_decimals(currency_code: str) -> int:
    """Decimals of an ISO 4217 currency. Raises `ValueError` for an unknown or unitless code."""
    exponent = Currency(currency_code).exponent
    if exponent is None:
        raise ValueError(f"{currency_code} has no minor unit")
    return int(exponent)


def format_amount(amount: Decimal) -> str:
    """Write an amount for a reply: plain digits, no exponent, no needless zeros ("100.5", "7")."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
