"""SEP-38 in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from kernel.schema import (
    RETRY_AFTER,
    Operation,
    Schema,
    amount,
    amount_sent,
    answer,
    body,
    in_path,
    items,
    moment,
    operation,
    query,
    record,
    ref,
    refusal,
    text,
    uuid,
)
from sep1.assets import received_assets
from sep38 import views
from sep38.pairs import Pair, all_pairs

QUOTE = "de762cda-a193-4961-861e-57b31fed6eb3"
_NO_RATE = "There is no current rate of this pair, or something that we depend on does not answer."


def asset(words: str, example: str = "iso4217:MXN") -> Schema:
    return text(
        f"{words} Named like `stellar:USDC:G...`, `stellar:native` or `iso4217:MXN`.",
        pattern=r"^(stellar:(native|[A-Za-z0-9]{1,12}:G[A-Z2-7]{55})|iso4217:[A-Z]{3})$",
        example=example,
    )


def operations() -> dict[type[Any], dict[str, Operation]]:
    return {
        views.InfoView: {"get": _info()},
        views.PricesView: {"get": _prices()},
        views.PriceView: {"get": _price()},
        views.QuotesView: {"post": _post_quote()},
        views.QuoteView: {"get": _get_quote()},
    }


def components() -> dict[str, Schema]:
    return {"Fee": _fee(), "Quote": _quote()}


def example_pair() -> tuple[str, str]:
    """What examples sell and buy: the first asset that we receive, and what its first pair gives
    for it, else what it is paid out as."""
    [received, *_] = received_assets().values()
    pair = _example_pair()
    return str(received.name), str(pair.buy if pair else received.counterpart)


def _example_pair() -> Pair | None:
    [received, *_] = received_assets()
    return next((pair for pair in all_pairs() if pair.sell == received), None)


def _example_methods() -> dict[str, str]:
    pair = _example_pair()
    methods = pair.method_names if pair else ()
    return {"buy_delivery_method": methods[0]} if methods else {}


def _fee() -> Schema:
    detail = record(
        {
            "name": text("What it is called."),
            "description": text("What it is for."),
            "amount": amount("Its part of the total.", "0.5"),
        },
        required=("name", "amount"),
    )
    return record(
        {
            "total": amount("All of it; the details add up to it.", "1.5"),
            "asset": asset("What it is in."),
            "details": items(detail),
        },
        required=("total", "asset"),
    )


def _priced() -> dict[str, Schema]:
    return {
        "total_price": text(
            "`sell_amount / buy_amount`, fees included.", pattern=r"^[0-9]+(\.[0-9]+)?$"
        ),
        "price": text("Without the fee.", pattern=r"^[0-9]+(\.[0-9]+)?$"),
        "sell_amount": amount("What you pay, fees included.", "100"),
        "buy_amount": amount("What the receiving client gets.", "1706.52"),
        "fee": ref("Fee"),
    }


def _priced_example() -> dict[str, Any]:
    return {
        "total_price": "0.05859878583",
        "price": "0.05771980404",
        "sell_amount": "100",
        "buy_amount": "1706.52",
        "fee": {
            "total": "1.5",
            "asset": example_pair()[0],
            "details": [
                {"name": "Fixed fee", "description": "Charged once per payment.", "amount": "1"},
                {
                    "name": "Percentage fee",
                    "description": "0.5% of the amount sold.",
                    "amount": "0.5",
                },
            ],
        },
    }


def _quote() -> Schema:
    return record(
        {
            "id": uuid("Send it as `quote_id` to `POST /sep31/transactions`.", QUOTE),
            "expires_at": moment("Your payment must be in a ledger that closes before."),
            **_priced(),
            "sell_asset": asset("What you pay in."),
            "buy_asset": asset("What the receiving client gets."),
            "buy_delivery_method": text("How the receiving client gets it."),
        },
        required=(
            *("id", "expires_at", *_priced()),
            *("sell_asset", "buy_asset"),
        ),
    )


def _quote_example() -> dict[str, Any]:
    sell, buy = example_pair()
    return {
        "id": QUOTE,
        "expires_at": "2026-11-23T12:10:00Z",
        **_priced_example(),
        "sell_asset": sell,
        "buy_asset": buy,
        **_example_methods(),
    }


def _narrowed() -> tuple[Schema, ...]:
    methods = dict.fromkeys(name for pair in all_pairs() for name in pair.method_names)
    countries = dict.fromkeys(code for pair in all_pairs() for code in pair.country_codes)
    return (
        query(
            "buy_delivery_method",
            "How the receiving client gets it.",
            text(enum=list(methods)) if methods else text(),
        ),
        query(
            "country_code",
            f"Where: ISO 3166-1 alpha-2 or ISO 3166-2; we serve {', '.join(countries)}.",
            text(pattern="^[A-Z]{2}(-[A-Z0-9]{1,3})?$"),
        ),
    )


def _info() -> Operation:
    sell, buy = example_pair()
    method = record(
        {"name": text("For requests."), "description": text("For people.")},
        required=("name", "description"),
    )
    one = record(
        {
            "asset": asset("What it is."),
            "country_codes": {**items(text()), "description": "Where it is paid out."},
            "buy_delivery_methods": {**items(method), "description": "How it is paid out."},
        },
        required=("asset",),
    )
    return operation(
        "get_sep38_info",
        "What we exchange",
        "Assets on Stellar are what we take, the others what we pay out.",
        sep=(38, "GET Info"),
        answers={
            200: answer(
                "The assets.",
                record({"assets": items(one)}, required=("assets",)),
                {
                    "assets": {
                        "assets": [
                            {"asset": sell},
                            {
                                "asset": buy,
                                "country_codes": ["MX"],
                                "buy_delivery_methods": [
                                    {"name": "bank_account", "description": "To a bank account."}
                                ],
                            },
                        ]
                    }
                },
            ),
        },
    )


def _prices() -> Operation:
    sell, buy = example_pair()
    offer = record(
        {
            "asset": asset("The other side of the exchange."),
            "price": text("Units of what you sell for one that you buy, without the fee."),
            "decimals": {"type": "integer", "description": "How finely its amounts are written."},
        },
        required=("asset", "price", "decimals"),
    )
    listed = record({"buy_assets": items(offer), "sell_assets": items(offer)})
    return operation(
        "get_prices",
        "What an amount is worth, in each asset that we offer for it",
        "Indicative. Name what you sell, with `sell_amount`, or what you want, with `buy_amount`.",
        sep=(38, "GET Prices"),
        parameters=(
            query("sell_asset", "", asset("What you sell.", sell)),
            query("sell_amount", "How much of it.", amount("")),
            query("buy_asset", "", asset("What you want, if you don't name what you sell.", buy)),
            query("buy_amount", "How much of it.", amount("", "1700")),
            *_narrowed(),
        ),
        answers={
            200: answer(
                "The prices: `buy_assets` of what you sell, or `sell_assets` for what you want.",
                listed,
                {
                    "selling": {
                        "buy_assets": [{"asset": buy, "price": "0.0577198", "decimals": 2}]
                    },
                    "buying": {
                        "sell_assets": [{"asset": sell, "price": "0.0577198", "decimals": 7}]
                    },
                },
            ),
            400: refusal(
                "A parameter is wrong, or we can't do it.",
                {
                    "no_asset": "sell_asset or buy_asset is required",
                    "no_amount": "sell_amount is required with sell_asset",
                    "bad_amount": "sell_amount must be a positive amount in plain digits, for "
                    "example 100.5, with at most 7 decimals",
                },
            ),
            503: _no_rate(),
        },
    )


def _no_rate() -> Schema:
    sell, buy = example_pair()
    return refusal(
        _NO_RATE,
        {
            "no_rate": f"There is no current rate of {sell} for {buy}; try again later",
        },
        headers=RETRY_AFTER,
    )


def _price() -> Operation:
    sell, buy = example_pair()
    return operation(
        "get_price",
        "What an amount costs",
        "Indicative. Name exactly one of the amounts.",
        sep=(38, "GET Price"),
        parameters=(
            query("context", "What it is for.", text(enum=["sep31"]), required=True),
            query("sell_asset", "", asset("What you sell.", sell), required=True),
            query("buy_asset", "", asset("What the receiving client gets.", buy), required=True),
            query("sell_amount", "What you pay, fees included.", amount("")),
            query("buy_amount", "What the receiving client is to get.", amount("", "1700")),
            *_narrowed(),
        ),
        answers={
            200: answer(
                "The price.",
                record(_priced(), required=tuple(_priced())),
                {"price": _priced_example()},
            ),
            400: _bad_price(),
            503: _no_rate(),
        },
    )


def _bad_price() -> Schema:
    return refusal(
        "A parameter is wrong, or we can't do it.",
        {
            "both_amounts": "Exactly one of sell_amount and buy_amount is required",
            "other_context": "context must be sep31: this anchor receives payments by SEP-31 only",
            "bad_asset": "sell_asset must name an asset like stellar:USDC:G... or iso4217:USD",
        },
    )


def _post_quote() -> Operation:
    sell, buy = example_pair()
    base = {"context": "sep31", "sell_asset": sell, "buy_asset": buy, **_example_methods()}
    return operation(
        "post_quote",
        "A firm quote",
        "Good for one transaction, until `expires_at`.",
        sep=(38, "POST Quote"),
        request=body(
            record(
                {
                    "context": text("What it is for.", enum=["sep31"]),
                    "sell_asset": asset("What you sell.", sell),
                    "buy_asset": asset("What the receiving client gets."),
                    "sell_amount": amount_sent("What you pay, fees included."),
                    "buy_amount": amount_sent(
                        "What the receiving client is to get. Exactly one of the amounts.", "1700"
                    ),
                    "expire_after": moment("How long it must be good at least."),
                    **{
                        one["name"]: {**one["schema"], "description": one["description"]}
                        for one in _narrowed()
                    },
                },
                required=("context", "sell_asset", "buy_asset"),
            ),
            {
                "by_sell_amount": {**base, "sell_amount": "100"},
                "by_buy_amount": {**base, "buy_amount": "1700"},
            },
        ),
        answers={
            201: answer("The quote.", ref("Quote"), {"quote": _quote_example()}),
            400: _bad_price(),
            503: _no_rate(),
        },
    )


def _get_quote() -> Operation:
    return operation(
        "get_quote",
        "A quote that you were given",
        "As `POST /sep38/quote` answered, also past its expiry.",
        sep=(38, "GET Quote"),
        parameters=(in_path("quote_id", "The quote.", text(format="uuid", example=QUOTE)),),
        answers={
            200: answer("The quote.", ref("Quote"), {"quote": _quote_example()}),
            404: refusal(
                "There is no such quote, or it is another's; the two look alike.",
                {"unknown": "There is no quote with this id"},
            ),
        },
    )
