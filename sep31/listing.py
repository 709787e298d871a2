"""GET /transactions and GET /events: pages of what belongs to the calling sending anchor.

A page costs the same at any depth and with any number of rows: it begins where a cursor says, and
each part of it is a range of one index (`transaction_started`, `transaction_updated`).
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from kernel.errors import BadRequest
from sep10.authentication import Caller
from sep31.feed import MAX_NUMBER, describe_event, read_events
from sep31.machine import Status
from sep31.models import Transaction
from sep31.serializers import describe_transaction

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_PLACE = struct.Struct(">cq16s")  # which order, microseconds since 1970, the id
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIST_KEYS = {
    *("status", "customer_id", "started_since", "started_until", "updated_since"),
    *("updated_until", "cursor", "limit", "lang"),
}


@dataclass(frozen=True)
class ListRequest:
    """A well-formed GET /transactions.

    By `started_at`, newest first, or by `updated_at`, oldest first: so that what changes during
    the reading is met again and never missed.
    """

    by: str  # "started_at" | "updated_at"
    statuses: tuple[str, ...]
    customer_id: uuid.UUID | None
    since: datetime | None
    until: datetime | None
    place: tuple[datetime, uuid.UUID] | None
    limit: int


@dataclass(frozen=True)
class EventsRequest:
    """A well-formed GET /events."""

    after: int
    limit: int


def read_list_request(query: QueryDict) -> ListRequest:
    """Raises `BadRequest` naming the parameter."""
    given = _read_query(query, _LIST_KEYS, repeated={"status"})
    started = [key for key in given if key.startswith("started_")]
    updated = [key for key in given if key.startswith("updated_")]
    if started and updated:
        raise BadRequest(f"{updated[0]} can't be given together with {started[0]}")
    by = "updated_at" if updated else "started_at"
    prefix = by.removesuffix("_at")
    return ListRequest(
        by=by,
        statuses=_read_statuses(query.getlist("status")),
        customer_id=_read_uuid(given.get("customer_id")),
        since=_read_moment(given, f"{prefix}_since"),
        until=_read_moment(given, f"{prefix}_until"),
        place=_read_place(given.get("cursor"), by),
        limit=_read_limit(given.get("limit")),
    )


def read_events_request(query: QueryDict) -> EventsRequest:
    """Raises `BadRequest` naming the parameter."""
    given = _read_query(query, {"after", "limit", "lang"})
    after = given.get("after", "0")
    if not _DIGITS.fullmatch(after) or int(after) > MAX_NUMBER:
        raise BadRequest("after must be the cursor of an event, as you were given it")
    return EventsRequest(int(after), _read_limit(given.get("limit")))


def list_transactions(
    caller: Caller, request: ListRequest, language: str | None = None
) -> dict[str, Any]:
    """{"transactions": [SEP-31 objects], "next_cursor": text if there are more}."""
    places = _find_places(caller, request)
    page = places[: request.limit]
    listed = {
        "transactions": [
            describe_transaction(row, receipt=receipt, refund=refund, language=language)
            for row, receipt, refund in Transaction.read_several([pk for _, pk in page])
        ]
    }
    if len(places) > len(page):
        return {**listed, "next_cursor": _write_place(request.by, page[-1])}
    return listed


def list_events(
    caller: Caller, request: EventsRequest, language: str | None = None
) -> dict[str, Any]:
    """{"events": [...], "next_cursor": what to ask for next}; see `sep31.feed`."""
    events = read_events(caller.sending_anchor, after=request.after, limit=request.limit)
    told = {}
    for row, receipt, refund in Transaction.read_several({one.transaction_id for one in events}):
        described = describe_transaction(row, receipt=receipt, refund=refund, language=language)
        told[row.pk] = described, language or row.lang
    last = events[-1].number if events else request.after
    return {
        "events": [describe_event(event, *told[event.transaction_id]) for event in events],
        "next_cursor": str(last),
    }


# -- The query ----------------------------------------------------------------------------------
_Place = tuple[datetime, uuid.UUID]


def _find_places(caller: Caller, request: ListRequest) -> list[_Place]:
    """Where the page's transactions stand in its order, and one more if there is one."""
    mine = _in_range(Transaction.objects.filter(sending_anchor=caller.sending_anchor), request)
    order = ("started_at", "pk") if request.by == "updated_at" else ("-started_at", "-pk")
    order = (order[0].replace("started_at", request.by), order[1])
    parts = [
        part.order_by(*order).values_list(request.by, "pk")[: request.limit + 1]
        for part in _parts(mine, request)
    ]
    if len(parts) == 1:
        return list(parts[0])
    # A customer may be at both ends of one transaction.
    return list(parts[0].union(*parts[1:]).order_by(*order)[: request.limit + 1])


def _parts(mine: QuerySet[Transaction], request: ListRequest) -> Iterable[QuerySet[Transaction]]:
    if request.customer_id is not None:
        if request.statuses:
            mine = mine.filter(status__in=request.statuses)
        return [mine.filter(sender=request.customer_id), mine.filter(receiver=request.customer_id)]
    if not request.statuses and request.by == "started_at":
        return [mine]
    # One by one, since an index is in order only within one status.
    statuses = request.statuses or tuple(status.value for status in Status)
    return [mine.filter(status=status) for status in statuses]


def _in_range(rows: QuerySet[Transaction], request: ListRequest) -> QuerySet[Transaction]:
    if request.since is not None:
        rows = rows.filter(**{f"{request.by}__gte": request.since})
    if request.until is not None:
        rows = rows.filter(**{f"{request.by}__lt": request.until})
    if request.place is None:
        return rows
    moment, pk = request.place
    beyond = "gt" if request.by == "updated_at" else "lt"
    # The first condition is what the index understands.
    return rows.filter(**{f"{request.by}__{beyond}e": moment}).filter(
        Q(**{f"{request.by}__{beyond}": moment}) | Q(**{f"pk__{beyond}": pk})
    )


# -- Parameters ---------------------------------------------------------------------------------
def _read_query(query: QueryDict, known: set[str], repeated: Iterable[str] = ()) -> dict[str, str]:
    for key in query:
        if key not in known:
            raise BadRequest(f"{key[:40]} is not one of: {', '.join(sorted(known))}")
        if key not in repeated and len(query.getlist(key)) > 1:
            raise BadRequest(f"{key} must be given once")
    return {key: value for key, value in query.items() if isinstance(value, str) and value}


def _read_statuses(given: list[str]) -> tuple[str, ...]:
    """`status=a&status=b` and `status=a,b` mean the same: any of them."""
    names = dict.fromkeys(name for text in given for name in text.split(",") if name)
    known = [status.value for status in Status]
    if not names.keys() <= set(known):
        raise BadRequest(f"status must be one or more of: {', '.join(known)}")
    return tuple(names)


def _read_uuid(text: str | None) -> uuid.UUID | None:
    if text is None:
        return None
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise BadRequest("customer_id must be the id of a customer") from error


def _read_moment(given: dict[str, str], key: str) -> datetime | None:
    if key not in given:
        return None
    # A plus sign in a query that was not escaped is a space.
    text = given[key].replace(" ", "+") if "T" in given[key] else ""
    try:
        moment = parse_datetime(text) if text.isascii() else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1970 < moment.year < 9999:
        raise BadRequest(f"{key} must be a time with its zone, for example 2026-11-23T12:00:00Z")
    return moment.astimezone(UTC)  # Python has zones that PostgreSQL has not, such as -19:30


def _read_limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequest(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _write_place(by: str, place: _Place) -> str:
    moment, pk = place
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    packed = _PLACE.pack(by[0].encode(), micros, pk.bytes)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _read_place(text: str | None, by: str) -> _Place | None:
    if text is None:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        order, micros, pk = _PLACE.unpack(packed)
        moment = _EPOCH + timedelta(microseconds=micros)
    except (ValueError, binascii.Error, struct.error, OverflowError) as error:
        raise BadRequest("cursor must be a next_cursor, as you were given it") from error
    if order != by[0].encode():
        raise BadRequest("cursor belongs to a list in another order; keep the other parameters")
    return moment, uuid.UUID(bytes=pk)
