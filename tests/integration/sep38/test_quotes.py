"""POST /quote and GET /quote/:id."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stellar_sdk import Keypair

from kernel.assets import parse_asset_name
from kernel.errors import BadRequest, NotFound
from sep10.models import SendingAnchorAccount
from sep38.models import Quote, Rate
from sep38.rates import NoFreshRate
from sep38.services import get_owned_quote, price_now
from tests.fixtures.callers import bearer_for, make_sending_anchor
from tests.integration.sep38.conftest import MXN, USD, USDC

pytestmark = pytest.mark.django_db


def in_seconds(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_firm_quote_is_created_and_kept(post_quote, anchor, rates, quote_body):
    response = post_quote(quote_body)
    assert response.status_code == 201
    body = response.json()
    assert body["sell_asset"] == USDC
    assert body["sell_amount"] == "100"
    assert body["buy_asset"] == MXN
    assert body["buy_amount"] == "1662.63"
    assert body["buy_delivery_method"] == "bank_account"
    assert "sell_delivery_method" not in body
    assert body["fee"]["total"] == "1.5"

    quote = Quote.objects.get(pk=body["id"])
    assert quote.account == anchor.account
    assert quote.sending_anchor == anchor.sending_anchor
    assert quote.rate == Rate.objects.get(buy_asset=MXN)
    assert quote.fee_total == Decimal("1.5")
    lifetime = quote.expires_at - timezone.now()
    assert timedelta(seconds=500) < lifetime <= timedelta(seconds=600)


def test_a_quote_takes_three_queries_and_is_read_with_one(
    post_quote, client, anchor, rates, quote_body, django_assert_num_queries
):
    with django_assert_num_queries(3):  # the token's account, the rate, the insert
        quote = post_quote(quote_body).json()
    with django_assert_num_queries(1):  # the quote with the token's account
        client.get(f"/sep38/quote/{quote['id']}", headers=anchor.headers())


def test_a_quote_reads_the_same_later_even_past_its_expiry_and_under_new_rates(
    post_quote, client, anchor, rates, quote_body
):
    created = post_quote({**quote_body, "sell_amount": "33.3333333"}).json()
    Rate.objects.create(sell_asset=USDC, buy_asset=MXN, rate=Decimal("20"))
    read = client.get(f"/sep38/quote/{created['id']}", headers=anchor.headers())
    assert (read.status_code, read.json()) == (200, created)

    long_ago = timezone.now() - timedelta(days=30)
    Quote.objects.update(created_at=long_ago, expires_at=long_ago + timedelta(seconds=600))
    read = client.get(f"/sep38/quote/{created['id']}", headers=anchor.headers())
    assert read.status_code == 200
    assert read.json()["buy_amount"] == created["buy_amount"]


def test_a_quote_is_its_owners_alone(post_quote, client, rates, quote_body):
    quote_id = post_quote(quote_body).json()["id"]
    stranger = make_sending_anchor()
    response = client.get(f"/sep38/quote/{quote_id}", headers=stranger.headers())
    unknown = client.get(f"/sep38/quote/{uuid.uuid4()}", headers=stranger.headers())
    assert response.status_code == unknown.status_code == 404
    assert response.json() == unknown.json(), "nobody learns which ids exist"


def test_another_account_of_the_same_sending_anchor_is_a_stranger_too(
    post_quote, client, anchor, rates, quote_body
):
    quote_id = post_quote(quote_body).json()["id"]
    other = Keypair.random().public_key
    SendingAnchorAccount.objects.create(sending_anchor=anchor.sending_anchor, account=other)
    response = client.get(f"/sep38/quote/{quote_id}", headers={"Authorization": bearer_for(other)})
    assert response.status_code == 404


@pytest.mark.parametrize(
    "quote_id", ["1", "x", "%00", "{00000000-0000-0000-0000-000000000000}", "a" * 5000, "%F0%9F"]
)
def test_what_cannot_be_an_id_is_not_found(client, anchor, quote_id):
    response = client.get(f"/sep38/quote/{quote_id}", headers=anchor.headers())
    assert response.status_code == 404
    assert response.json()["error"]


def test_both_endpoints_need_a_token(client, db, quote_body):
    for response in (
        client.post("/sep38/quote", quote_body, content_type="application/json"),
        client.post("/sep38/quote", b"no JSON", content_type="application/json"),
        client.get(f"/sep38/quote/{uuid.uuid4()}"),
        client.get(f"/sep38/quote/{uuid.uuid4()}", headers={"Authorization": "Bearer x"}),
    ):
        assert response.status_code == 403
        assert response.json()["error"]


@pytest.mark.parametrize(
    "written", ['"123.4567891"', "123.4567891", '"123.45678910"', "123.4567891000"]
)
def test_an_amount_keeps_every_digit_as_text_or_as_a_number(post_quote, rates, quote_body, written):
    body = json.dumps({**quote_body, "sell_amount": "@"}).replace('"@"', written)
    response = post_quote(body)
    assert response.status_code == 201
    assert response.json()["sell_amount"] == "123.4567891"
    assert Quote.objects.get().sell_amount == Decimal("123.4567891")


def test_who_names_what_to_buy_gets_exactly_that(post_quote, rates, quote_body):
    del quote_body["sell_amount"]
    body = post_quote({**quote_body, "buy_amount": "1000"}).json()
    assert body["buy_amount"] == "1000"
    assert body["sell_amount"] == "60.5461921"


def test_a_single_delivery_method_need_not_be_named(post_quote, rates, quote_body):
    body = {**quote_body, "buy_asset": USD, "country_code": "US"}
    del body["buy_delivery_method"]
    response = post_quote(body)
    assert response.status_code == 201
    assert "buy_delivery_method" not in response.json()


def test_expire_after_is_granted_up_to_the_limit_of_the_pair(post_quote, rates, quote_body):
    wanted = in_seconds(3500)
    assert post_quote({**quote_body, "expire_after": wanted}).json()["expires_at"] == wanted
    sooner = in_seconds(5)
    assert post_quote({**quote_body, "expire_after": sooner}).json()["expires_at"] > sooner
    refused = post_quote({**quote_body, "expire_after": in_seconds(3700)})
    assert refused.status_code == 400
    assert "expire_after" in refused.json()["error"]


@pytest.mark.parametrize(
    "written",
    [
        lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S"),
        lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.123Z"),
        lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.000000001Z"),
        lambda moment: (moment + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    ],
)
def test_expire_after_may_be_written_in_any_iso_form(post_quote, rates, quote_body, written):
    wanted = datetime.now(UTC) + timedelta(seconds=3000)
    response = post_quote({**quote_body, "expire_after": written(wanted)})
    assert response.status_code == 201, response.content
    granted = datetime.fromisoformat(response.json()["expires_at"])
    assert timedelta(seconds=-1) < granted - wanted <= timedelta(seconds=1)


BAD = [
    ({"sell_amount": "NaN"}, "sell_amount"),
    ({"sell_amount": "Infinity"}, "sell_amount"),
    ({"sell_amount": "1e400"}, "sell_amount"),
    ({"sell_amount": "1.00000001"}, "sell_amount"),
    ({"sell_amount": 1.00000001}, "sell_amount"),
    ({"sell_amount": "-5"}, "sell_amount"),
    ({"sell_amount": -5}, "sell_amount"),
    ({"sell_amount": "0"}, "sell_amount"),
    ({"sell_amount": 0}, "sell_amount"),
    ({"sell_amount": True}, "sell_amount"),
    ({"sell_amount": ["100"]}, "sell_amount"),
    ({"sell_amount": {"value": "100"}}, "sell_amount"),
    ({"sell_amount": " 100"}, "sell_amount"),
    ({"sell_amount": "0.9999999"}, "sell_amount"),
    ({"sell_amount": "10000.0000001"}, "sell_amount"),
    ({"sell_amount": "999999999999999999999"}, "sell_amount"),
    ({"sell_amount": None}, "buy_amount"),
    ({"buy_amount": "100"}, "buy_amount"),
    ({"sell_amount": None, "buy_amount": "10.001"}, "buy_amount"),
    ({"sell_amount": None, "buy_amount": "922337203685"}, "buy_amount"),
    ({"sell_amount": None, "buy_amount": "900000"}, "buy_amount"),
    ({"sell_asset": None}, "sell_asset"),
    ({"sell_asset": "USDC"}, "sell_asset"),
    ({"sell_asset": [USDC]}, "sell_asset"),
    ({"sell_asset": 7}, "sell_asset"),
    ({"sell_asset": MXN}, "exchange"),
    ({"buy_asset": "iso4217:EUR"}, "exchange"),
    ({"buy_asset": "stellar:USDC:GBAD"}, "buy_asset"),
    ({"buy_delivery_method": None}, "buy_delivery_method"),
    ({"buy_delivery_method": "cash"}, "buy_delivery_method"),
    ({"buy_delivery_method": ["bank_account"]}, "buy_delivery_method"),
    ({"sell_delivery_method": "cash"}, "sell_delivery_method"),
    ({"country_code": "DE"}, "country_code"),
    ({"country_code": 52}, "country_code"),
    ({"context": None}, "context"),
    ({"context": "sep6"}, "context"),
    ({"context": "sep24"}, "context"),
    ({"context": ["sep31"]}, "context"),
    ({"expire_after": "tomorrow"}, "expire_after"),
    ({"expire_after": "2030-01-31"}, "expire_after"),
    ({"expire_after": "2030-02-30T00:00:00Z"}, "expire_after"),
    ({"expire_after": "9999-12-31T23:59:59.9Z"}, "expire_after"),
    ({"expire_after": "0001-01-01T00:00:00+14:00"}, "expire_after"),
    ({"expire_after": "٢٠٣٠-01-01T00:00:00Z"}, "expire_after"),
    ({"expire_after": 1900000000}, "expire_after"),
]


@pytest.mark.parametrize(("change", "named"), BAD)
def test_a_bad_body_is_refused_by_the_name_of_its_field_and_nothing_is_written(
    post_quote, rates, quote_body, change, named
):
    response = post_quote({**quote_body, **change})
    assert response.status_code == 400, response.content
    assert named in response.json()["error"]
    assert Quote.objects.count() == 0


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"[" * 5000),
        b'{"sell_amount": NaN}',
        b'{"sell_amount": 1e400}',
        b'{"sell_amount": 1e999999999}',
        b'{"sell_amount": 1' + b"0" * 9999,
    ],
)
def test_what_is_no_json_object_is_a_400(post_quote, rates, raw):
    response = post_quote(raw)
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_only_json_is_taken(client, anchor, rates, content_type):
    response = client.post(
        "/sep38/quote", b"sell_amount=1", content_type=content_type, headers=anchor.headers()
    )
    assert 400 <= response.status_code < 500
    assert "application/json" in response.json()["error"]


def test_an_amount_in_the_limits_of_the_asset_is_served(post_quote, rates, quote_body):
    for amount in ("2", "10000"):
        assert post_quote({**quote_body, "sell_amount": amount}).status_code == 201


def test_no_quote_is_made_from_an_old_rate(post_quote, rates, quote_body):
    Rate.objects.update(created_at=timezone.now() - timedelta(days=11))
    response = post_quote(quote_body)
    assert response.status_code == 503
    assert "no current rate" in response.json()["error"]
    assert Quote.objects.count() == 0


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([USDC, MXN, USD, "sep31", "bank_account", "MX", "100", "1.5", "2"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
fields = st.sampled_from(
    [
        *("sell_asset", "buy_asset", "sell_amount", "buy_amount", "context", "expire_after"),
        *("buy_delivery_method", "sell_delivery_method", "country_code", "id"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.dictionaries(fields, json_values, max_size=4))
def test_no_body_is_a_500(post_quote, rates, quote_body, changes):
    response = post_quote(json.dumps({**quote_body, **changes}))
    assert response.status_code in (201, 400), response.content
    assert response.status_code == 201 or response.json()["error"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.dictionaries(
        fields, st.text(max_size=30) | st.sampled_from([USDC, MXN, "1", "2.5", "sep31"]), max_size=4
    ),
    path=st.sampled_from(["prices", "price"]),
)
def test_no_query_is_a_500(client, rates, changes, path):
    query = {"sell_asset": USDC, "sell_amount": "100", "context": "sep31", "buy_asset": MXN}
    clean = {key: value.encode("utf-8", "replace") for key, value in (query | changes).items()}
    response = client.get(f"/sep38/{path}", clean)
    assert response.status_code in (200, 400), response.content


def test_other_rooms_get_a_quote_of_their_caller_only(post_quote, anchor, rates, quote_body):
    quote_id = post_quote(quote_body).json()["id"]
    assert str(get_owned_quote(anchor.caller(), quote_id).pk) == quote_id
    assert str(get_owned_quote(anchor.caller(), quote_id.upper()).pk) == quote_id
    with pytest.raises(NotFound):
        get_owned_quote(make_sending_anchor().caller(), quote_id)
    for bad in (None, 7, [quote_id], {"id": quote_id}):
        with pytest.raises(BadRequest, match="quote_id"):
            get_owned_quote(anchor.caller(), bad)


def test_price_now_follows_the_newest_rate_and_knows_no_limits_of_requests(rates):
    sell, buy = parse_asset_name(USDC), parse_asset_name(MXN)
    price = price_now(sell, buy, sell_amount=Decimal("20000"), delivery_method="mobile_money")
    assert price.buy_amount == Decimal("335885.17")  # (20000 - 101) * 17.05 * 0.99, down
    with pytest.raises(BadRequest):
        price_now(sell, buy, sell_amount=Decimal(10), delivery_method="cash")
    with pytest.raises(BadRequest):
        price_now(buy, sell, sell_amount=Decimal(10), delivery_method=None)
    Rate.objects.all().delete()
    with pytest.raises(NoFreshRate):
        price_now(sell, buy, sell_amount=Decimal(10), delivery_method=None)


def test_the_newest_rate_is_found_by_index_however_long_the_history(rates):
    Rate.objects.bulk_create(
        Rate(sell_asset=USDC, buy_asset=MXN, rate=Decimal(17)) for _ in range(2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sep38_rate")
        cursor.execute(
            "EXPLAIN SELECT * FROM sep38_rate WHERE sell_asset = %s AND buy_asset = %s "
            "ORDER BY id DESC LIMIT 1",
            [USDC, MXN],
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Scan" in plan
