"""A firm quote is good for one transaction: its owner's, before its expiry, however many try."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sep31.models import Event, Transaction
from sep38.models import Quote
from sep38.services import purge_expired_quotes
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.transactions import order, register_both
from tests.integration.sep38.conftest import MXN

pytestmark = pytest.mark.django_db

TOGETHER = 100


def redeem(anchor: RegisteredAnchor, quote: dict[str, Any], customers: dict[str, str]) -> Any:
    body = order(
        quote_id=quote["id"],
        amount=quote["sell_amount"],
        destination_asset=MXN,
        **customers,
    )
    return Client().post(
        "/sep31/transactions", body, content_type="application/json", headers=anchor.headers()
    )


@pytest.mark.django_db(transaction=True)
def test_of_a_hundred_redemptions_at_once_one_makes_a_transaction(
    anchor, rates, post_quote, quote_body
):
    quote, customers = post_quote(quote_body).json(), register_both(anchor)
    together, answers = threading.Barrier(TOGETHER), []

    def run() -> None:
        try:
            together.wait()
            answers.append(redeem(anchor, quote, customers))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: TOGETHER - 1}
    refused = {answer.json()["error"] for answer in answers if answer.status_code == 400}
    assert refused == {"quote_id names a quote that was already used"}
    row = Transaction.objects.get()
    assert str(row.quote_id) == quote["id"]
    assert Event.objects.count() == 1


def test_the_same_order_again_says_that_the_quote_was_used(anchor, rates, post_quote, quote_body):
    quote, customers = post_quote(quote_body).json(), register_both(anchor)
    assert redeem(anchor, quote, customers).status_code == 201
    again = redeem(anchor, quote, customers)
    assert again.status_code == 400
    assert again.json() == {"error": "quote_id names a quote that was already used"}


def test_the_transaction_is_as_the_quote_says(anchor, rates, client, post_quote, quote_body):
    quote, customers = post_quote(quote_body).json(), register_both(anchor)
    made = redeem(anchor, quote, customers).json()
    shown = client.get(f"/sep31/transactions/{made['id']}", headers=anchor.headers()).json()
    transaction = shown["transaction"]
    assert transaction["quote_id"] == quote["id"]
    assert transaction["amount_in"] == quote["sell_amount"]
    assert transaction["amount_out"] == quote["buy_amount"]
    assert transaction["fee_details"] == quote["fee"]


def test_another_memo_of_the_account_may_redeem_and_another_account_may_not(
    anchor, rates, post_quote, quote_body
):
    quote, customers = post_quote(quote_body).json(), register_both(anchor)
    stranger = make_sending_anchor()
    assert redeem(stranger, quote, register_both(stranger)).status_code == 400
    body = order(quote_id=quote["id"], destination_asset=MXN, **customers)
    response = Client().post(
        "/sep31/transactions",
        body,
        content_type="application/json",
        headers=anchor.headers(memo="1"),
    )
    assert response.status_code == 201, response.content


def test_an_expired_quote_is_not_redeemed(anchor, rates, post_quote, quote_body):
    quote, customers = post_quote(quote_body).json(), register_both(anchor)
    now = timezone.now()
    Quote.objects.update(created_at=now - timedelta(minutes=9), expires_at=now)
    refused = redeem(anchor, quote, customers)
    assert refused.status_code == 400
    assert "expired" in refused.json()["error"]


# -- The purge -------------------------------------------------------------------------------------
def expire(days: float, **of: Any) -> None:
    moment = timezone.now() - timedelta(days=days)
    quotes = Quote.objects.filter(**of)
    quotes.update(created_at=moment - timedelta(minutes=10), expires_at=moment)


def test_a_quote_that_nobody_redeemed_goes_after_the_documented_time(
    anchor, rates, client, post_quote, quote_body, settings
):
    settings.QUOTE_KEEP_DAYS = 90
    young, old = (post_quote(quote_body).json()["id"] for _ in range(2))
    expire(89.9, pk=young)
    expire(90.1, pk=old)
    assert purge_expired_quotes() == 1
    assert client.get(f"/sep38/quote/{young}", headers=anchor.headers()).status_code == 200
    assert client.get(f"/sep38/quote/{old}", headers=anchor.headers()).status_code == 404


def test_a_redeemed_quote_stays_for_good(anchor, rates, client, post_quote, quote_body):
    quote, customers = post_quote(quote_body).json(), register_both(anchor)
    redeem(anchor, quote, customers)
    expire(4000)
    assert purge_expired_quotes() == 0
    kept = client.get(f"/sep38/quote/{quote['id']}", headers=anchor.headers())
    assert kept.status_code == 200


def test_the_purge_goes_in_batches_and_looks_at_each_redeemed_quote_once(
    anchor, rates, post_quote, quote_body
):
    quote, customers = post_quote(quote_body).json(), register_both(anchor)
    redeem(anchor, quote, customers)
    for _ in range(5):
        post_quote(quote_body)
    expire(100)
    assert purge_expired_quotes(limit=2, batches=2) == 3
    assert purge_expired_quotes(limit=2) == 2
    assert Quote.objects.get().kept
    with CaptureQueriesContext(connection) as queries:
        assert purge_expired_quotes() == 0
    assert not [q for q in queries if "DELETE" in q["sql"] or "UPDATE sep38" in q["sql"]]


@pytest.mark.django_db(transaction=True)
def test_two_purges_at_once_do_the_work_once(anchor, rates, post_quote, quote_body):
    for _ in range(8):
        post_quote(quote_body)
    expire(100)
    together, deleted = threading.Barrier(4), []

    def run() -> None:
        try:
            together.wait()
            deleted.append(purge_expired_quotes(limit=3))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(deleted) + purge_expired_quotes() == 8
    assert not Quote.objects.exists()
