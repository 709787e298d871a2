"""Which assets we exchange, on which terms: the `[[pairs]]` of the anchor's configuration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from django.conf import settings
from rest_framework.renderers import JSONRenderer

from kernel.assets import AssetName, parse_asset_name
from kernel.errors import BadRequest
from kernel.languages import ENGLISH, Phrase, read_words, translate
from kernel.money import format_amount
from sep1.assets import received_assets
from sep10.models import SendingAnchor
from sep38.fees import FeeLine, Schedule, Tier

T = TypeVar("T")

# The rates of a pair that names no source are those that operators enter.
OPERATORS = "operators"

_CURRENCY = re.compile(r"[A-Z0-9]{2,12}", re.ASCII)
_KEYS = frozenset(
    {
        *("sell", "buy", "country_codes", "buy_delivery_methods", "spread_percent"),
        *("fee_fixed", "fee_percent", "fees", "fee_asset"),
        *("quote_seconds", "max_quote_seconds"),
        *("rate_source", "rate_max_age_seconds", "rate_rests_on_weekends"),
        *("sell_currency", "buy_currency"),
    }
)
_FEE_KEYS = frozenset({"name", "description", "fixed", "percent", "methods", "tiers"})
_TIER_KEYS = frozenset({"from_amount", "fixed", "percent"})


@dataclass(frozen=True)
class DeliveryMethod:
    """A way to pay the receiving client, named like SEP-31's funding_methods."""

    name: str
    description: str


@dataclass(frozen=True)
class Pair:
    """What a client may sell us for what, and our terms.

    `fees` are in units of `fee_asset`, one of the two. A rate is too old after `rate_max_age`, in
    which Saturdays and Sundays (UTC) don't count if it rests on weekends. `sell_currency` and
    `buy_currency` are what the source of rates calls the two; "" if it can't know.
    """

    sell: AssetName
    buy: AssetName
    spread_percent: Decimal
    fee_asset: AssetName
    fees: tuple[FeeLine, ...]
    country_codes: tuple[str, ...]
    buy_delivery_methods: tuple[DeliveryMethod, ...]
    quote_lifetime: timedelta
    max_quote_lifetime: timedelta
    rate_max_age: timedelta
    rate_rests_on_weekends: bool = False
    rate_source: str = OPERATORS
    sell_currency: str = ""
    buy_currency: str = ""

    def __post_init__(self) -> None:
        if not self.sell.is_stellar:
            raise ValueError(f"pair {self}: we receive on Stellar, so sell must be stellar:...")
        if not 0 <= self.spread_percent < 100:
            raise ValueError(f"pair {self}: spread_percent must be from 0 to below 100")
        if not timedelta(0) < self.quote_lifetime <= self.max_quote_lifetime:
            raise ValueError(f"pair {self}: quote_seconds must be from 1 to max_quote_seconds")
        unknown = {name for line in self.fees for name in line.methods} - set(self.method_names)
        if unknown:
            raise ValueError(
                f"pair {self}: fees for {sorted(unknown)}, which it doesn't deliver by"
            )
        for code in (self.sell_currency, self.buy_currency):
            if code and not _CURRENCY.fullmatch(code):
                raise ValueError(f"pair {self}: {code!r} is no currency like USD")
        try:
            assert self._schedules
        except ValueError as error:
            raise ValueError(f"pair {self}: {error}") from error

    def __str__(self) -> str:
        return f"{self.sell} -> {self.buy}"

    @property
    def names(self) -> tuple[str, str]:
        """(sell, buy) as the tables have them."""
        return str(self.sell), str(self.buy)

    @property
    def method_names(self) -> tuple[str, ...]:
        return tuple(method.name for method in self.buy_delivery_methods)

    def schedule_for(self, method: str) -> Schedule:
        """The fees of a delivery method; "" is the pair's first, as it is for SEP-31."""
        return self._schedules[method]

    @cached_property
    def _schedules(self) -> dict[str, Schedule]:
        methods = self.method_names or ("",)
        made = {
            method: Schedule(
                self.fee_asset,
                (line for line in self.fees if not line.methods or method in line.methods),
            )
            for method in methods
        }
        return {"": made[methods[0]], **made}

    def serves_country(self, code: str) -> bool:
        """`code` is ISO 3166-1 alpha-2 or 3166-2; a subdivision is served with its country."""
        return code in self.country_codes or code.partition("-")[0] in self.country_codes


def _read_pair(entry: dict[str, Any]) -> Pair:
    def seconds(key: str) -> timedelta:
        return timedelta(seconds=int(entry[key]))

    _refuse_unknown(entry, _KEYS, "a pair")
    sell, buy = parse_asset_name(entry["sell"]), parse_asset_name(entry["buy"])
    side = entry.get("fee_asset", "sell")
    if side not in ("sell", "buy"):
        raise ValueError(f"pair {sell} -> {buy}: fee_asset must be sell or buy")
    return Pair(
        sell=sell,
        buy=buy,
        spread_percent=_number(entry, "spread_percent"),
        fee_asset=sell if side == "sell" else buy,
        fees=tuple(_read_fees(entry, side)),
        country_codes=tuple(entry.get("country_codes", ())),
        buy_delivery_methods=tuple(map(_read_method, entry.get("buy_delivery_methods", ()))),
        quote_lifetime=seconds("quote_seconds"),
        max_quote_lifetime=seconds("max_quote_seconds"),
        rate_max_age=seconds("rate_max_age_seconds"),
        rate_rests_on_weekends=bool(entry.get("rate_rests_on_weekends", False)),
        rate_source=entry.get("rate_source", OPERATORS),
        sell_currency=entry.get("sell_currency", _currency_of(sell)),
        buy_currency=entry.get("buy_currency", _currency_of(buy)),
    )


def _read_method(entry: dict[str, Any]) -> DeliveryMethod:
    try:
        return DeliveryMethod(entry["name"], read_words(entry["description"]))
    except ValueError as error:
        raise ValueError(f"delivery method {entry['name']}: description {error}") from error


def _read_fees(entry: dict[str, Any], side: str) -> Iterable[FeeLine]:
    """`fee_fixed` and `fee_percent`, the short form, or else the lines of `fees`."""
    if "fees" not in entry:
        yield _simple_line("Fixed fee", "Charged once per payment.", fixed=entry.get("fee_fixed"))
        percent = _number(entry, "fee_percent")
        of_what = "sold" if side == "sell" else "bought"
        words = f"{format_amount(percent)}% of the amount {of_what}."
        yield _simple_line("Percentage fee", words, percent=percent)
        return
    if "fee_fixed" in entry or "fee_percent" in entry:
        raise ValueError("a pair has either fees, or fee_fixed and fee_percent")
    for line in entry["fees"]:
        _refuse_unknown(line, _FEE_KEYS, "a fee")
        for tier in line.get("tiers", ()):
            _refuse_unknown(tier, _TIER_KEYS, "a fee's tier")
        yield FeeLine(
            name=str(line["name"]),
            description=str(line.get("description", "")),
            tiers=(
                _read_tier({**line, "from_amount": "0"}),
                *(_read_tier(tier) for tier in line.get("tiers", ())),
            ),
            methods=tuple(line.get("methods", ())),
        )


def _simple_line(name: str, words: str, *, fixed: Any = "0", percent: Any = "0") -> FeeLine:
    return FeeLine(name, words, (_read_tier({"fixed": fixed or "0", "percent": percent}),))


def _read_tier(entry: dict[str, Any]) -> Tier:
    return Tier(*(_number(entry, key) for key in ("from_amount", "fixed", "percent")))


def _number(entry: dict[str, Any], key: str) -> Decimal:
    number = Decimal(str(entry.get(key, "0")))
    if not number.is_finite():
        raise ValueError(f"{key} must be a number")
    return number


def _refuse_unknown(entry: dict[str, Any], known: Collection[str], what: str) -> None:
    if unknown := sorted(set(entry) - set(known)):
        raise ValueError(f"{what} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")


def _currency_of(name: AssetName) -> str:
    """Fiat is its own currency; what we receive is worth its counterpart."""
    if not name.is_stellar:
        return name.code
    asset = received_assets().get(name)
    return "" if asset is None or asset.counterpart.is_stellar else asset.counterpart.code


@lru_cache(maxsize=1)
def all_pairs() -> tuple[Pair, ...]:
    """All pairs, in the order of the configuration. Raises `ValueError` for one that can't be."""
    pairs = tuple(_read_pair(entry) for entry in settings.ANCHOR.get("pairs", []))
    if len({pair.names for pair in pairs}) != len(pairs):
        raise ValueError("a pair stands twice in the configuration")
    return pairs


def pairs_for(anchor: SendingAnchor | None) -> tuple[Pair, ...]:
    """The pairs whose asset the sending anchor may send; all if we don't know who asks."""
    pairs = all_pairs()
    return tuple(pair for pair in pairs if anchor is None or anchor.allows_asset(pair.names[0]))


def find_pair(sell: AssetName, buy: AssetName) -> Pair:
    """The pair of two assets. Raises `BadRequest`."""
    for pair in all_pairs():
        if (pair.sell, pair.buy) == (sell, buy):
            return pair
    raise BadRequest(
        Phrase(
            "There is no exchange of {sell} for {buy}. See GET /prices for supported assets.",
            sell=str(sell),
            buy=str(buy),
        )
    )


def require_listed(asset: AssetName, *, field: str) -> None:
    """Raises `BadRequest` for an asset that GET /info does not list."""
    if not any(asset in (pair.sell, pair.buy) for pair in all_pairs()):
        raise BadRequest(f"{field} is not supported. See GET /info for supported assets.")


# The body of GET /info by what the sending anchor may send and the language, and of which pairs.
_written: dict[tuple[tuple[str, ...], str], tuple[tuple[Pair, ...], bytes]] = {}


def write_info(anchor: SendingAnchor | None, language: str) -> bytes:
    """The body of GET /info in JSON, made once per process for each that is told another."""
    key = tuple(anchor.allowed_assets) if anchor else (), language
    written = _written.get(key)
    if written is None or written[0] is not all_pairs():
        body = JSONRenderer().render({"assets": describe_assets(pairs_for(anchor), language)})
        written = _written[key] = all_pairs(), body
    return written[1]


def describe_assets(pairs: Collection[Pair], language: str = ENGLISH) -> list[dict[str, object]]:
    """The `assets` of GET /info."""
    described: list[dict[str, object]] = [
        {"asset": name} for name in _unique(str(pair.sell) for pair in pairs)
    ]
    for buy in _unique(pair.buy for pair in pairs):
        of_it = [pair for pair in pairs if pair.buy == buy]
        entry: dict[str, object] = {"asset": str(buy)}
        countries = _unique(code for pair in of_it for code in pair.country_codes)
        methods = _unique(method for pair in of_it for method in pair.buy_delivery_methods)
        if countries and not buy.is_stellar:
            entry["country_codes"] = countries
        if methods and not buy.is_stellar:
            entry["buy_delivery_methods"] = [
                {"name": method.name, "description": translate(method.description, language)}
                for method in methods
            ]
        described.append(entry)
    return described


def _unique(items: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(items))
