"""SEP-38 v2.5.0, requirement by requirement. Each test cites the section that asks for it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from kernel.assets import parse_asset_name
from sep38.models import Quote
from sep38.services import set_rate
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor

pytestmark = pytest.mark.django_db

USDC = f"stellar:USDC:{settings.ANCHOR['assets'][0]['issuer']}"
MXN = "iso4217:MXN"
PRICE = {"sell_asset": USDC, "buy_asset": MXN, "sell_amount": "542", "context": "sep31"}
QUOTE = {**PRICE, "buy_delivery_method": "bank_account", "country_code": "MX"}
DECIMAL_TEXT = re.compile(r"[0-9]+(\.[0-9]+)?")


@pytest.fixture
def anchor() -> RegisteredAnchor:
    set_rate(parse_asset_name(USDC), parse_asset_name(MXN), "17.05")
    return make_sending_anchor()


def post_quote(client: Client, anchor: RegisteredAnchor, **changes: Any) -> Any:
    body = {key: value for key, value in {**QUOTE, **changes}.items() if value is not None}
    return client.post(
        "/sep38/quote", body, content_type="application/json", headers=anchor.headers()
    )


def assert_formulas(body: dict[str, Any]) -> None:
    sell, buy, fee = (
        Decimal(text) for text in (body["sell_amount"], body["buy_amount"], body["fee"]["total"])
    )
    stroop = Decimal("0.0000001")
    assert (Decimal(body["total_price"]) * buy).quantize(stroop) == sell
    assert body["fee"]["asset"] == USDC, "so that the first of the two formulas applies"
    assert (Decimal(body["price"]) * buy).quantize(stroop) == sell - fee


def test_authentication_is_mandatory_for_both_quote_endpoints(client, anchor):
    """Authentication: "mandatory for POST /quote and GET /quote/:id, but optional for the
    remaining endpoints". Status Code: 403 without an acceptable Authorization header."""
    quote_id = post_quote(client, anchor).json()["id"]
    assert client.post("/sep38/quote", QUOTE, content_type="application/json").status_code == 403
    assert client.get(f"/sep38/quote/{quote_id}").status_code == 403
    assert client.get("/sep38/info").status_code == 200
    assert client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": 9}).status_code == 200
    assert client.get("/sep38/price", PRICE).status_code == 200


def test_all_endpoints_respond_with_json(client, anchor):
    """Content Type: "All endpoints respond with content type: application/json"."""
    quote = post_quote(client, anchor)
    for response in (
        quote,
        client.get(f"/sep38/quote/{quote.json()['id']}", headers=anchor.headers()),
        client.get("/sep38/info"),
        client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": 9}),
        client.get("/sep38/price", PRICE),
        client.get("/sep38/price"),
        client.get("/sep38/quote/1"),
    ):
        assert response.headers["Content-Type"] == "application/json"


def test_an_error_is_described_for_humans(client, anchor):
    """Errors: "The response body must contain a human-readable description of the reason"."""
    response = client.get("/sep38/price", {**PRICE, "buy_asset": "iso4217:EUR"})
    assert response.status_code == 400
    assert response.json()["error"] == (
        f"There is no exchange of {USDC} for iso4217:EUR. See GET /prices for supported assets."
    )


def test_info_describes_the_assets(client):
    """GET Info, Response: `assets`; delivery methods and countries only for non-Stellar assets,
    and all methods "should match the funding_methods options" of SEP-31."""
    offered = {method for entry in settings.ANCHOR["assets"] for method in entry["funding_methods"]}
    entries = client.get("/sep38/info").json()["assets"]
    assert entries
    for entry in entries:
        parse_asset_name(entry["asset"])
        if entry["asset"].startswith("stellar:"):
            assert set(entry) == {"asset"}
            continue
        assert all(re.fullmatch(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", c) for c in entry["country_codes"])
        for method in entry["buy_delivery_methods"]:
            assert set(method) == {"name", "description"}
            assert method["name"] in offered


def test_prices_lists_offers_for_what_is_sold_or_bought(client, anchor):
    """GET Prices, Response: `buy_assets` when `sell_asset` is provided, `sell_assets` when
    `buy_asset` is; `asset`, `price` as a string, `decimals` as an integer."""
    for query, key in (
        ({"sell_asset": USDC, "sell_amount": "100"}, "buy_assets"),
        ({"buy_asset": MXN, "buy_amount": "500"}, "sell_assets"),
    ):
        body = client.get("/sep38/prices", query).json()
        assert set(body) == {key}
        assert body[key]
        for offer in body[key]:
            assert DECIMAL_TEXT.fullmatch(offer["price"])
            assert offer["decimals"] == parse_asset_name(offer["asset"]).decimals


@pytest.mark.parametrize("amounts", [{"sell_amount": "1", "buy_amount": "1"}, {}])
def test_exactly_one_amount_must_be_provided(client, anchor, amounts):
    """GET Price and POST Quote: "The client must provide either sell_amount or buy_amount, but
    not both"."""
    query = {key: value for key, value in PRICE.items() if key != "sell_amount"} | amounts
    assert client.get("/sep38/price", query).status_code == 400
    changes = {"sell_amount": None, **amounts}
    assert post_quote(client, anchor, **changes).status_code == 400
    assert not Quote.objects.exists()


@pytest.mark.parametrize("amount", [{"sell_amount": "542"}, {"buy_amount": "100.01"}])
def test_price_formulas_hold(client, anchor, amount):
    """Price Formulas: "should hold true for all prices and quotes returned"; Object Schema for
    fee.details: "sum(fee.details.amount) should be equals fee.total"."""
    query = {key: value for key, value in PRICE.items() if key != "sell_amount"} | amount
    price = client.get("/sep38/price", query).json()
    assert set(price) == {"total_price", "price", "sell_amount", "buy_amount", "fee"}
    quote = post_quote(client, anchor, **{"sell_amount": None, **amount}).json()
    for body in (price, quote):
        assert_formulas(body)
        details = body["fee"]["details"]
        assert sum(Decimal(part["amount"]) for part in details) == Decimal(body["fee"]["total"])
        assert all(part["name"] for part in details)


def test_a_quote_is_created_with_all_that_the_sep_lists(client, anchor):
    """POST Quote, Response: 201 and the table of fields; amounts and prices are strings."""
    response = post_quote(client, anchor)
    assert response.status_code == 201
    body = response.json()
    assert set(body) == {
        *("id", "expires_at", "total_price", "price", "sell_asset", "sell_amount"),
        *("buy_asset", "buy_amount", "buy_delivery_method", "fee"),
    }
    for name in ("total_price", "price", "sell_amount", "buy_amount"):
        assert DECIMAL_TEXT.fullmatch(body[name])
    assert datetime.fromisoformat(body["expires_at"]) > timezone.now()


def test_the_delivery_method_is_shown_only_if_it_was_specified(client, anchor):
    """POST Quote, Response: "This will only be present if the parameter was specified"; Request:
    "must be provided [...] unless no more than one method is specified in GET /info"."""
    assert post_quote(client, anchor).json()["buy_delivery_method"] == "bank_account"
    assert post_quote(client, anchor, buy_delivery_method=None).status_code == 400
    set_rate(parse_asset_name(USDC), parse_asset_name("iso4217:USD"), "1")
    one_method = {"buy_asset": "iso4217:USD", "country_code": "US", "buy_delivery_method": None}
    response = post_quote(client, anchor, **one_method)
    assert response.status_code == 201
    assert "buy_delivery_method" not in response.json()


def test_an_expiration_is_granted_or_refused(client, anchor):
    """POST Quote, Request, expire_after: "should return 400 Bad Request if [...] an expiration on
    or after the requested value cannot be provided"."""
    soon = timezone.now() + timedelta(minutes=30)
    granted = post_quote(client, anchor, expire_after=soon.isoformat()).json()["expires_at"]
    assert datetime.fromisoformat(granted) >= soon
    later = timezone.now() + timedelta(days=2)
    assert post_quote(client, anchor, expire_after=later.isoformat()).status_code == 400


@pytest.mark.parametrize("context", [None, "sep1", "SEP31", "", "sep6", "sep24"])
def test_the_context_must_be_one_that_we_serve(client, anchor, context):
    """POST Quote, Request, context: "Must be one of sep6, sep24 or sep31"; we have SEP-31 only."""
    assert post_quote(client, anchor, context=context).status_code == 400


def test_a_quote_stays_available_past_its_expiration(client, anchor):
    """GET Quote: "must be available at this endpoint past the expires_at expiration"; Response:
    "should match the response from POST /quote"."""
    created = post_quote(client, anchor).json()
    url = f"/sep38/quote/{created['id']}"
    assert client.get(url, headers=anchor.headers()).json() == created
    past = timezone.now() - timedelta(days=400)
    Quote.objects.update(created_at=past, expires_at=past + timedelta(seconds=1))
    response = client.get(url, headers=anchor.headers())
    assert response.status_code == 200
    assert {**response.json(), "expires_at": ""} == {**created, "expires_at": ""}
