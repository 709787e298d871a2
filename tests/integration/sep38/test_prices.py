"""GET /info, /prices and /price."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from sep38 import pairs
from sep38.models import Rate
from tests.integration.sep38.conftest import MXN, USD, USDC

pytestmark = pytest.mark.django_db

PRICE = {
    "sell_asset": USDC,
    "buy_asset": MXN,
    "sell_amount": "100",
    "context": "sep31",
}


def test_info_lists_what_can_be_sold_and_what_can_be_bought_without_a_query(
    client, django_assert_num_queries
):
    with django_assert_num_queries(0):
        response = client.get("/sep38/info")
    assert response.status_code == 200
    assets = {entry["asset"]: entry for entry in response.json()["assets"]}
    assert assets[USDC] == {"asset": USDC}
    assert assets[MXN]["country_codes"] == ["MX"]
    assert [method["name"] for method in assets[MXN]["buy_delivery_methods"]] == [
        "bank_account",
        "mobile_money",
    ]


@pytest.mark.parametrize("path", ["info", f"prices?sell_asset={USDC}&sell_amount=100"])
def test_a_token_is_optional_but_a_bad_one_is_refused(client, anchor, rates, path):
    assert client.get(f"/sep38/{path}").status_code == 200
    assert client.get(f"/sep38/{path}", headers=anchor.headers()).status_code == 200
    refused = client.get(f"/sep38/{path}", headers={"Authorization": "Bearer x"})
    assert refused.status_code == 403
    assert refused.json()["error"]


def test_prices_of_what_is_sold(client, rates, django_assert_num_queries):
    with django_assert_num_queries(1):
        response = client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": "100"})
    assert response.status_code == 200
    offers = {offer["asset"]: offer for offer in response.json()["buy_assets"]}
    assert set(offers) == {MXN, USD}
    # (100 - 1.5) / (98.5 * 17.05 * 0.99 rounded down)
    assert Decimal(offers[MXN]["price"]) == pytest.approx(Decimal("98.5") / Decimal("1662.63"))
    assert offers[MXN]["decimals"] == 2
    assert offers[USD]["price"] == "1"


def test_prices_of_what_is_bought(client, rates, django_assert_num_queries):
    with django_assert_num_queries(1):
        response = client.get("/sep38/prices", {"buy_asset": MXN, "buy_amount": "1000"})
    [offer] = response.json()["sell_assets"]
    assert offer["asset"] == USDC
    assert offer["decimals"] == 7
    assert Decimal(offer["price"]) * 1000 == Decimal("59.2434611")


def test_older_clients_send_both_assets_and_mean_the_one_they_sell(client, rates):
    response = client.get(
        "/sep38/prices", {"sell_asset": USDC, "buy_asset": MXN, "sell_amount": "100"}
    )
    assert response.status_code == 200
    assert len(response.json()["buy_assets"]) == 2


def test_what_we_only_pay_out_cannot_be_sold_to_us(client, rates):
    response = client.get("/sep38/prices", {"sell_asset": MXN, "sell_amount": "100"})
    assert (response.status_code, response.json()) == (200, {"buy_assets": []})
    response = client.get("/sep38/prices", {"buy_asset": USDC, "buy_amount": "100"})
    assert (response.status_code, response.json()) == (200, {"sell_assets": []})


@pytest.mark.parametrize(
    ("narrowed", "assets"),
    [
        ({"buy_delivery_method": "mobile_money"}, [MXN]),
        ({"buy_delivery_method": "bank_account"}, [MXN, USD]),
        ({"country_code": "US"}, [USD]),
        ({"country_code": "MX-CMX"}, [MXN]),
        ({"country_code": "US", "buy_delivery_method": "mobile_money"}, []),
    ],
)
def test_method_and_country_narrow_the_list(client, rates, narrowed, assets):
    response = client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": "100", **narrowed})
    assert [offer["asset"] for offer in response.json()["buy_assets"]] == assets


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "sell_asset"),
        ({"sell_asset": USDC}, "sell_amount"),
        ({"sell_asset": USDC, "buy_amount": "100"}, "buy_amount"),
        ({"sell_asset": USDC, "sell_amount": "100", "buy_amount": "1"}, "buy_amount"),
        ({"buy_asset": MXN, "sell_amount": "100"}, "sell_amount"),
        ({"buy_asset": MXN}, "buy_amount"),
        ({"sell_asset": "USDC", "sell_amount": "100"}, "sell_asset"),
        ({"sell_asset": "iso4217:XYZ", "sell_amount": "100"}, "sell_asset"),
        ({"sell_asset": "iso4217:JPY", "sell_amount": "100"}, "sell_asset"),
        ({"sell_asset": "stellar:native", "sell_amount": "100"}, "sell_asset"),
        ({"sell_asset": "x" * 10_000, "sell_amount": "100"}, "sell_asset"),
        ({"sell_asset": "iso4217:\x00", "sell_amount": "100"}, "sell_asset"),
        ({"sell_asset": USDC, "sell_amount": "0"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "-1"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "NaN"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "1e2"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "١٠٠"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "1.00000001"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "10000.0000001"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "0.5"}, "sell_amount"),
        ({"sell_asset": USDC, "sell_amount": "1.005"}, "sell_amount"),
        ({"buy_asset": MXN, "buy_amount": "1.001"}, "buy_amount"),
        ({"buy_asset": MXN, "buy_amount": "900000"}, "buy_amount"),
        ({"sell_asset": USDC, "sell_amount": "9", "country_code": "JP"}, "country_code"),
        ({"sell_asset": USDC, "sell_amount": "9", "country_code": "MEX"}, "country_code"),
        ({"sell_asset": USDC, "sell_amount": "9", "buy_delivery_method": "x"}, "buy_delivery"),
        ({"sell_asset": USDC, "sell_amount": "9", "sell_delivery_method": "x"}, "sell_delivery"),
    ],
)
def test_prices_refuse_a_bad_query_by_the_name_of_its_field(client, rates, query, named):
    response = client.get("/sep38/prices", query)
    assert response.status_code == 400, response.content
    assert named in response.json()["error"]


def test_a_parameter_that_is_given_twice_is_refused(client, rates):
    query = urlencode({**PRICE, "buy_amount": ""}) + "&sell_amount=5"
    response = client.get(f"/sep38/price?{query}")
    assert response.status_code == 400
    assert "sell_amount" in response.json()["error"]


def test_price_by_sell_amount(client, rates, django_assert_num_queries):
    with django_assert_num_queries(1):
        response = client.get("/sep38/price", PRICE)
    body = response.json()
    assert response.status_code == 200
    assert body["sell_amount"] == "100"
    assert body["buy_amount"] == "1662.63"
    assert body["fee"]["total"] == "1.5"
    assert body["fee"]["asset"] == USDC
    assert [detail["amount"] for detail in body["fee"]["details"]] == ["1", "0.5"]


def test_price_with_a_token_takes_one_query_more(client, anchor, rates, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert client.get("/sep38/price", PRICE, headers=anchor.headers()).status_code == 200


def test_price_by_buy_amount(client, rates):
    query = {**PRICE, "sell_amount": "", "buy_amount": "1000"}
    body = client.get("/sep38/price", query).json()
    assert body["buy_amount"] == "1000"
    assert body["sell_amount"] == "60.5461921"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"buy_amount": "5"}, "sell_amount"),
        ({"sell_amount": ""}, "buy_amount"),
        ({"context": ""}, "context"),
        ({"context": "sep6"}, "context"),
        ({"context": "sep24"}, "context"),
        ({"buy_asset": USDC}, "exchange"),
        ({"sell_asset": MXN, "buy_asset": USDC}, "exchange"),
        ({"sell_asset": USDC.lower()}, "sell_asset"),
    ],
)
def test_price_refuses_a_bad_query_by_the_name_of_its_field(client, rates, change, named):
    response = client.get("/sep38/price", {**PRICE, **change})
    assert response.status_code == 400, response.content
    assert named in response.json()["error"]


def age_rate(buy: str, days: int) -> None:
    Rate.objects.filter(buy_asset=buy).update(created_at=timezone.now() - timedelta(days=days))


def test_the_newest_rate_counts(client, rates):
    before = client.get("/sep38/price", PRICE).json()
    Rate.objects.create(sell_asset=USDC, buy_asset=MXN, rate=Decimal("18"))
    after = client.get("/sep38/price", PRICE).json()
    assert Decimal(after["buy_amount"]) > Decimal(before["buy_amount"])


def test_a_rate_that_nobody_renewed_stops_prices(client, rates, caplog):
    age_rate(MXN, 11)
    response = client.get("/sep38/price", PRICE)
    assert response.status_code == 503
    assert "no current rate" in response.json()["error"]

    with caplog.at_level(logging.WARNING):
        listed = client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": "100"})
    assert [offer["asset"] for offer in listed.json()["buy_assets"]] == [USD]
    assert MXN in caplog.text

    age_rate(USD, 11)
    listed = client.get("/sep38/prices", {"sell_asset": USDC, "sell_amount": "100"})
    assert listed.status_code == 503


def test_an_older_rate_does_not_stand_in_for_none(client, db):
    assert client.get("/sep38/price", PRICE).status_code == 503


@pytest.mark.parametrize("path", ["info", "prices", "price"])
def test_only_get_is_served(client, db, path):
    response = client.post(f"/sep38/{path}", {}, content_type="application/json")
    assert response.status_code == 405
    assert response.json()["error"]


def test_info_of_an_anchor_without_pairs_is_an_empty_list(client, settings):
    settings.ANCHOR = {key: value for key, value in settings.ANCHOR.items() if key != "pairs"}
    pairs.all_pairs.cache_clear()
    assert client.get("/sep38/info").json() == {"assets": []}
