"""`Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header-07): a request that is repeated
gets the answer that it got the first time, and happens once.

The key's row is inserted in the database transaction of what the request does, so a crash leaves
both or neither. A repeat that comes meanwhile waits at that row for its outcome: the draft would
have it answered 409, and asked again, for the very answer that it gets so. Refusals are not
remembered: nothing happened, and the request may be mended under the same key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from kernel.errors import ApiError, BadRequest
from kernel.rows import delete_in_batches, insert_rows
from sep10.authentication import Caller
from sep31.models import IdempotentRequest

# We promise a day; what was asked late in it is still there a little later.
KEPT = timedelta(hours=48)
PURGE_BATCH = 1000
MAX_KEY = 255

# Section 2.1: a string of RFC 8941. Most clients leave its quotes out, so a bare key does too.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"', re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9._~:+/=-]+", re.ASCII)


def read_key(header: str | None) -> str | None:
    """The key of an `Idempotency-Key` header, None without one. Raises `BadRequest`."""
    if header is None:
        return None
    text = header.strip()
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _BARE.fullmatch(text):
        text = ""
    if not 0 < len(text) <= MAX_KEY:
        raise BadRequest(
            f"Idempotency-Key must be one key of 1 to {MAX_KEY} characters, for example "
            '"8e03978e-40d5-43dd-bc93-6894a57f9324"'
        )
    return text


def answer_once(
    caller: Caller,
    key: str | None,
    body: Mapping[str, Any],
    make: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """`make()`, or what it gave when `caller` first sent `key`.

    Raises `ApiError` (422) if that was with another body; and what `make` raises, after which the
    key is as if it had never come. Without a key nothing is asked of the database.
    """
    if key is None:
        return make()
    caller.ensure_admitted()  # `make`, which would do it, does not run for a repeat
    digest = _digest("key", [caller.account, caller.memo, caller.muxed, key])
    fingerprint = _digest("body", body)
    with transaction.atomic():
        mine = IdempotentRequest(digest=digest, fingerprint=fingerprint)
        # Waits for whoever has inserted the same key, until they commit or give up.
        if insert_rows([mine], unless_there=True):
            answer = make()
            mine.answer = json.dumps(answer)
            mine.save(update_fields=["answer"])
            return answer
        first = IdempotentRequest.objects.get(pk=digest)
    if not constant_time_compare(first.fingerprint, fingerprint):
        raise ApiError(
            "Idempotency-Key was used for a request with another body; send a new key", status=422
        )
    answered: dict[str, Any] = json.loads(first.answer)
    return answered


def purge_idempotent_requests() -> int:
    """Forget requests that are too old to be repeated. Returns how many."""
    over = IdempotentRequest.objects.filter(created_at__lt=timezone.now() - KEPT)
    return delete_in_batches(over, oldest="created_at", batch=PURGE_BATCH)


def _digest(of: str, value: object) -> str:
    """Keyed, since bodies hold what could be guessed: accounts, amounts, names."""
    text = json.dumps(value, default=str, sort_keys=True)
    return salted_hmac(f"landfall.idempotency.{of}", text, algorithm="sha256").hexdigest()
