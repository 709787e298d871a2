"""Lists: what part is asked for, as one HAL page or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .ledger import Ledger
from .problems import invalid_field
from .records import BASE
from .store import Window

DEFAULT_LIMIT, MAX_LIMIT = 10, 200
STREAM_SECONDS = 55
HAL = "application/hal+json; charset=utf-8"
_NUMBER = re.compile(r"-?[0-9]{1,19}")

Item = tuple[str, str]  # paging token, JSON text
Fetch = Callable[["Paging"], Sequence[Item]]


@dataclass(frozen=True)
class Paging:
    """The paging parameters as asked for."""

    cursor: str
    ascending: bool
    limit: int

    def window(self) -> Window:
        """Return the same for lists whose tokens are numbers."""
        return Window(self.number(), self.ascending, self.limit)

    def number(self) -> int | None:
        """Read the cursor as a number."""
        if self.cursor == "":
            return None
        if not _NUMBER.fullmatch(self.cursor) or int(self.cursor) >= 2**63:
            raise invalid_field("cursor", "the cursor is not a number")
        if int(self.cursor) < 0:
            raise invalid_field("cursor", f"the cursor {self.cursor} is a negative number")
        return int(self.cursor)

    def pair(self) -> tuple[int, int] | None:
        """Read the cursor as an effect's ``operation-order``."""
        head, dash, tail = self.cursor.partition("-")
        if self.cursor and not head:
            raise invalid_field("cursor", "the cursor is not an operation id and an order")
        first = Paging(head, self.ascending, self.limit).number()
        if first is None:
            return None
        if not dash:
            # A bare number stands for a place between operations, as `now` makes it.
            return first, 2**31 if self.ascending else 0
        second = Paging(tail, self.ascending, self.limit).number()
        return first, second or 0


def wants_stream(request: Request) -> bool:
    """Say whether the client asked for events."""
    return "text/event-stream" in request.headers.get("accept", "")


def read_paging(request: Request, ledger: Ledger) -> Paging:
    """Read ``cursor``, ``order`` and ``limit``; a ``Last-Event-ID`` wins over the cursor."""
    query = request.query_params
    cursor = query.get("cursor", "")
    if cursor == "now":
        cursor = str((ledger.last.sequence << 32) + 2**32 - 1)
    cursor = request.headers.get("last-event-id") or cursor
    order = query.get("order", "") or "asc"
    if order not in ("asc", "desc"):
        raise invalid_field("order", "it must be asc or desc")
    return Paging(cursor, order == "asc", _read_limit(query.get("limit", "")))


def _read_limit(text: str) -> int:
    if text == "":
        return DEFAULT_LIMIT
    if not _NUMBER.fullmatch(text):
        raise invalid_field("limit", "unparseable value")
    if int(text) <= 0:
        raise invalid_field("limit", "invalid limit: non-positive value provided")
    if int(text) > MAX_LIMIT:
        raise invalid_field(
            "limit", f"invalid limit: value provided that is over limit max of {MAX_LIMIT}"
        )
    return int(text)


def base_url(request: Request) -> str:
    """Return the address the client called us by, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def answer_list(request: Request, ledger: Ledger, fetch: Fetch) -> Response:
    """Answer a list as a page, or as a stream if the client asked for events."""
    paging, seen = read_paging(request, ledger), ledger.last.sequence
    items = fetch(paging)
    base = base_url(request)
    if not wants_stream(request):
        return Response(render_page(request, paging, items).replace(BASE, base), media_type=HAL)
    events = _events(ledger, fetch, paging, items, seen, base)
    headers = {"Cache-Control": "no-cache"}
    return StreamingResponse(events, media_type="text/event-stream; charset=utf-8", headers=headers)


def render_page(request: Request, paging: Paging, items: Sequence[Item]) -> str:
    """Return the HAL page as text, its links on ``BASE``."""
    first = items[0][0] if items else paging.cursor
    last = items[-1][0] if items else paging.cursor
    made = {
        "self": _link(request, paging, paging.cursor, paging.ascending),
        "next": _link(request, paging, last, paging.ascending),
        "prev": _link(request, paging, first, not paging.ascending),
    }
    records = ",".join(text for _, text in items)
    head = json.dumps(made, ensure_ascii=False)
    return f'{{"_links":{head},"_embedded":{{"records":[{records}]}}}}'


def _link(request: Request, paging: Paging, cursor: str, ascending: bool) -> dict[str, str]:
    kept = [
        (key, value)
        for key, value in request.query_params.multi_items()
        if key not in ("cursor", "order", "limit")
    ]
    asked = [("cursor", cursor), ("limit", paging.limit)]
    query = urlencode([*kept, *asked, ("order", "asc" if ascending else "desc")])
    return {"href": f"{BASE}{request.url.path}?{query}"}


def plain_page(texts: Sequence[str]) -> str:
    """Return a page that cannot be turned, such as found paths."""
    return f'{{"_embedded":{{"records":[{",".join(texts)}]}}}}'


def _event(token: str, text: str) -> str:
    return f"id: {token}\ndata: {text}\n\n"


async def _events(
    ledger: Ledger, fetch: Fetch, paging: Paging, items: Sequence[Item], seen: int, base: str
) -> AsyncIterator[str]:
    """Say hello, send what there is, then what each ledger brings, until limit or time."""
    end = time.monotonic() + STREAM_SECONDS
    left, cursor = paging.limit, paging.cursor
    yield 'retry: 1000\nevent: open\ndata: "hello"\n\n'
    while True:
        for token, text in items:
            yield _event(token, text.replace(BASE, base))
            cursor, left = token, left - 1
        if left <= 0 or not await _ledger_after(ledger, seen, end):
            break
        seen = ledger.last.sequence
        items = fetch(Paging(cursor, paging.ascending, left))
    yield 'retry: 10\nevent: close\ndata: "byebye"\n\n'


async def _ledger_after(ledger: Ledger, seen: int, end: float) -> bool:
    """Wait until a ledger after ``seen`` is there; False once the stream's time is over."""
    try:
        await asyncio.wait_for(ledger.closed_after(seen), end - time.monotonic())
    except TimeoutError:
        return False
    return True
