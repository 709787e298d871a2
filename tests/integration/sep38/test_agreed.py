"""What was agreed with a sending anchor holds for its prices and quotes; fees by method."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sep10.models import SendingAnchor
from sep38.models import Quote
from tests.integration.sep38.conftest import MXN, USD, USDC

pytestmark = pytest.mark.django_db

PRICE = {"sell_asset": USDC, "buy_asset": MXN, "sell_amount": "100", "context": "sep31"}
OTHER = "stellar:native"


@pytest.fixture
def agree(anchor):
    def change(**values: Any) -> None:
        SendingAnchor.objects.filter(pk=anchor.sending_anchor.pk).update(**values)

    return change


def test_an_asset_that_was_not_agreed_has_no_price_and_no_quote(
    client, anchor, rates, agree, post_quote, quote_body
):
    agree(allowed_assets=[OTHER])
    for response in (
        post_quote(quote_body),
        client.get("/sep38/price", PRICE, headers=anchor.headers()),
        client.get(
            "/sep38/prices", {"sell_asset": USDC, "sell_amount": "9"}, headers=anchor.headers()
        ),
        client.get(
            "/sep38/prices", {"buy_asset": MXN, "buy_amount": "900"}, headers=anchor.headers()
        ),
    ):
        assert response.status_code == 400
        assert "not agreed with you" in response.json()["error"]
    assert not Quote.objects.exists()
    agree(allowed_assets=[OTHER, USDC])
    assert post_quote(quote_body).status_code == 201


def test_info_shows_who_asks_with_a_token_what_was_agreed(client, anchor, agree):
    agree(allowed_assets=[OTHER])
    assert client.get("/sep38/info", headers=anchor.headers()).json() == {"assets": []}
    assert client.get("/sep38/info").json()["assets"]


def test_an_amount_over_what_was_agreed_is_refused_either_way(
    client, anchor, rates, agree, post_quote, quote_body
):
    agree(max_transaction_amount=Decimal("100"))
    assert post_quote(quote_body).status_code == 201
    over = post_quote({**quote_body, "sell_amount": "100.0000001"})
    assert over.status_code == 400
    assert over.json()["error"] == (
        "sell_amount is too large: at most 100 USDC was agreed with you"
    )
    by_what_is_bought = {**PRICE, "sell_amount": "", "buy_amount": "1700"}
    response = client.get("/sep38/price", by_what_is_bought, headers=anchor.headers())
    assert response.status_code == 400
    assert "buy_amount is too large (it takes 102." in response.json()["error"]
    listed = client.get(
        "/sep38/prices", {"buy_asset": MXN, "buy_amount": "1700"}, headers=anchor.headers()
    )
    assert listed.status_code == 400
    assert client.get("/sep38/price", by_what_is_bought).status_code == 200, "nobody in particular"


# -- Fees ------------------------------------------------------------------------------------------
def by_method(asset: str) -> dict[str, Any]:
    return {
        "fee_fixed": None,
        "fee_percent": None,
        "fee_asset": asset,
        "fees": [
            {"name": "Service fee", "percent": "1", "description": "For our work."},
            {"name": "Wallet fee", "fixed": "5", "methods": ["mobile_money"]},
        ],
    }


def test_each_delivery_method_is_quoted_with_its_own_fees(configure, rates, post_quote, quote_body):
    configure(by_method("sell"))
    for method, details in (
        ("bank_account", [{"name": "Service fee", "description": "For our work.", "amount": "1"}]),
        (
            "mobile_money",
            [
                {"name": "Service fee", "description": "For our work.", "amount": "1"},
                {"name": "Wallet fee", "amount": "5"},
            ],
        ),
    ):
        body = post_quote({**quote_body, "buy_delivery_method": method}).json()
        total = sum(Decimal(detail["amount"]) for detail in details)
        assert body["fee"] == {"total": str(total), "asset": USDC, "details": details}
        assert Decimal(body["buy_amount"]) == (
            (100 - total) * Decimal("17.05") * Decimal("0.99")
        ).quantize(Decimal("0.01"), "ROUND_DOWN")


def test_a_price_without_a_method_is_that_of_the_first_one_as_in_sep31(configure, rates, client):
    configure(by_method("sell"))
    unnamed = client.get("/sep38/price", PRICE).json()
    assert (
        unnamed
        == client.get("/sep38/price", {**PRICE, "buy_delivery_method": "bank_account"}).json()
    )


def test_prices_are_those_of_the_method_and_country_that_are_named(configure, rates, client):
    configure({"spread_percent": "0", **by_method("buy")})
    query = {"sell_asset": USDC, "sell_amount": "100"}
    body = client.get("/sep38/prices", {**query, "buy_delivery_method": "mobile_money"}).json()
    [offer] = body["buy_assets"]
    assert Decimal(offer["price"]) == pytest.approx(1 / Decimal("17.05")), "without fees"
    one = client.get("/sep38/price", {**PRICE, "buy_delivery_method": "mobile_money"}).json()
    assert one["fee"]["total"] == "22.05"
    assert offer["price"] == one["price"]


def test_a_fee_in_what_is_bought_is_in_that_asset(configure, rates, post_quote, quote_body):
    configure(by_method("buy"))
    body = post_quote(quote_body).json()
    assert body["fee"]["asset"] == MXN
    # 100 * 17.05 * 0.99 = 1687.95, of which 1 % rounded up stays with us.
    assert (body["buy_amount"], body["fee"]["total"]) == ("1671.07", "16.88")
    quote = Quote.objects.get(pk=body["id"])
    assert (quote.fee_asset, quote.fee_total) == (MXN, Decimal("16.88"))
    whole = Decimal(body["price"]) * (quote.buy_amount + quote.fee_total)
    assert whole.quantize(Decimal("0.0000001")) == 100


def test_other_pairs_keep_their_own_fees(configure, rates, post_quote, quote_body):
    configure(by_method("buy"))
    body = post_quote({**quote_body, "buy_asset": USD, "country_code": "US"}).json()
    assert body["fee"]["total"] == "1.5"
    assert body["fee"]["asset"] == USDC
