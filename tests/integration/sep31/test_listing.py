"""GET /transactions: a sending anchor's own, filtered and page by page."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sep31.machine import Status
from sep31.models import Transaction
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import make_transaction, record_payment, register_both, usdc
from tests.integration.sep31.test_flow import network_confirms, pay, rail_says

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def get(anchor: RegisteredAnchor, query: str = "", **parameters: Any) -> Any:
    query = query or urlencode(parameters, doseq=True)
    return Client().get(f"/sep31/transactions?{query}", headers=anchor.headers())


def listed(anchor: RegisteredAnchor, query: str = "", **parameters: Any) -> list[str]:
    answer = get(anchor, query, **parameters)
    assert answer.status_code == 200, answer.content
    return [one["id"] for one in answer.json()["transactions"]]


def pages(anchor: RegisteredAnchor, **parameters: Any) -> Iterator[list[str]]:
    cursor: dict[str, str] = {}
    while True:
        body = get(anchor, **parameters, **cursor).json()
        yield [one["id"] for one in body["transactions"]]
        if "next_cursor" not in body:
            return
        cursor = {"cursor": body["next_cursor"]}


def make_many(
    anchor: RegisteredAnchor, number: int, *, start: datetime = NOON, **changes: Any
) -> list[str]:
    """Transactions one second apart, oldest first."""
    rows = [
        Transaction(
            **{
                "sending_anchor": anchor.sending_anchor,
                "account": anchor.account,
                "status": "expired",
                "reason": "deadline_passed",
                "amount_in": Decimal(100),
                "amount_in_asset": usdc(),
                "amount_out_asset": "iso4217:USD",
                "amount_fee_asset": usdc(),
                "funding_method": "bank_account",
                "stellar_account": settings.DISTRIBUTION_ACCOUNT,
                "memo_type": "id",
                "memo": str(uuid.uuid4().int >> 65),
                "deadline": NOON,
                "look_at": NOON,
                "started_at": start + timedelta(seconds=index),
                "updated_at": start + timedelta(seconds=index),
                **changes,
            }
        )
        for index in range(number)
    ]
    Transaction.objects.bulk_create(rows)
    return [str(row.pk) for row in rows]


# -- What a page shows ----------------------------------------------------------------------------
def test_each_transaction_is_shown_as_by_its_id(anchor: RegisteredAnchor) -> None:
    rows = [make_transaction(anchor) for _ in range(4)]
    pay(rows[1])
    rail_says(rows[1], "delivered", rail_reference="BANK-1")
    pay(rows[2])
    rail_says(rows[2], "failed")
    network_confirms(rows[2].refunds.get())
    body = get(anchor).json()
    assert set(body) == {"transactions"}
    for shown in body["transactions"]:
        alone = Client().get(f"/sep31/transactions/{shown['id']}", headers=anchor.headers())
        assert alone.json() == {"transaction": shown}
    statuses = [one["status"] for one in body["transactions"]]
    assert statuses == ["pending_sender", "refunded", "completed", "pending_sender"]


def test_only_ones_own_are_listed(anchor: RegisteredAnchor, stranger: RegisteredAnchor) -> None:
    theirs = make_transaction(stranger)
    assert listed(anchor) == []
    assert listed(anchor, customer_id=theirs.sender_id) == []
    assert listed(stranger) == [str(theirs.pk)]


# -- Filters --------------------------------------------------------------------------------------
@pytest.mark.parametrize("query", ["status=expired&status=error", "status=expired,error"])
def test_of_several_statuses_any_counts(anchor: RegisteredAnchor, query: str) -> None:
    old = make_many(anchor, 2)
    [failed] = make_many(anchor, 1, status="error", started_at=NOON + timedelta(hours=1))
    make_many(anchor, 1, status="refunded")
    assert listed(anchor, query) == [failed, *reversed(old)]
    assert listed(anchor, "status=error") == [failed]


def test_since_is_inclusive_and_until_is_not(anchor: RegisteredAnchor) -> None:
    ids = make_many(anchor, 5)
    assert listed(anchor, started_since="2026-11-23T12:00:01Z") == ids[:0:-1]
    assert listed(anchor, started_until="2026-11-23T12:00:01Z") == ids[:1]
    both = {"since": "2026-11-23T12:00:01Z", "until": "2026-11-23T13:00:03+01:00"}
    assert listed(anchor, **{f"started_{k}": v for k, v in both.items()}) == [ids[2], ids[1]]
    assert listed(anchor, **{f"updated_{k}": v for k, v in both.items()}) == [ids[1], ids[2]]


def test_a_customer_is_found_at_either_end(anchor: RegisteredAnchor) -> None:
    customers = register_both(anchor)
    mine = make_transaction(anchor)
    later = make_many(anchor, 2, sender_id=customers["receiver_id"], status="error")
    make_many(anchor, 1)
    assert set(listed(anchor, customer_id=customers["receiver_id"])) == {str(mine.pk), *later}
    assert listed(anchor, customer_id=customers["receiver_id"], status="error") == later[::-1]
    assert listed(anchor, customer_id=customers["sender_id"]) == [str(mine.pk)]
    assert listed(anchor, customer_id=uuid.uuid4()) == []


def test_a_customer_at_both_ends_is_no_two_transactions(anchor: RegisteredAnchor) -> None:
    one = register_both(anchor)["sender_id"]
    ids = make_many(anchor, 3, sender_id=one, receiver_id=one)
    assert listed(anchor, customer_id=one) == ids[::-1]


# -- Pages ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"status": ["expired", "error"]},
        {"updated_since": "2026-11-23T11:00:00Z"},
        {"updated_since": "2026-11-23T11:00:00Z", "status": "expired"},
    ],
)
def test_pages_join_without_gap_or_double(
    anchor: RegisteredAnchor, parameters: dict[str, Any]
) -> None:
    ids = [*make_many(anchor, 4), *make_many(anchor, 4)]  # two of each moment
    found = list(pages(anchor, limit=3, **parameters))
    assert [len(page) for page in found] == [3, 3, 2]
    joined = [one for page in found for one in page]
    assert sorted(joined) == sorted(ids)
    assert joined == listed(anchor, **parameters)


def test_what_is_new_meanwhile_moves_no_page(anchor: RegisteredAnchor) -> None:
    ids = make_many(anchor, 4)
    walk = pages(anchor, limit=2)
    assert next(walk) == [ids[3], ids[2]]
    make_many(anchor, 3, started_at=NOON + timedelta(hours=1))
    assert next(walk) == [ids[1], ids[0]]


def test_what_changes_meanwhile_is_met_again_by_those_who_ask_for_changes(
    anchor: RegisteredAnchor,
) -> None:
    ids = make_many(anchor, 4)
    walk = pages(anchor, limit=2, updated_since="2026-11-23T12:00:00Z")
    assert next(walk) == ids[:2]
    Transaction.objects.filter(pk=ids[2]).update(updated_at=NOON + timedelta(hours=1))
    assert next(walk) == [ids[3], ids[2]]


def test_a_page_has_fifty_unless_asked_and_two_hundred_at_most(anchor: RegisteredAnchor) -> None:
    make_many(anchor, 201)
    assert len(listed(anchor)) == 50
    assert len(listed(anchor, limit=200)) == 200
    assert len(listed(anchor, limit=1)) == 1


# -- What it costs --------------------------------------------------------------------------------
@pytest.mark.parametrize("limit", [1, 100])
def test_the_queries_do_not_grow_with_the_page(
    anchor: RegisteredAnchor, limit: int, django_assert_num_queries: Any
) -> None:
    for row in [make_transaction(anchor) for _ in range(3)]:
        record_payment(row)
    make_many(anchor, 100)
    with django_assert_num_queries(3):
        assert len(listed(anchor, limit=limit)) == limit


@pytest.mark.parametrize(
    "query",
    [
        "",
        "status=error",
        "status=error,expired",
        "updated_since=2026-11-23T00:00:00Z",
        "updated_since=2026-11-23T00:00:00Z&status=error",
        "customer_id=00000000-0000-4000-8000-000000000001",
    ],
)
def test_a_page_reads_ranges_of_indexes_and_never_the_table(
    anchor: RegisteredAnchor, stranger: RegisteredAnchor, query: str
) -> None:
    """The rows of a status that is rare, or of a small sending anchor, stand among many others."""
    make_many(stranger, 1500)
    make_many(anchor, 1500, start=NOON + timedelta(days=1))
    make_many(anchor, 3, status="error")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sep31_transaction")
    with CaptureQueriesContext(connection) as queries:
        get(anchor, query + "&limit=2")
    [page] = [q["sql"] for q in queries if "sep31_transaction" in q["sql"] and "LIMIT" in q["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + page)
        [plan] = cursor.fetchone()[0]
    read = [node["Actual Rows"] for node in nodes_of(plan["Plan"]) if "Relation Name" in node]
    assert sum(read) <= 3 * len(Status)
    assert "Seq Scan" not in {node["Node Type"] for node in nodes_of(plan["Plan"])}


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes_of(inner)


# -- Hostile parameters ---------------------------------------------------------------------------
BAD = [
    *("status=paid", "status=EXPIRED", "customer_id=x", "customer_id=%00"),
    *("limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=%D9%A1", f"limit={'9' * 30}"),
    *("started_since=yesterday", "started_since=2026-11-23", "started_since=2026-11-23T12:00:00"),
    *("started_until=2026-13-01T00:00:00Z", "updated_since=0001-01-01T00:00:00Z"),
    *("cursor=x", "cursor=%00", "cursor=%F0%9F%98%80", f"cursor={'A' * 40}", f"cursor={'_' * 34}"),
    *("limit=1&limit=2", "colour=red"),
]


@pytest.mark.parametrize("query", BAD)
def test_bad_parameters_are_a_400_that_names_them(anchor: RegisteredAnchor, query: str) -> None:
    answer = get(anchor, query)
    assert answer.status_code == 400, query
    assert query.split("=")[0] in answer.json()["error"]


def test_the_two_orders_can_not_be_mixed(anchor: RegisteredAnchor) -> None:
    make_many(anchor, 3)
    moment = "2026-11-23T12:00:00Z"
    mixed = get(anchor, started_since=moment, updated_until=moment)
    assert mixed.status_code == 400
    assert "updated_until" in mixed.json()["error"]
    cursor = get(anchor, limit=1).json()["next_cursor"]
    other = get(anchor, cursor=cursor, updated_since=moment)
    assert other.status_code == 400
    assert "cursor" in other.json()["error"]


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("status", "customer_id", "started_since", "started_until", "updated_since"),
                *("updated_until", "cursor", "limit", "other"),
            ]
        ),
        st.text() | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        max_size=3,
    )
)
def test_no_query_makes_a_500(anchor: RegisteredAnchor, query: dict[str, str]) -> None:
    client = Client(raise_request_exception=False)
    answer = client.get("/sep31/transactions", query, headers=anchor.headers())
    assert answer.status_code in (200, 400)
    assert ("error" in answer.json()) is (answer.status_code == 400)


def test_the_time_that_is_meant_is_the_one_given_whatever_its_zone(
    anchor: RegisteredAnchor,
) -> None:
    row = make_transaction(anchor)
    now = (timezone.now() + timedelta(minutes=1)).isoformat()
    assert "+00:00" in now
    assert listed(anchor, f"started_until={now}") == [str(row.pk)]  # the + not escaped


def test_a_zone_further_off_than_any_on_earth_is_a_zone_all_the_same(
    anchor: RegisteredAnchor,
) -> None:
    """ISO 8601 has them, PostgreSQL does not."""
    row = make_transaction(anchor)
    assert listed(anchor, started_since="2000-01-01T00:00:00-19:30") == [str(row.pk)]
