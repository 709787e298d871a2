"""Sheets of exchange rates: what one currency is worth in many others. Pure readers of strangers'
bytes; each raises `ValueError` in plain words for what can't be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kernel.api import parse_json
from kernel.errors import BadRequest

_CURRENCY = re.compile(r"[A-Z0-9]{2,12}", re.ASCII)
_PLAIN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,40})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_EXACT = Context(prec=60)
# What `sep38.models.Rate` holds.
_RATE_UNIT = Decimal("0.000000000001")
_MAX_RATE = Decimal(10) ** 12

_ECB = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
# The ECB's rates are those of 14:15 in Frankfurt, which is 12:15 UTC in summer. So no rate is ever
# taken for younger than it is.
_ECB_TIME = time(12, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Sheet:
    """`per_base`: units of each currency for one of `base`, as it was at `as_of`."""

    base: str
    as_of: datetime
    per_base: Mapping[str, Decimal]

    def rate(self, sell: str, buy: str) -> Decimal | None:
        """Units of `buy` for one of `sell`, crossed through the base; None if it can't be told.

        Rounded down to 12 decimals, for us: the client gets less than 10^-12 too little a unit.
        """
        ends = [
            Decimal(1) if code == self.base else self.per_base.get(code) for code in (sell, buy)
        ]
        per_sell, per_buy = ends
        if per_sell is None or per_buy is None:
            return None
        exact = _EXACT.divide(per_buy, per_sell)
        rate = exact.quantize(_RATE_UNIT, rounding=ROUND_DOWN, context=_EXACT)
        return rate if 0 < rate < _MAX_RATE else None


def read_ecb_xml(raw: bytes) -> Sheet:
    """Read the format of the ECB's daily reference rates ("eurofxref"): units for one euro. Of a
    file with several days it takes the newest.
    """
    try:
        root = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise ValueError("this is no XML that we read") from error
    days = {
        day: cube
        for cube in root.iter(_ECB)
        if (day := cube.get("time")) is not None and _DATE.fullmatch(day)
    }
    if not days:
        raise ValueError("it has no day of rates")
    newest = max(days)
    per_euro = _read_rates(
        (row.get("currency"), row.get("rate")) for row in days[newest].iter(_ECB)
    )
    return Sheet("EUR", datetime.combine(datetime.fromisoformat(newest), _ECB_TIME), per_euro)


def read_json_sheet(raw: bytes) -> Sheet:
    """Read `{"base": "USD", "timestamp": 1700000000, "rates": {"MXN": 17.05}}`, in which common
    providers answer: seconds since 1970, and units of each currency for one of `base`.
    """
    try:
        body = parse_json(raw)
    except BadRequest as error:
        raise ValueError("this is no JSON that we read") from error
    if not isinstance(body, dict) or not isinstance(body.get("rates"), dict):
        raise ValueError("it has no rates")
    base, seconds = body.get("base"), body.get("timestamp")
    if not isinstance(base, str) or not _CURRENCY.fullmatch(base):
        raise ValueError("it has no base")
    # Up to the year 9999; a bool is an int.
    if type(seconds) is not int or not 0 < seconds < 253402300800:
        raise ValueError("it has no timestamp")
    return Sheet(base, datetime.fromtimestamp(seconds, UTC), _read_rates(body["rates"].items()))


def _read_rates(items: Any) -> dict[str, Decimal]:
    """What can be read; one strange entry takes nothing from the others."""
    found = {}
    for code, value in items:
        rate = _read_rate(value)
        if isinstance(code, str) and _CURRENCY.fullmatch(code) and rate is not None:
            found[code] = rate
    return found


def _read_rate(value: object) -> Decimal | None:
    if isinstance(value, Decimal) and -30 <= int(value.as_tuple().exponent) <= 0:
        value = format(value, "f")  # 0.0000001 is 1E-7 to str()
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    if not _PLAIN.fullmatch(text):
        return None
    rate = Decimal(text)
    return rate if rate > 0 else None
