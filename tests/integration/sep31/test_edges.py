"""The state table at the database: each edge leaves one event, one place in the feed and one
callback; what is no edge leaves nothing at all."""

from __future__ import annotations

import itertools

import pytest
from django.db import transaction

from callbacks.models import Callback
from sep31 import services
from sep31.machine import EDGES, FINAL, Decision, Effect, Reason, Status
from sep31.models import Event, Transaction
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import make_transaction
from tests.integration.sep31.test_flow import pay

pytestmark = pytest.mark.django_db

TAKEN = sorted(
    (start, end, reason)
    for (start, end), reasons in EDGES.items()
    for reason in reasons
    if start is not None
)
OPEN = [status for status in Status if status not in FINAL]


def stand_in(anchor: RegisteredAnchor, status: Status) -> Transaction:
    row = make_transaction(anchor)
    pay(row)  # `completed` asks for a payout
    Transaction.objects.filter(pk=row.pk).update(
        status=status, callback_url="https://a.example/callback"
    )
    return row


def decide_once(monkeypatch: pytest.MonkeyPatch, decision: Decision) -> None:
    left = [decision]
    monkeypatch.setattr(services, "decide", lambda *_: left.pop() if left else None)


@pytest.mark.parametrize(("start", "end", "reason"), TAKEN)
def test_each_edge_leaves_one_event_one_number_and_one_callback(
    anchor: RegisteredAnchor,
    monkeypatch: pytest.MonkeyPatch,
    start: Status,
    end: Status,
    reason: Reason,
) -> None:
    row = stand_in(anchor, start)
    known = set(row.events.values_list("pk", flat=True))
    numbered = Event.objects.filter(number__isnull=False).count()
    decide_once(monkeypatch, Decision(end, reason))
    assert services.advance([row.pk]) == 1
    assert services.advance([row.pk]) == 0
    [event] = row.events.exclude(pk__in=known)
    assert (event.from_status, event.to_status, event.reason) == (start, end, reason)
    assert event.number == numbered + 1
    [callback] = Callback.objects.all()
    assert f'"status":"{end}"' in callback.body
    row.refresh_from_db()
    assert (row.status, row.reason, row.updated_at) == (end, reason, event.at)
    assert (row.completed_at is not None) is (end in (Status.COMPLETED, Status.REFUNDED))


@pytest.mark.parametrize("start", OPEN)
def test_what_is_no_edge_is_refused_and_leaves_nothing(
    anchor: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch, start: Status
) -> None:
    row = stand_in(anchor, start)
    before = list(Transaction.objects.values()), list(Event.objects.values("pk"))
    refused = [
        Decision(end, reason)
        for end, reason in itertools.product(Status, Reason)
        if end is not start and reason not in EDGES.get((start, end), ())
    ]
    assert refused
    for decision in refused:
        decide_once(monkeypatch, decision)
        with pytest.raises(services.ForbiddenEdge), transaction.atomic():
            services.advance([row.pk])
    assert before == (list(Transaction.objects.values()), list(Event.objects.values("pk")))
    assert not Callback.objects.exists()


@pytest.mark.parametrize("start", sorted(FINAL))
@pytest.mark.parametrize("end", Status)
def test_an_end_is_left_alone_whatever_is_decided(
    anchor: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch, start: Status, end: Status
) -> None:
    row = stand_in(anchor, start)
    events = row.events.count()
    decide_once(monkeypatch, Decision(end, Reason.OPERATOR_RETRY))
    assert services.advance([row.pk]) == 0
    row.refresh_from_db()
    assert (row.status, row.events.count()) == (start, events)


def test_a_note_leaves_an_event_but_neither_number_nor_callback(
    anchor: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stand_in(anchor, Status.PENDING_RECEIVER)
    numbered = Event.objects.filter(number__isnull=False).count()
    decision = Decision(Status.PENDING_RECEIVER, Reason.UNDELIVERABLE, Effect.NONE, note=True)
    decide_once(monkeypatch, decision)
    services.advance([row.pk])
    assert row.events.latest("pk").reason == Reason.UNDELIVERABLE
    assert Event.objects.filter(number__isnull=False).count() == numbered
    assert not Callback.objects.exists()
