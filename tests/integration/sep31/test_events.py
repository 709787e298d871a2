"""GET /events: each change of status, in order, and none missed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import Client

from callbacks.models import Callback
from sep31 import services
from sep31.models import Event, Feed, Transaction
from sep31.receipts import match_payments
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import make_transaction, record_payment
from tests.integration.sep31.test_flow import pay, rail_says
from tests.integration.sep31.test_idempotency import wait_until_somebody_waits

pytestmark = pytest.mark.django_db


def get(anchor: RegisteredAnchor, **parameters: Any) -> Any:
    return Client().get("/sep31/events", parameters, headers=anchor.headers())


def read(anchor: RegisteredAnchor, **parameters: Any) -> list[dict[str, Any]]:
    answer = get(anchor, **parameters)
    assert answer.status_code == 200, answer.content
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


def test_it_tells_what_callbacks_tell_in_their_order(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor)
    Transaction.objects.update(callback_url="https://a.example/callback")
    row.refresh_from_db()
    pay(row)
    rail_says(row, "accepted")
    rail_says(row, "delivered")
    events = read(anchor)
    assert [event["cursor"] for event in events] == ["1", "2", "3"]
    assert [(event["previous_status"], event["status"]) for event in events] == [
        ("pending_sender", "pending_receiver"),
        ("pending_receiver", "pending_external"),
        ("pending_external", "completed"),
    ]
    assert Callback.objects.count() == len(events)
    assert events[2]["status_message"] == "The receiving client was paid."
    alone = Client().get(f"/sep31/transactions/{row.pk}", headers=anchor.headers()).json()
    for event in events:
        assert event["transaction"] == alone["transaction"]


def test_notes_and_the_first_status_are_no_changes(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor)
    pay(row, amount=1)
    assert row.events.count() == 2
    assert read(anchor) == []


def test_only_ones_own_changes_are_told(
    anchor: RegisteredAnchor, stranger: RegisteredAnchor
) -> None:
    mine, theirs = make_transaction(anchor), make_transaction(stranger)
    record_payment(mine)
    record_payment(theirs)
    match_payments()
    services.advance([mine.pk, theirs.pk])  # in one batch
    for owner, row in ((anchor, mine), (stranger, theirs)):
        [event] = read(owner)
        assert (event["cursor"], event["transaction"]["id"]) == ("1", str(row.pk))


def test_pages_go_on_where_the_last_one_ended(anchor: RegisteredAnchor) -> None:
    for _ in range(5):
        pay(make_transaction(anchor))
    first = get(anchor, limit=2).json()
    assert [event["cursor"] for event in first["events"]] == ["1", "2"]
    rest = get(anchor, after=first["next_cursor"]).json()
    assert [event["cursor"] for event in rest["events"]] == ["3", "4", "5"]
    end = get(anchor, after=rest["next_cursor"]).json()
    assert end == {"events": [], "next_cursor": "5"}


def test_a_feed_without_changes_is_empty(anchor: RegisteredAnchor) -> None:
    assert get(anchor).json() == {"events": [], "next_cursor": "0"}


def test_a_place_beyond_the_end_is_refused(anchor: RegisteredAnchor) -> None:
    """Its reader would skip what comes meanwhile, for example after a restored backup."""
    assert get(anchor, after="1").status_code == 400
    pay(make_transaction(anchor))
    assert get(anchor, after="1").status_code == 200
    assert get(anchor, after="2").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        *("after=x", "after=-1", "after=1.0", f"after={'9' * 19}", f"after={'9' * 40}"),
        *("after=%00", "limit=0", "limit=201", "limit=x", "after=1&after=2", "since=1"),
    ],
)
def test_bad_parameters_are_a_400_that_names_them(anchor: RegisteredAnchor, query: str) -> None:
    answer = Client().get(f"/sep31/events?{query}", headers=anchor.headers())
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]


@pytest.mark.parametrize("limit", [1, 10])
def test_the_queries_do_not_grow_with_the_page(
    anchor: RegisteredAnchor, limit: int, django_assert_num_queries: Any
) -> None:
    for _ in range(10):
        pay(make_transaction(anchor))
    read(anchor)  # how long a status takes is read once a minute
    with django_assert_num_queries(3):
        assert len(read(anchor, limit=limit)) == limit


def test_a_number_is_given_once(anchor: RegisteredAnchor) -> None:
    pay(make_transaction(anchor))
    event = Event.objects.get(number=1)
    event.pk = None
    with pytest.raises(IntegrityError, match="event_number"):
        event.save(force_insert=True)


# -- Writers at once ------------------------------------------------------------------------------
def in_a_thread(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def paid(anchor: RegisteredAnchor) -> Transaction:
    """Paid and matched, but not advanced yet."""
    row = make_transaction(anchor)
    record_payment(row)
    match_payments()
    return row


@pytest.mark.django_db(transaction=True)
def test_no_number_is_seen_while_a_lower_one_is_uncommitted(
    anchor: RegisteredAnchor, stranger: RegisteredAnchor
) -> None:
    slow, quick, other = paid(anchor), paid(anchor), paid(stranger)
    seen: list[list[str]] = []

    def look(owner: RegisteredAnchor) -> None:
        seen.append([event["cursor"] for event in read(owner)])

    with transaction.atomic():
        services.advance([slow.pk])
        thread = in_a_thread(lambda: services.advance([quick.pk]))
        wait_until_somebody_waits()
        in_a_thread(lambda: look(anchor)).join()
        # Another sending anchor's changes wait for nobody.
        in_a_thread(lambda: services.advance([other.pk])).join()
        in_a_thread(lambda: look(stranger)).join()
    thread.join()
    assert seen == [[], ["1"]]
    told = [event["transaction"]["id"] for event in read(anchor)]
    assert told == [str(slow.pk), str(quick.pk)]


@pytest.mark.django_db(transaction=True)
def test_a_writer_that_fails_leaves_no_gap(anchor: RegisteredAnchor) -> None:
    failing, good = paid(anchor), paid(anchor)
    with pytest.raises(RuntimeError), transaction.atomic():
        services.advance([failing.pk])
        raise RuntimeError
    services.advance([good.pk])
    assert [event["cursor"] for event in read(anchor)] == ["1"]


@pytest.mark.django_db(transaction=True)
def test_a_reader_beside_many_writers_misses_nothing(
    anchor: RegisteredAnchor, stranger: RegisteredAnchor
) -> None:
    rows = [paid(owner) for _ in range(12) for owner in (anchor, stranger)]
    done = threading.Event()
    followed: list[str] = []

    def follow() -> None:
        cursor = "0"
        while True:
            last_look = done.is_set()
            body = get(anchor, after=cursor, limit=3).json()
            followed.extend(event["cursor"] for event in body["events"])
            cursor = body["next_cursor"]
            if last_look and not body["events"]:
                return

    def write(index: int) -> None:
        try:
            # Batches that overlap, in different orders.
            services.advance([rows[index].pk, rows[-index - 1].pk])
        finally:
            connections.close_all()

    reader = in_a_thread(follow)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(len(rows))))
    done.set()
    reader.join()
    assert followed == [str(number) for number in range(1, 13)]
    assert set(Feed.objects.values_list("last", flat=True)) == {12}
