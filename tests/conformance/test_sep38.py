"""SEP-38 v2.5.0, requirement by requirement. Each test cites the section that asks for it."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from stellar_sdk import Keypair

from kernel.assets import parse_asset_name
from sep10.models import SendingAnchor
from sep38.models import Quote, Rate
from sep38.pairs import all_pairs
from sep38.services import set_rate
from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor

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


def bodies(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    return response.json()


# -- stellar.toml, Authentication, Content Type, Errors, Asset Identification Format ---------------
def test_stellar_toml_says_where_the_quote_server_is(client, db):
    """stellar.toml: "An anchor must define the location of their ANCHOR_QUOTE_SERVER"."""
    document = tomllib.loads(client.get("/.well-known/stellar.toml").content.decode())
    assert document["ANCHOR_QUOTE_SERVER"] == f"{settings.BASE_URL}/sep38"
    assert client.get("/sep38/info").status_code == 200


def test_authentication_is_mandatory_for_both_quote_endpoints(client, anchor):
    """Authentication: "mandatory for POST /quote and GET /quote/:id, but optional for the
    remaining endpoints". Status Code: 403 without an acceptable Authorization header."""
    quote_id = post_quote(client, anchor).json()["id"]
    assert client.post("/sep38/quote", QUOTE, content_type="application/json").status_code == 403
    assert client.get(f"/sep38/quote/{quote_id}").status_code == 403
    assert client.get("/sep38/info").status_code == 200
    assert client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": 9}).status_code == 200
    assert client.get("/sep38/price", PRICE).status_code == 200


def test_a_token_personalizes_the_optional_endpoints(client, anchor):
    """Authentication: "When optional, if authentication is provided it can be used to personalize
    the respective responses": what was agreed with a sending anchor holds for them."""
    SendingAnchor.objects.update(max_transaction_amount=Decimal(500))
    assert client.get("/sep38/price", PRICE).status_code == 200
    body = bodies(client.get("/sep38/price", PRICE, headers=anchor.headers()), 400)
    assert "agreed with you" in body["error"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""]
)
def test_a_missing_token_is_403_before_anything_is_parsed(client, content_type, db):
    """Status Code: "403 [...] No Authorization header has been provided or the contents of the
    header are not accepted as valid"; SDF's suite asks with any content type."""
    body = bodies(client.post("/sep38/quote", b"{", content_type=content_type), 403)
    assert body["error"]
    header = {"Authorization": "Bearer of bad news"}
    for path in ("info", "prices", "price", "quote/1"):
        assert bodies(client.get(f"/sep38/{path}", headers=header), 403)["error"]


def test_requests_are_accepted_as_json(client, anchor):
    """Content Type: "All endpoints accept in requests [...] application/json"."""
    for content_type in ("application/json", "application/json; charset=utf-8"):
        response = client.post(
            "/sep38/quote", json.dumps(QUOTE), content_type=content_type, headers=anchor.headers()
        )
        assert response.status_code == 201


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


HOSTILE = [
    *("", "USDC", "stellar", "stellar:", "stellar:USDC", "stellar:USDC:", "stellar:USDC:GBAD"),
    *("iso4217", "iso4217:", "iso4217:usd", "iso4217:USDX", "iso4217:XYZ", "crypto:BTC"),
    *("stellar:TOOLONGACODEX:" + "G" * 56, "x" * 5000, "iso4217:US\x00", "iso4217:\uff35SD"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_assets_are_named_in_the_asset_identification_format(client, anchor, name):
    """Asset Identification Format: "<scheme>:<identifer>" with `stellar` and `iso4217`."""
    for side in ("sell_asset", "buy_asset"):
        error = bodies(client.get("/sep38/price", {**PRICE, side: name}), 400)["error"]
        assert side in error
        # No JSON that we read holds a NUL, so that one is not for the field to refuse.
        named = side if "\x00" not in name else "JSON"
        assert named in bodies(post_quote(client, anchor, **{side: name}), 400)["error"]
        query = {side: name, side.replace("asset", "amount"): "9"}
        assert bodies(client.get("/sep38/prices", query), 400)["error"]
    assert not Quote.objects.exists()


@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "-1",
        "+1",
        "1e3",
        "NaN",
        "Infinity",
        "1,5",
        " 1",
        "0x10",
        "\u0661",
        "1.00000001",
        "9" * 40,
    ],
)
def test_what_is_no_amount_is_a_bad_request_in_plain_words(client, anchor, amount):
    """Status Code: "400 [...] The request is invalid in any way"."""
    for response in (
        client.get("/sep38/price", {**PRICE, "sell_amount": amount}),
        client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": amount}),
        post_quote(client, anchor, sell_amount=amount),
    ):
        assert "sell_amount" in bodies(response, 400)["error"]


# -- GET /info -------------------------------------------------------------------------------------
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


def test_all_that_info_lists_may_be_asked_for_prices(client, anchor):
    """GET Info: "Use the GET /prices endpoint to see which pairs are supported": an asset that is
    listed is never unknown there, whether it can be sold or not (SDF's suite sells fiat)."""
    for entry in client.get("/sep38/info").json()["assets"]:
        for pair in all_pairs():
            set_rate(pair.sell, pair.buy, "17.05")
        sold = client.get("/sep38/prices", {"sell_asset": entry["asset"], "sell_amount": "100"})
        bought = client.get("/sep38/prices", {"buy_asset": entry["asset"], "buy_amount": "100"})
        is_sold = entry["asset"].startswith("stellar:")
        assert bool(bodies(sold, 200)["buy_assets"]) is is_sold
        assert bool(bodies(bought, 200)["sell_assets"]) is not is_sold


# -- GET /prices -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"sell_asset": USDC},
        {"sell_asset": USDC, "buy_amount": "100"},
        {"buy_asset": MXN, "sell_amount": "100"},
        {"sell_asset": USDC, "sell_amount": "1", "buy_amount": "1"},
    ],
)
def test_the_amount_belongs_to_the_asset_that_is_defined(client, anchor, query):
    """GET Prices, Request: "sell_amount is valid only when the sell_asset is defined", and so for
    what is bought."""
    assert bodies(client.get("/sep38/prices", query), 400)["error"]


def test_a_stray_buy_asset_is_tolerated(client, anchor):
    """GET Prices, Request: "If the sell_asset is defined, the buy_asset must not exist", and says
    nothing of what happens if it does: SDF's suite and clients of before 2.3 send it."""
    query = {"sell_asset": USDC, "sell_amount": "100"}
    stray = client.get("/sep38/prices", {**query, "buy_asset": MXN})
    assert bodies(stray, 200) == client.get("/sep38/prices", query).json()


def test_method_and_country_narrow_what_is_listed(client, anchor):
    """GET Prices, Request: buy_delivery_method and country_code are optional; both are values of
    GET /info."""
    query = {"sell_asset": USDC, "sell_amount": "100"}
    for narrowed in ({"country_code": "MX"}, {"buy_delivery_method": "mobile_money"}):
        offers = bodies(client.get("/sep38/prices", {**query, **narrowed}), 200)["buy_assets"]
        assert [offer["asset"] for offer in offers] == [MXN]
    for unknown in (
        *({"country_code": "mx"}, {"country_code": "MEX"}, {"country_code": "ZZ"}),
        *({"buy_delivery_method": "teleport"}, {"sell_delivery_method": "cash"}),
    ):
        error = bodies(client.get("/sep38/prices", {**query, **unknown}), 400)["error"]
        assert next(iter(unknown)) in error


def test_prices_are_those_of_price_without_the_fee(client, anchor):
    """GET Prices: "The prices returned include any margin that the provider may keep": ours is in
    `price` of GET /price too, fees are beside it."""
    [offer] = [
        offer
        for offer in client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": "542"}).json()[
            "buy_assets"
        ]
        if offer["asset"] == MXN
    ]
    price = client.get("/sep38/price", PRICE).json()
    assert offer["price"] == price["price"]
    assert 1 / Decimal(price["price"]) < Decimal("17.05"), "the margin"


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


# -- GET /price and POST /quote --------------------------------------------------------------------
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


def test_the_amount_that_was_named_is_the_one_of_the_answer(client, anchor):
    """GET Price, Response: amounts "could be different from the [ones] provided in the request,
    depending on how fees are applied": ours never are without tiers of fees."""
    assert client.get("/sep38/price", PRICE).json()["sell_amount"] == "542"
    query = {**PRICE, "sell_amount": "", "buy_amount": "100.01"}
    assert client.get("/sep38/price", query).json()["buy_amount"] == "100.01"


def test_a_firm_quotes_fee_is_in_the_sell_asset_and_not_zero(client, anchor):
    """Object Schema for fee: `total`, `asset`, `details`. SDF's suite wants it in the sell asset
    and above zero, which the configuration that comes with Landfall is."""
    fee = post_quote(client, anchor).json()["fee"]
    assert set(fee) == {"total", "asset", "details"}
    assert fee["asset"] == USDC
    assert Decimal(fee["total"]) > 0


def test_the_formulas_hold_where_the_fee_is_in_what_is_bought(client, anchor, settings):
    """Price Formulas: "sell_amount = price * (buy_amount + fee)" when it is in `buy_asset`."""
    entries = [
        {**entry, "fee_asset": "buy", "fee_fixed": "10"} if entry["buy"] == MXN else entry
        for entry in settings.ANCHOR["pairs"]
    ]
    settings.ANCHOR = {**settings.ANCHOR, "pairs": entries}
    all_pairs.cache_clear()
    try:
        body = post_quote(client, anchor).json()
    finally:
        all_pairs.cache_clear()
    assert body["fee"]["asset"] == MXN
    sell, buy = Decimal(body["sell_amount"]), Decimal(body["buy_amount"])
    stroop, fee = Decimal("0.0000001"), Decimal(body["fee"]["total"])
    assert (Decimal(body["price"]) * (buy + fee)).quantize(stroop) == sell
    assert (Decimal(body["total_price"]) * buy).quantize(stroop) == sell


# -- POST /quote -----------------------------------------------------------------------------------
def test_only_those_we_have_an_agreement_with_get_quotes(client, anchor):
    """Protecting Against Bad Actors: "servers should only accept requests for quotes from Stellar
    accounts that belong to entities or individuals that have been properly KYC'ed", and "may deny
    access to the API if misuse is detected"."""
    stranger = {"Authorization": bearer_for(Keypair.random().public_key)}
    response = client.post("/sep38/quote", QUOTE, content_type="application/json", headers=stranger)
    assert response.status_code == 403
    SendingAnchor.objects.update(enabled=False)
    assert post_quote(client, anchor).status_code == 403
    assert not Quote.objects.exists()


def test_a_firm_quote_stands_whatever_others_get_and_whatever_the_rate_does(client, anchor):
    """POST Quote: "the amount requested must be held in reserve and not used in calculations of
    subsequent quotes until the expiration": each quote stands for itself."""
    first = post_quote(client, anchor).json()
    second = post_quote(client, anchor).json()
    assert {**first, "id": "", "expires_at": ""} == {**second, "id": "", "expires_at": ""}
    set_rate(parse_asset_name(USDC), parse_asset_name(MXN), "16.5")
    url = f"/sep38/quote/{first['id']}"
    assert client.get(url, headers=anchor.headers()).json() == first


def test_a_rate_that_nobody_renewed_stops_quotes_with_a_clear_error(client, anchor):
    """POST Quote: a quote is firm, so none is made of what we would not stand by."""
    Rate.objects.update(created_at=timezone.now() - timedelta(days=30))
    assert "no current rate" in bodies(post_quote(client, anchor), 503)["error"]
    assert "no current rate" in bodies(client.get("/sep38/price", PRICE), 503)["error"]


def test_both_delivery_methods_at_once_are_refused(client, anchor):
    """POST Quote, Request: "either sell_delivery_method or buy_delivery_method, but not both"; what
    is sold to us comes on Stellar and has none."""
    both = bodies(post_quote(client, anchor, sell_delivery_method="bank_account"), 400)
    assert "sell_delivery_method" in both["error"]


def test_a_country_code_may_be_left_out_or_name_a_subdivision(client, anchor):
    """POST Quote, Request, country_code: optional; ISO 3166-2 or 3166-1 alpha-2."""
    for code in (None, "MX", "MX-CMX"):
        assert post_quote(client, anchor, country_code=code).status_code == 201
    for code in ("US", "mx", "MEX", "M", "MX-", 52):
        error = bodies(post_quote(client, anchor, country_code=code), 400)["error"]
        assert "country_code" in error


@pytest.mark.parametrize(
    "moment", ["tomorrow", "2030-01-31", "31/01/2030", "1900000000", 1900000000]
)
def test_an_expiration_is_a_utc_iso_8601_moment(client, anchor, moment):
    """POST Quote, Request, expire_after: "UTC ISO 8601 string"."""
    assert "expire_after" in bodies(post_quote(client, anchor, expire_after=moment), 400)["error"]


def test_the_expiration_may_be_later_than_what_was_asked_for(client, anchor):
    """POST Quote, Request, expire_after: "Anchors may choose an expires_at that occurs after the
    expire_after"; a moment in the past is met by any."""
    usual = datetime.fromisoformat(post_quote(client, anchor).json()["expires_at"])
    past = post_quote(client, anchor, expire_after="2020-01-01T00:00:00Z").json()["expires_at"]
    assert datetime.fromisoformat(past) >= usual


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


# -- GET /quote/:id --------------------------------------------------------------------------------
def test_a_quote_belongs_to_the_account_and_not_to_account_and_memo(client, anchor):
    """GET Quote: SDF's suite asks for a quote as `G...` and redeems it as `G...:1`."""
    created = post_quote(client, anchor).json()
    url = f"/sep38/quote/{created['id']}"
    assert bodies(client.get(url, headers=anchor.headers(memo="1")), 200) == created
    stranger = make_sending_anchor()
    assert bodies(client.get(url, headers=stranger.headers()), 404)["error"]


@pytest.mark.parametrize("quote_id", ["1", "null", "%00", "..%2Finfo", "a" * 4000, "%F0%9F%92%B8"])
def test_an_unknown_quote_is_not_found_in_plain_words(client, anchor, quote_id):
    """GET Quote: an id that we never gave."""
    response = client.get(f"/sep38/quote/{quote_id}", headers=anchor.headers())
    assert bodies(response, 404)["error"]


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
