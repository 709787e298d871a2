"""SEP-31's endpoints as a sending anchor meets them."""

from __future__ import annotations

import base64
import json

import pytest
from django.db import OperationalError
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stellar_sdk import HashMemo, IdMemo, TextMemo

from sep1.assets import received_assets
from sep12.models import CustomerField
from sep31.models import Event, Transaction
from sep38.models import Quote
from tests.fixtures.transactions import (
    RECEIVER,
    make_transaction,
    order,
    post_transaction,
    register_both,
    register_customer,
)

pytestmark = pytest.mark.django_db
JSON = "application/json"


def get(anchor, path):
    return Client().get(f"/sep31/{path}", headers=anchor.headers())


def make_quote(anchor, **changes):
    answer = Client().post(
        "/sep38/quote",
        {
            "sell_asset": f"stellar:USDC:{order()['asset_issuer']}",
            "buy_asset": "iso4217:MXN",
            "sell_amount": "100",
            "buy_delivery_method": "bank_account",
            "context": "sep31",
            **changes,
        },
        content_type=JSON,
        headers=anchor.headers(),
    )
    assert answer.status_code == 201, answer.content
    return answer.json()


# -- GET /info --------------------------------------------------------------------------------


def test_info_tells_what_we_receive_to_anyone():
    answer = Client().get("/sep31/info")
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "*"
    usdc = answer.json()["receive"]["USDC"]
    assert usdc["funding_methods"] == ["bank_account", "mobile_money"]
    assert usdc["quotes_supported"] is True
    assert usdc["quotes_required"] is False
    assert (usdc["min_amount"], usdc["max_amount"]) == (2, 10000)
    assert set(usdc["sep12"]["receiver"]["types"]) == {"sep31-receiver", "sep31-mobile-receiver"}


def test_info_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        Client().get("/sep31/info")


# -- POST /transactions -----------------------------------------------------------------------


def test_accepted_customers_get_an_account_and_a_memo_to_pay_to_at_once(anchor, settings):
    answer = post_transaction(anchor, **register_both(anchor))
    assert answer.status_code == 201
    body = answer.json()
    assert body["stellar_account_id"] == settings.DISTRIBUTION_ACCOUNT
    assert body["stellar_memo_type"] == "id"
    assert 0 < int(body["stellar_memo"]) < 2**63
    assert set(body) == {"id", "stellar_account_id", "stellar_memo", "stellar_memo_type"}
    shown = get(anchor, f"transactions/{body['id']}").json()["transaction"]
    assert shown["status"] == "pending_sender"
    assert shown["amount_in"] == "100"
    assert (shown["amount_out"], shown["amount_fee"]) == ("98.5", "1.5")
    assert shown["stellar_memo"] == body["stellar_memo"]


@pytest.mark.parametrize("memo_type", ["id", "text", "hash"])
def test_the_memo_that_is_shown_is_one_that_stellar_takes(anchor, monkeypatch, settings, memo_type):
    [entry, *_] = settings.ANCHOR["assets"]
    monkeypatch.setitem(entry, "memo_type", memo_type)
    received_assets.cache_clear()
    try:
        body = post_transaction(anchor, **register_both(anchor)).json()
    finally:
        monkeypatch.undo()
        received_assets.cache_clear()
    assert body["stellar_memo_type"] == memo_type
    memo = body["stellar_memo"]
    row = Transaction.objects.get()
    if memo_type == "hash":
        assert HashMemo(base64.b64decode(memo)).memo_hash.hex() == row.memo
    else:
        made = IdMemo(int(memo)) if memo_type == "id" else TextMemo(memo)
        assert made.to_xdr_object()
        assert memo == row.memo


def test_customers_may_be_registered_later_and_the_memo_is_kept_back_until_then(anchor):
    created = post_transaction(anchor).json()
    assert set(created) == {"id"}
    assert get(anchor, f"transactions/{created['id']}").json()["transaction"]["status"] == (
        "pending_receiver"
    )


def test_a_firm_quote_fixes_every_amount(anchor, rate):
    quote = make_quote(anchor)
    row = make_transaction(
        anchor, quote_id=quote["id"], destination_asset="iso4217:MXN", amount=quote["sell_amount"]
    )
    shown = get(anchor, f"transactions/{row.pk}").json()["transaction"]
    assert shown["quote_id"] == quote["id"]
    assert shown["amount_in"] == quote["sell_amount"]
    assert shown["amount_out"] == quote["buy_amount"]
    assert shown["amount_out_asset"] == "iso4217:MXN"
    assert shown["fee_details"] == quote["fee"]
    assert row.deadline == Quote.objects.get().expires_at


def test_a_quote_is_redeemed_once(anchor, rate):
    quote = make_quote(anchor)
    customers = register_both(anchor)
    terms = {"quote_id": quote["id"], "amount": quote["sell_amount"], **customers}
    assert post_transaction(anchor, **terms).status_code == 201
    second = post_transaction(anchor, **terms)
    assert second.status_code == 400
    assert second.json() == {"error": "quote_id names a quote that was already used"}
    assert Transaction.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"amount": "99"}, "sell_amount"),
        ({"destination_asset": "iso4217:USD"}, "buy_asset"),
        ({"funding_method": "mobile_money"}, "buy_delivery_method"),
    ],
)
def test_a_request_that_differs_from_its_quote_is_refused(anchor, rate, changes, says):
    quote = make_quote(anchor)
    terms = {"quote_id": quote["id"], "amount": quote["sell_amount"], **changes}
    answer = post_transaction(anchor, **terms)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_someone_elses_quote_is_unknown(anchor, stranger, rate):
    quote = make_quote(stranger)
    answer = post_transaction(anchor, quote_id=quote["id"], amount=quote["sell_amount"])
    assert answer.status_code == 400
    assert "quote_id" in answer.json()["error"]
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    ("quotes", "with_one", "without"), [("required", 201, 400), ("none", 400, 201)]
)
def test_quotes_are_needed_or_refused_as_info_says(
    anchor, rate, settings, monkeypatch, request, quotes, with_one, without
):
    quote = make_quote(anchor)
    request.addfinalizer(received_assets.cache_clear)
    monkeypatch.setitem(settings.ANCHOR["assets"][0], "quotes", quotes)
    received_assets.cache_clear()
    for asked, terms in (
        (with_one, {"quote_id": quote["id"], "amount": quote["sell_amount"]}),
        (without, {"amount": quote["sell_amount"]}),
    ):
        answer = post_transaction(anchor, **register_both(anchor), **terms)
        assert answer.status_code == asked
        assert asked == 201 or "quote_id" in answer.json()["error"]


def test_a_customer_who_lacks_a_field_is_named_by_type(anchor):
    receiver = register_customer(anchor, "2", "sep31-receiver", first_name="Bob")
    answer = post_transaction(anchor, receiver_id=receiver)
    assert answer.status_code == 400
    assert answer.json() == {"error": "customer_info_needed", "type": "sep31-receiver"}
    assert not Transaction.objects.exists()


def test_the_funding_method_decides_what_must_be_known_of_the_receiver(anchor):
    receiver = register_customer(anchor, "2", "sep31-receiver", **RECEIVER)
    answer = post_transaction(anchor, receiver_id=receiver, funding_method="mobile_money")
    assert answer.status_code == 400
    assert answer.json() == {"error": "customer_info_needed", "type": "sep31-mobile-receiver"}
    register_customer(anchor, "2", "sep31-mobile-receiver", mobile_money_number="+5215512345678")
    answer = post_transaction(anchor, receiver_id=receiver, funding_method="mobile_money")
    assert answer.status_code == 201


def test_a_token_of_one_user_may_pay_another_user_of_the_same_account(anchor):
    customers = register_both(anchor)
    answer = Client().post(
        "/sep31/transactions",
        order(**customers),
        content_type=JSON,
        headers=anchor.headers(memo="1"),
    )
    assert answer.status_code == 201


def test_another_anchors_customer_is_unknown(anchor, stranger):
    customers = register_both(stranger)
    answer = post_transaction(anchor, **customers)
    assert answer.status_code == 400
    assert "sender_id" in answer.json()["error"]
    assert not Transaction.objects.exists()


BAD_AMOUNTS: list[object] = [
    *(0, "0", -1, "-1", "NaN", "Infinity", "1e400", "1e2", "100.12345678", "", None, True),
    *([], {}, "١٠٠", " 100", "0x10", "922337203685.4775808", "0.5", "10000.1", [100]),
]
BAD_CODES: list[object] = ["BTC", "usdc", "", None, 7, ["USDC"]]
BAD: list[dict[str, object]] = [
    *({"amount": value} for value in BAD_AMOUNTS),
    *({"asset_code": value} for value in BAD_CODES),
    {"asset_issuer": "G" * 56},
    {"asset_issuer": ["x"]},
    {"destination_asset": "iso4217:XXX"},
    {"destination_asset": "iso4217:EUR"},
    {"destination_asset": 5},
    {"funding_method": "pigeon"},
    {"funding_method": {}},
    {"quote_id": "no such"},
    {"quote_id": "00000000-0000-0000-0000-000000000000"},
    {"sender_id": "no such"},
    {"receiver_id": "00000000-0000-0000-0000-000000000000"},
    {"receiver_id": [1]},
    {"refund_memo": "1"},
    {"refund_memo_type": "id"},
    {"refund_memo": "x", "refund_memo_type": "id"},
    {"refund_memo": "-1", "refund_memo_type": "id"},
    {"refund_memo": str(2**64), "refund_memo_type": "id"},
    {"refund_memo": "x" * 29, "refund_memo_type": "text"},
    {"refund_memo": "short", "refund_memo_type": "hash"},
    {"refund_memo": "1", "refund_memo_type": "return"},
    {"fields": "x"},
    {"fields": {"transaction": []}},
    {"lang": ["en"]},
]


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_bad_input_is_a_400_that_names_the_field_and_leaves_nothing(anchor, changes):
    answer = post_transaction(anchor, **changes)
    assert answer.status_code == 400, answer.content
    assert next(iter(changes)).split("_")[0] in answer.json()["error"]
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'"x"', JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b'{"amount": NaN}', JSON, 400),
        (b'{"amount": 1, "amount": 2}', JSON, 400),
        (b'{"asset_code": "USDC\\u0000"}', JSON, 400),
        (b"[" * 100000, JSON, 400),
        (b"amount=100", "application/x-www-form-urlencoded", 415),
        (b"amount", "text/plain", 415),
        (b'{"a": "' + b"x" * 300_000 + b'"}', JSON, 413),
    ],
)
def test_bodies_that_are_no_json_object_are_refused(anchor, body, content_type, status):
    answer = Client().post(
        "/sep31/transactions", body, content_type=content_type, headers=anchor.headers()
    )
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("content_type", [JSON, "text/plain", "nonsense"])
@pytest.mark.parametrize("token", [None, "Bearer x", "Basic x", "Bearer "])
def test_without_a_valid_token_it_is_a_403_before_anything_is_parsed(db, token, content_type):
    headers = {"Authorization": token} if token else {}
    for method, path in [
        ("post", "transactions"),
        ("get", "transactions/x"),
        ("patch", "transactions/x"),
        ("put", "transactions/x/callback"),
    ]:
        answer = Client().generic(
            method.upper(), f"/sep31/{path}", b"{", content_type=content_type, headers=headers
        )
        assert answer.status_code == 403, (method, path)
        assert set(answer.json()) == {"error"}


def test_an_amount_keeps_each_of_its_digits(anchor):
    body = json.dumps(order(amount="1234.1234567")).replace('"1234.1234567"', "1234.1234567")
    answer = Client().post("/sep31/transactions", body, content_type=JSON, headers=anchor.headers())
    shown = get(anchor, f"transactions/{answer.json()['id']}").json()["transaction"]
    assert shown["amount_in"] == "1234.1234567"


def test_limits_agreed_with_a_sending_anchor_hold(anchor):
    anchor.sending_anchor.max_transaction_amount = 150
    anchor.sending_anchor.max_daily_amount = 250
    anchor.sending_anchor.save()
    assert post_transaction(anchor, amount="151").status_code == 400
    # Before anything is said of the customers.
    refused = post_transaction(anchor, amount="151", sender_id="x")
    assert "at most 150, as agreed with you" in refused.json()["error"]
    assert post_transaction(anchor, amount="150").status_code == 201
    refused = post_transaction(anchor, amount="101")
    assert refused.status_code == 400
    assert "100 is left" in refused.json()["error"]
    assert post_transaction(anchor, amount="100").status_code == 201


def test_posting_costs_a_fixed_number_of_queries(anchor, rate, django_assert_num_queries):
    terms = register_both(anchor)
    with django_assert_num_queries(1):  # the insert, which looks at the customers and the token
        assert post_transaction(anchor, **terms).status_code == 201
    with_quote = {**terms, "quote_id": make_quote(anchor)["id"]}
    with django_assert_num_queries(2):  # and the quote
        assert post_transaction(anchor, **with_quote).status_code == 201
    CustomerField.objects.create(
        customer_id=terms["sender_id"], name="sex", value="female", status="PROCESSING"
    )
    # The rule accepts them, but the insert can't tell: then both customers are read, and it comes.
    with django_assert_num_queries(3):
        assert "stellar_memo" in post_transaction(anchor, **terms).json()


# -- GET /transactions/:id --------------------------------------------------------------------


@pytest.mark.parametrize("unknown", ["x", "00000000-0000-0000-0000-000000000000", "%00", "é"])
def test_unknown_ids_are_404(anchor, unknown):
    answer = get(anchor, f"transactions/{unknown}")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}


def test_another_anchors_transaction_is_404_everywhere(anchor, stranger):
    row = make_transaction(anchor)
    client, headers = Client(), stranger.headers()
    path = f"/sep31/transactions/{row.pk}"
    assert client.get(path, headers=headers).status_code == 404
    assert client.patch(path, "{}", content_type=JSON, headers=headers).status_code == 404
    answer = client.put(
        f"{path}/callback", {"url": "https://a.example"}, content_type=JSON, headers=headers
    )
    assert answer.status_code == 404
    row.refresh_from_db()
    assert row.callback_url == ""


def test_reading_costs_one_query(anchor, django_assert_num_queries):
    path = f"transactions/{make_transaction(anchor).pk}"
    get(anchor, path)  # how long a status takes is read once a minute
    with django_assert_num_queries(1):  # the token's account, the transaction with all of its own
        get(anchor, path)


def test_a_database_that_does_not_answer_is_a_503_to_try_again(anchor, monkeypatch):
    def die(*_):
        raise OperationalError("server closed the connection: secret details")

    monkeypatch.setattr("sep31.views.read_owned_transaction", die)
    answer = get(anchor, "transactions/x")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert answer.json() == {"error": "Try again in a moment"}


# -- PATCH and callback -----------------------------------------------------------------------


def test_nothing_can_be_patched_that_was_not_asked_for(anchor):
    row = make_transaction(anchor)
    answer = Client().patch(
        f"/sep31/transactions/{row.pk}",
        {"fields": {"transaction": {"x": "y"}}},
        content_type=JSON,
        headers=anchor.headers(),
    )
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_a_callback_url_can_be_set_and_replaced(anchor, settings):
    settings.ALLOW_INSECURE_URLS = False
    row = make_transaction(anchor)
    for url in ("https://a.example/callback", "https://b.example/callback"):
        answer = Client().put(
            f"/sep31/transactions/{row.pk}/callback",
            {"url": url},
            content_type=JSON,
            headers=anchor.headers(),
        )
        assert (answer.status_code, answer.content) == (204, b"")
        row.refresh_from_db()
        assert row.callback_url == url


@pytest.mark.parametrize(
    "url",
    [None, 5, "", "x", "http://a.example/", "https://127.0.0.1/", "https://u:p@a.example/", []],
)
def test_a_callback_url_must_be_public_https(anchor, settings, url):
    settings.ALLOW_INSECURE_URLS = False
    row = make_transaction(anchor)
    answer = Client().put(
        f"/sep31/transactions/{row.pk}/callback",
        {"url": url},
        content_type=JSON,
        headers=anchor.headers(),
    )
    assert answer.status_code == 400
    assert "url" in answer.json()["error"]


# -- Anything at all --------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OPTIONAL = (
    "destination_asset quote_id sender_id receiver_id refund_memo refund_memo_type lang fields"
)
NAMES = st.sampled_from([*order(), *OPTIONAL.split()])


@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(NAMES, VALUES, max_size=4))
def test_no_body_makes_a_500(anchor, changes):
    answer = Client(raise_request_exception=False).post(
        "/sep31/transactions",
        json.dumps({**order(), **changes}),
        content_type=JSON,
        headers=anchor.headers(),
    )
    assert answer.status_code in (201, 400)
    assert ("error" in answer.json()) is (answer.status_code == 400)


def test_every_transaction_starts_with_one_event(anchor):
    row = make_transaction(anchor)
    [event] = Event.objects.filter(transaction=row)
    assert (event.from_status, event.to_status, event.actor) == (
        "",
        "pending_sender",
        anchor.account,
    )
