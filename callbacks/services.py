"""Queue callbacks and deliver them: claim and commit, POST, record the answer."""

from __future__ import annotations

import ipaddress
import json
import logging
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.utils.encoders import JSONEncoder

from callbacks import signature
from callbacks.models import Callback
from callbacks.signals import callback_queued
from kernel.announce import announce
from kernel.errors import BadRequest, NotFound
from kernel.http import (
    OutboundFailed,
    OutboundRefused,
    OutboundUrl,
    is_public,
    parse_outbound_url,
    safe_post,
)
from kernel.keys import signing_keypair

logger = logging.getLogger(__name__)

MAX_URL_LENGTH = 2000
POST_SECONDS = 10.0
# A claim outlasts its POST: only a worker that died or froze lets it lapse. A callback that such a
# one left behind waits so long.
CLAIM = timedelta(seconds=2 * POST_SECONDS + 5)
MAX_ANSWER_BYTES = 64 * 1024  # we read no more than the status, but let the host finish
MAX_DELAY_SECONDS = 3600.0
AT_ONCE = 16  # POSTs that one sweep has under way
AT_ONCE_PER_HOST = 4  # so that a dead host holds a quarter of them at most
SWEEP_LIMIT_SECONDS = 20.0
STREAM_LIMIT = 20  # callbacks of one stream that one task delivers in a row


@dataclass(frozen=True)
class Claim:
    """One try of a callback that this worker alone may make."""

    callback_id: int
    stream: str
    tries: int
    url: str
    host: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What came of a try: the HTTP status, or None and why there is none."""

    status: int | None
    error: str = ""

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def check_callback_url(url: object, sending_anchor_hosts: list[str]) -> str:
    """The URL to store, with its host in lower case. Raises `BadRequest` naming `url`.

    `sending_anchor_hosts` is `SendingAnchor.allowed_callback_hosts`; empty: any public host.
    """
    if not isinstance(url, str) or not url:
        raise BadRequest("url must be text, for example https://sendinganchor.com/callback")
    try:
        parsed = parse_outbound_url(url)
    except OutboundRefused as refusal:
        raise BadRequest(f"url can't be used: {refusal}") from refusal
    if not settings.ALLOW_INSECURE_URLS and not _may_be_public(parsed.host):
        raise BadRequest("url must name a public host")
    allowed = {host.strip().lower() for host in sending_anchor_hosts}
    if allowed and parsed.host not in allowed:
        raise BadRequest("url must name one of the hosts agreed with you for callbacks")
    normal = _write_url(parsed)
    if len(normal) > MAX_URL_LENGTH:
        raise BadRequest(f"url must be at most {MAX_URL_LENGTH} characters long")
    return normal


def _may_be_public(host: str) -> bool:
    """A first look, for an early error; each delivery looks at what the name resolves to."""
    try:
        return is_public(ipaddress.ip_address(host))
    except ValueError:
        return "." in host


def _write_url(url: OutboundUrl) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{signature.host_of(f'{url.scheme}://{host}:{url.port}')}{url.target}"


@dataclass(frozen=True)
class CallbackOrder:
    """A callback to be queued. `stream` (at most 80 characters) orders it among its like."""

    stream: str
    url: str
    body: Mapping[str, object]


def queue_callback(*, stream: str, url: str, body: Mapping[str, object]) -> Callback:
    """Queue one callback; see `queue_callbacks`."""
    [callback] = queue_callbacks([CallbackOrder(stream, url, body)])
    return callback


def queue_callbacks(orders: Sequence[CallbackOrder]) -> list[Callback]:
    """Insert callbacks, in this order, in the caller's database transaction.

    The caller holds the lock of what each stream is about. Bodies are written as JSON once, the
    way replies are.
    """
    now = timezone.now()
    callbacks = Callback.objects.bulk_create(
        Callback(
            stream=order.stream,
            url=order.url,
            host=signature.host_of(order.url),
            body=json.dumps(order.body, cls=JSONEncoder, ensure_ascii=False, separators=(",", ":")),
            next_try_at=now,
        )
        for order in orders
    )
    # One hint a stream: whoever takes it delivers what follows in the stream as well.
    for callback in {callback.stream: callback for callback in callbacks}.values():
        announce(callback_queued, callback_id=callback.pk)
    return callbacks


def redirect_callbacks(*, stream: str, url: str) -> int:
    """Send what is still pending in `stream` to a new `url`; how many there were.

    SEP-31, PUT Transaction Callback: "only make callback requests to the most recently provided
    URL"; SEP-12, Customer callback PUT: it "will replace (and supercede)" any other. Call it in the
    database transaction that stores the new URL.
    """
    pending = [callback.pk for callback in Callback.objects.lock_stream(stream)]
    return Callback.objects.filter(pk__in=pending).update(
        url=url, host=signature.host_of(url), unanswered=0, next_try_at=timezone.now()
    )


def erase_callbacks(*, stream: str) -> None:
    """Delete all of `stream`, delivered or not, whose bodies may not be kept any longer.

    Call it in the database transaction that erases what the stream is about.
    """
    # The pending ones in order first, as whoever delivers them does.
    Callback.objects.lock_stream(stream)
    Callback.objects.filter(stream=stream).delete()


def resend_callback(callback_id: int) -> Callback:
    """Deliver a callback again, or at last, at an operator's word, with a fresh time allowance.

    The body is the one that was written then, so the receiver may hear of an older status after
    a newer one. Raises `NotFound`, or `BadRequest` if it is still being delivered.
    """
    with transaction.atomic():
        callback = Callback.objects.lock_one(callback_id)
        if callback is None:
            raise NotFound(f"There is no callback {callback_id}")
        if callback.status == Callback.Status.PENDING:
            raise BadRequest(f"Callback {callback_id} is still to be delivered")
        callback.status = Callback.Status.PENDING
        callback.next_try_at = timezone.now()
        callback.give_up_at = callback.delivered_at = None
        callback.unanswered = 0
        callback.save()
        announce(callback_queued, callback_id=callback.pk)
    return callback


def deliver_callback(callback_id: int) -> None:
    """Deliver what is due in the stream of a callback, one after the other.

    Does nothing while the host answers no one: the sweep goes on trying it, and a queue full of
    new callbacks for a dead host must not hold every worker for a timeout each.
    """
    callback = Callback.objects.filter(pk=callback_id).first()
    if callback is None or Callback.objects.unreachable(callback.host).exists():
        return
    for _ in range(STREAM_LIMIT):
        claim = _claim_head(callback.stream)
        if claim is None or not _record(claim, _post(claim)):
            return


def deliver_due_callbacks() -> int:
    """Deliver what is due, a bounded number at once; how many tries were made.

    Slots are filled again as each answer comes, so slow hosts hold up only their own. Ends when
    nothing is due or after `SWEEP_LIMIT_SECONDS`.
    """
    tries = 0
    stop_at = time.monotonic() + SWEEP_LIMIT_SECONDS
    under_way: dict[Future[Answer], Claim] = {}
    # The threads only POST; each database query is made here.
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="callback") as pool:
        while True:
            if time.monotonic() < stop_at and len(under_way) < AT_ONCE:
                for claim in _claim_due(list(under_way.values())):
                    under_way[pool.submit(_post, claim)] = claim
                    tries += 1
            if not under_way:
                return tries
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                _record(under_way.pop(future), future.result())


def _claim_head(stream: str) -> Claim | None:
    now = timezone.now()
    with transaction.atomic():
        callback = Callback.objects.lock_head(stream=stream, now=now)
        return _claim(callback, now) if callback else None


def _claim_due(under_way: list[Claim]) -> list[Claim]:
    now = timezone.now()
    with transaction.atomic():
        due = Callback.objects.lock_due(
            now=now,
            limit=AT_ONCE - len(under_way),
            per_host=AT_ONCE_PER_HOST,
            busy_hosts=[claim.host for claim in under_way],
        )
        return [_claim(callback, now) for callback in due]


def _claim(callback: Callback, now: datetime) -> Claim:
    callback.tries += 1
    callback.next_try_at = now + CLAIM
    if callback.give_up_at is None:
        callback.give_up_at = now + timedelta(hours=settings.CALLBACK_GIVE_UP_HOURS)
    callback.save(update_fields=["tries", "next_try_at", "give_up_at"])
    return Claim(
        callback_id=callback.pk,
        stream=callback.stream,
        tries=callback.tries,
        url=callback.url,
        host=callback.host,
        body=callback.body.encode(),
    )


def _post(claim: Claim) -> Answer:
    try:
        headers = {"Content-Type": "application/json"} | signature.sign(
            signing_keypair(), timestamp=int(time.time()), url=claim.url, body=claim.body
        )
        answer = safe_post(
            claim.url,
            body=claim.body,
            headers=headers,
            max_bytes=MAX_ANSWER_BYTES,
            timeout=POST_SECONDS,
        )
    except (OutboundRefused, OutboundFailed) as error:
        return Answer(None, str(error)[:200])
    except Exception as error:
        # Whatever is wrong with one callback must not end the sweep, now and each time.
        logger.exception("callback %s could not be posted", claim.callback_id)
        return Answer(None, type(error).__name__)
    return Answer(answer.status)


def _record(claim: Claim, answer: Answer) -> bool:
    """Write down what came of a try; whether it delivered the callback.

    Only the latest claim's answer counts: after a claim lapsed, another worker decides.
    """
    now = timezone.now()
    with transaction.atomic():
        pending = {row.pk: row for row in Callback.objects.lock_stream(claim.stream)}
        callback = pending.pop(claim.callback_id, None)
        if callback is None or callback.tries != claim.tries:
            return False
        callback.last_status = answer.status
        callback.last_error = "" if answer.delivered else answer.error or f"HTTP {answer.status}"
        callback.unanswered = callback.unanswered + 1 if answer.status is None else 0
        turn_of_next = now
        if answer.delivered:
            callback.status = Callback.Status.DELIVERED
            callback.delivered_at = now
        elif callback.give_up_at is not None and now >= callback.give_up_at:
            callback.status = Callback.Status.GIVEN_UP
        else:
            callback.next_try_at = turn_of_next = now + _delay(callback.tries)
        callback.save()
        # Those behind it have nothing to do before it is their turn, and keep out of the sweep.
        Callback.objects.filter(pk__in=pending).update(next_try_at=turn_of_next)
    if not answer.delivered:
        # No URL: its path or query may hold the sending anchor's secret.
        logger.warning(
            "callback %s to %s, try %s: %s",
            claim.callback_id,
            claim.host,
            claim.tries,
            callback.last_error,
        )
    return answer.delivered


def _delay(tries: int) -> timedelta:
    """Exponential, with jitter so that a host that comes back is not met by all at once."""
    longest = min(
        settings.CALLBACK_FIRST_RETRY_SECONDS * 2 ** min(tries - 1, 30), MAX_DELAY_SECONDS
    )
    return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 - spreads load only
