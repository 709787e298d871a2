"""`status_eta`: from what was measured, and never for what nobody can know."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from sep31 import timing
from sep31.machine import Reason, Status
from sep31.models import Event, StatusTime, Transaction
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import make_transaction
from tests.integration.sep31.test_flow import pay, rail_says

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    timing.forget_times()
    yield
    timing.forget_times()


def deliver(anchor: RegisteredAnchor, at: datetime, *, accepted: float, delivered: float) -> None:
    """A transaction that took so many seconds in `pending_receiver` and `pending_external`."""
    row = make_transaction(anchor)
    pay(row)
    rail_says(row, "accepted")
    rail_says(row, "delivered")
    Transaction.objects.filter(pk=row.pk).update(started_at=at)
    fresh = list(row.events.order_by("pk"))
    for event, seconds in zip(fresh, (0, 0, accepted, accepted + delivered), strict=True):
        event.pk = event.feed_id = event.number = None
        event.at = at + timedelta(seconds=seconds)
    _rewrite(row, fresh)


def _rewrite(row: Transaction, events: list[Event]) -> None:
    """Events can't be changed; only a superuser of the database could do this."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM sep31_event WHERE transaction_id = %s", [row.pk])
        cursor.execute("SET LOCAL session_replication_role = origin")
    Event.objects.bulk_create(events)


def shown(anchor: RegisteredAnchor, row: Transaction) -> Any:
    answer = Client().get(f"/sep31/transactions/{row.pk}", headers=anchor.headers())
    return answer.json()["transaction"].get("status_eta")


def test_four_fifths_of_those_measured_were_faster(anchor: RegisteredAnchor) -> None:
    for seconds in (10, 20, 30, 40, 1000):
        deliver(anchor, timezone.now(), accepted=5, delivered=seconds)
    assert timing.measure_status_times() == 2
    found = {one.status: one for one in StatusTime.objects.all()}
    assert found[Status.PENDING_RECEIVER].seconds == 5
    assert 40 <= found[Status.PENDING_EXTERNAL].seconds < 1000
    assert found[Status.PENDING_EXTERNAL].sample == 5
    assert timing.measure_status_times() == 2
    assert StatusTime.objects.count() == 2


def test_a_few_are_no_measure(anchor: RegisteredAnchor) -> None:
    for _ in range(timing.MIN_SAMPLE - 1):
        deliver(anchor, timezone.now(), accepted=1, delivered=1)
    assert timing.measure_status_times() == 0


def usual(status: Status, seconds: int) -> None:
    StatusTime.objects.create(
        funding_method="bank_account",
        asset="iso4217:USD",
        status=status,
        seconds=seconds,
        sample=100,
        measured_at=timezone.now(),
    )


def test_it_is_what_is_left_of_the_usual_time(anchor: RegisteredAnchor) -> None:
    usual(Status.PENDING_RECEIVER, 600)
    usual(Status.PENDING_EXTERNAL, 3600)
    row = make_transaction(anchor)
    assert shown(anchor, row) is None  # it is up to the sending anchor
    pay(row)
    assert 590 < shown(anchor, row) <= 600
    rail_says(row, "accepted")
    assert 3590 < shown(anchor, row) <= 3600
    Transaction.objects.update(updated_at=timezone.now() - timedelta(seconds=3000))
    assert 590 < shown(anchor, row) <= 600
    Transaction.objects.update(updated_at=timezone.now() - timedelta(seconds=3601))
    assert shown(anchor, row) is None  # overdue: the measure says nothing any more
    rail_says(row, "delivered")
    assert shown(anchor, row) is None


def test_another_method_or_asset_tells_nothing(anchor: RegisteredAnchor) -> None:
    usual(Status.PENDING_RECEIVER, 600)
    StatusTime.objects.update(funding_method="mobile_money")
    row = make_transaction(anchor)
    pay(row)
    assert shown(anchor, row) is None


def test_customers_who_are_checked_take_their_time(anchor: RegisteredAnchor) -> None:
    usual(Status.PENDING_RECEIVER, 600)
    row = make_transaction(anchor)
    Transaction.objects.update(status=Status.PENDING_RECEIVER, reason=Reason.CREATED_CHECKING)
    assert shown(anchor, row) is None


def test_a_minute_of_requests_reads_the_measures_once(
    anchor: RegisteredAnchor,
) -> None:
    usual(Status.PENDING_RECEIVER, 600)
    row = make_transaction(anchor)
    pay(row)
    shown(anchor, row)
    StatusTime.objects.update(seconds=5000)
    assert shown(anchor, row) <= 600
    timing.forget_times()
    assert shown(anchor, row) > 600
