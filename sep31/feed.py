"""GET /events, an extension: what changed, in order, for who missed callbacks or wants none.

Numbers are taken at the end of the database transaction that changes a status, one transaction
after the other (`FeedQuerySet.lock_and_count`). A sequence would number them in the order in which
they began: one that commits late would stand below the place that a reader has reached already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kernel.errors import BadRequest
from kernel.languages import translate
from sep10.models import SendingAnchor
from sep31.messages import STATUS_MESSAGES
from sep31.models import Event, Feed
from sep31.serializers import describe_moment

MAX_NUMBER = 2**63 - 1


def number_changes(events: Sequence[Event]) -> None:
    """Give the changes of status among these new events their numbers, in this order.

    Notes get none, and neither does a transaction's first status, which callbacks do not tell
    either (SEP-31, PUT Transaction Callback).
    """
    changes = [event for event in events if event.from_status not in ("", event.to_status)]
    counts = Counter(event.transaction.sending_anchor_id for event in changes)
    last = Feed.objects.lock_and_count(counts)
    following = {anchor: last[anchor] - count + 1 for anchor, count in counts.items()}
    for event in changes:
        anchor = event.transaction.sending_anchor_id
        event.feed_id, event.number = anchor, following[anchor]
        following[anchor] += 1


def read_events(anchor: SendingAnchor, *, after: int, limit: int) -> list[Event]:
    """Up to `limit` changes of `anchor`'s transactions with numbers above `after`, in order.

    Raises `BadRequest` for a number that was never given: the reader would wait for it for ever.
    """
    events = list(Event.objects.filter(feed=anchor.pk, number__gt=after).order_by("number")[:limit])
    if after and not events:
        feed = Feed.objects.filter(pk=anchor.pk).first()
        if after > (feed.last if feed else 0):
            raise BadRequest("after must be the cursor of an event, as you were given it")
    return events


def describe_event(event: Event, transaction: dict[str, Any], language: str) -> dict[str, Any]:
    """One entry of the feed; `transaction` is the SEP-31 object as it is at present."""
    return {
        "cursor": str(event.number),
        "at": describe_moment(event.at),
        "previous_status": event.from_status,
        "status": event.to_status,
        "status_message": translate(STATUS_MESSAGES[event.reason], language),
        "transaction": transaction,
    }
