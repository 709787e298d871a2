"""Which assets we exchange, on which terms: the `[[pairs]]` of the anchor's configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from django.conf import settings

from kernel.assets import AssetName, parse_asset_name
from kernel.errors import BadRequest
from kernel.money import fits_decimals

T = TypeVar("T")


@dataclass(frozen=True)
class DeliveryMethod:
    """A way to pay the receiving client, named like SEP-31's funding_methods."""

    name: str
    description: str


@dataclass(frozen=True)
class Pair:
    """What a client may sell us for what, and our terms. Fees are in units of the sell asset."""

    sell: AssetName
    buy: AssetName
    spread_percent: Decimal
    fee_fixed: Decimal
    fee_percent: Decimal
    country_codes: tuple[str, ...]
    buy_delivery_methods: tuple[DeliveryMethod, ...]
    quote_lifetime: timedelta
    max_quote_lifetime: timedelta
    rate_max_age: timedelta

    def __post_init__(self) -> None:
        if not self.sell.is_stellar:
            raise ValueError(f"pair {self}: we receive on Stellar, so sell must be stellar:...")
        for name in ("spread_percent", "fee_percent"):
            if not 0 <= getattr(self, name) < 100:
                raise ValueError(f"pair {self}: {name} must be from 0 to below 100")
        if self.fee_fixed < 0 or not fits_decimals(self.fee_fixed, self.sell.decimals):
            raise ValueError(f"pair {self}: fee_fixed must be an amount of the sell asset")
        if not timedelta(0) < self.quote_lifetime <= self.max_quote_lifetime:
            raise ValueError(f"pair {self}: quote_seconds must be from 1 to max_quote_seconds")

    def __str__(self) -> str:
        return f"{self.sell} -> {self.buy}"

    @property
    def method_names(self) -> tuple[str, ...]:
        return tuple(method.name for method in self.buy_delivery_methods)

    def serves_country(self, code: str) -> bool:
        """`code` is ISO 3166-1 alpha-2 or 3166-2; a subdivision is served with its country."""
        return code in self.country_codes or code.partition("-")[0] in self.country_codes


def _read_pair(entry: dict[str, Any]) -> Pair:
    def seconds(key: str) -> timedelta:
        return timedelta(seconds=int(entry[key]))

    return Pair(
        sell=parse_asset_name(entry["sell"]),
        buy=parse_asset_name(entry["buy"]),
        spread_percent=Decimal(str(entry.get("spread_percent", "0"))),
        fee_fixed=Decimal(str(entry.get("fee_fixed", "0"))),
        fee_percent=Decimal(str(entry.get("fee_percent", "0"))),
        country_codes=tuple(entry.get("country_codes", ())),
        buy_delivery_methods=tuple(
            DeliveryMethod(method["name"], method["description"])
            for method in entry.get("buy_delivery_methods", ())
        ),
        quote_lifetime=seconds("quote_seconds"),
        max_quote_lifetime=seconds("max_quote_seconds"),
        rate_max_age=seconds("rate_max_age_seconds"),
    )


@lru_cache(maxsize=1)
def all_pairs() -> tuple[Pair, ...]:
    """All pairs, in the order of the configuration. Raises `ValueError` for one that can't be."""
    pairs = tuple(_read_pair(entry) for entry in settings.ANCHOR.get("pairs", []))
    if len({(pair.sell, pair.buy) for pair in pairs}) != len(pairs):
        raise ValueError("a pair stands twice in the configuration")
    return pairs


def find_pair(sell: AssetName, buy: AssetName) -> Pair:
    """The pair of two assets. Raises `BadRequest`."""
    for pair in all_pairs():
        if (pair.sell, pair.buy) == (sell, buy):
            return pair
    raise BadRequest(
        f"There is no exchange of {sell} for {buy}. See GET /prices for supported assets."
    )


def require_listed(asset: AssetName, *, field: str) -> None:
    """Raises `BadRequest` for an asset that GET /info does not list."""
    if not any(asset in (pair.sell, pair.buy) for pair in all_pairs()):
        raise BadRequest(f"{field} is not supported. See GET /info for supported assets.")


def describe_assets() -> list[dict[str, object]]:
    """The `assets` of GET /info."""
    described: list[dict[str, object]] = [
        {"asset": name} for name in _unique(str(pair.sell) for pair in all_pairs())
    ]
    for buy in _unique(pair.buy for pair in all_pairs()):
        pairs = [pair for pair in all_pairs() if pair.buy == buy]
        entry: dict[str, object] = {"asset": str(buy)}
        countries = _unique(code for pair in pairs for code in pair.country_codes)
        methods = _unique(method for pair in pairs for method in pair.buy_delivery_methods)
        if countries:
            entry["country_codes"] = countries
        if methods:
            entry["buy_delivery_methods"] = [
                {"name": method.name, "description": method.description} for method in methods
            ]
        described.append(entry)
    return described


def _unique(items: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(items))
