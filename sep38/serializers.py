"""The shape of SEP-38's requests and replies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from kernel.api import require_text
from kernel.assets import AssetName, parse_asset_name
from kernel.errors import BadRequest
from kernel.money import format_amount, parse_amount
from sep38.models import Quote
from sep38.pairs import Pair, all_pairs, find_pair, require_listed
from sep38.pricing import Price

# Without an offset it is UTC, as in the SEP's own examples.
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
# ISO 3166-1 alpha-2, or 3166-2.
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True)
class PriceRequest:
    """GET /price and POST /quote: exactly one of the amounts is set."""

    pair: Pair
    sell_amount: Decimal | None
    buy_amount: Decimal | None
    buy_delivery_method: str
    country_code: str
    context: str


@dataclass(frozen=True)
class PricesRequest:
    """GET /prices: all pairs that match what the client sells (or else buys)."""

    pairs: list[Pair]
    sell_amount: Decimal | None
    buy_amount: Decimal | None
    buy_delivery_method: str
    country_code: str

    @property
    def lists_buy_assets(self) -> bool:
        return self.sell_amount is not None

    def of_pair(self, pair: Pair) -> PriceRequest:
        return PriceRequest(
            pair=pair,
            sell_amount=self.sell_amount,
            buy_amount=self.buy_amount,
            buy_delivery_method=self.buy_delivery_method,
            country_code=self.country_code,
            context="sep31",
        )


def read_prices_request(data: dict[str, Any]) -> PricesRequest:
    """Read GET /prices. Raises `BadRequest`.

    Clients that name both assets mean the sell asset: SEP-38 had only that before version 2.3.
    """
    sells = bool(data.get("sell_asset"))
    side = "sell" if sells else "buy"
    if not sells and not data.get("buy_asset"):
        raise BadRequest("sell_asset or buy_asset is required")
    asset = _read_asset(data, f"{side}_asset")
    require_listed(asset, field=f"{side}_asset")
    other = "buy_amount" if sells else "sell_amount"
    if data.get(other):
        raise BadRequest(f"{other} is only for requests with {other[:-7]}_asset")
    if not data.get(f"{side}_amount"):
        raise BadRequest(f"{side}_amount is required with {side}_asset")
    amount = parse_amount(data[f"{side}_amount"], field=f"{side}_amount", decimals=asset.decimals)
    pairs = [pair for pair in all_pairs() if asset == (pair.sell if sells else pair.buy)]
    method, country = _read_method(data, all_pairs()), _read_country(data, all_pairs())
    return PricesRequest(
        pairs=[
            pair
            for pair in pairs
            if (not method or method in pair.method_names)
            and (not country or pair.serves_country(country))
        ],
        sell_amount=amount if sells else None,
        buy_amount=None if sells else amount,
        buy_delivery_method=method,
        country_code=country,
    )


def read_price_request(data: dict[str, Any]) -> PriceRequest:
    """Read GET /price, and what POST /quote shares with it. Raises `BadRequest`."""
    pair = find_pair(_read_asset(data, "sell_asset"), _read_asset(data, "buy_asset"))
    given = [name for name in ("sell_amount", "buy_amount") if data.get(name) not in (None, "")]
    if len(given) != 1:
        raise BadRequest("Exactly one of sell_amount and buy_amount is required")
    decimals = (pair.sell if given == ["sell_amount"] else pair.buy).decimals
    amount = parse_amount(data[given[0]], field=given[0], decimals=decimals)
    if require_text(data, "context", max_length=10) != "sep31":
        raise BadRequest("context must be sep31: this anchor receives payments by SEP-31 only")
    return PriceRequest(
        pair=pair,
        sell_amount=amount if given == ["sell_amount"] else None,
        buy_amount=amount if given == ["buy_amount"] else None,
        buy_delivery_method=_read_method(data, (pair,)),
        country_code=_read_country(data, (pair,)),
        context="sep31",
    )


def read_quote_request(data: dict[str, Any]) -> tuple[PriceRequest, datetime | None]:
    """Read POST /quote: the request, and its `expire_after`. Raises `BadRequest`."""
    request = read_price_request(data)
    if not request.buy_delivery_method and len(request.pair.method_names) > 1:
        raise BadRequest(f"buy_delivery_method is required: {_one_of(request.pair.method_names)}")
    return request, _read_moment(data, "expire_after")


def write_prices(request: PricesRequest, priced: Iterable[tuple[Pair, Price]]) -> dict[str, object]:
    sells = request.lists_buy_assets
    offers = [
        {
            "asset": str(asset),
            "price": format_amount(price.price),
            "decimals": asset.decimals,
        }
        for pair, price in priced
        for asset in (pair.buy if sells else pair.sell,)
    ]
    return {"buy_assets" if sells else "sell_assets": offers}


def write_price(price: Price) -> dict[str, object]:
    return {
        "total_price": format_amount(price.total_price),
        "price": format_amount(price.price),
        "sell_amount": format_amount(price.sell_amount),
        "buy_amount": format_amount(price.buy_amount),
        "fee": price.fee.as_json(),
    }


def write_quote(quote: Quote) -> dict[str, object]:
    """A quote as POST /quote and GET /quote/:id both show it."""
    body: dict[str, object] = {
        "id": str(quote.id),
        "expires_at": quote.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "total_price": quote.total_price,
        "price": quote.price,
        "sell_asset": quote.sell_asset,
        "sell_amount": format_amount(quote.sell_amount),
        "buy_asset": quote.buy_asset,
        "buy_amount": format_amount(quote.buy_amount),
        "fee": quote.fee,
    }
    if quote.buy_delivery_method:
        body["buy_delivery_method"] = quote.buy_delivery_method
    return body


def _read_asset(data: dict[str, Any], field: str) -> AssetName:
    text = require_text(data, field, max_length=80)
    try:
        return parse_asset_name(text or "")
    except ValueError as error:
        raise BadRequest(
            f"{field} must name an asset like stellar:USDC:G... or iso4217:USD"
        ) from error


def _read_method(data: dict[str, Any], pairs: tuple[Pair, ...]) -> str:
    """`buy_delivery_method`, or "". What clients sell us is on Stellar and takes no method."""
    if require_text(data, "sell_delivery_method", required=False) is not None:
        raise BadRequest("sell_delivery_method must be left out: payments reach us on Stellar")
    method = require_text(data, "buy_delivery_method", required=False) or ""
    names = tuple(dict.fromkeys(name for pair in pairs for name in pair.method_names))
    if method and method not in names:
        raise BadRequest(f"buy_delivery_method must be {_one_of(names)}")
    return method


def _read_country(data: dict[str, Any], pairs: tuple[Pair, ...]) -> str:
    code = require_text(data, "country_code", max_length=6, required=False) or ""
    if code and not (_COUNTRY.fullmatch(code) and any(pair.serves_country(code) for pair in pairs)):
        served = tuple(dict.fromkeys(code for pair in pairs for code in pair.country_codes))
        raise BadRequest(f"country_code must be {_one_of(served)}")
    return code


def _one_of(names: tuple[str, ...]) -> str:
    return f"one of {', '.join(names)}" if names else "left out"


def _read_moment(data: dict[str, Any], field: str) -> datetime | None:
    """An ISO 8601 moment, rounded up to a whole second: `expire_after` asks for that or later."""
    text = require_text(data, field, max_length=40, required=False)
    if text is None:
        return None
    match = _MOMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(match[1] + (match[3] or "Z")).astimezone(UTC)
        return moment + timedelta(seconds=1 if int(match[2] or 0) else 0)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"{field} must be a UTC ISO 8601 date and time, for example 2030-01-31T12:00:00Z"
        ) from error
