"""What we and the KYC provider say to each other, and how each knows that it is the other. Pure.

docs/kyc.md is the provider's side of it.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernel.api import require_text
from kernel.errors import BadRequest
from sep12 import sep9
from sep12.content import CleanFile
from sep12.types import CustomerType

SIGNATURE_HEADER = "Landfall-Signature"
MAX_AGE_SECONDS = 300
MAX_FIELDS = 100
MAX_WORDS = 2000
_SIGNATURE = re.compile(r"t=([0-9]{1,12}),\s?s=([0-9a-f]{64})", re.ASCII)

ACCEPTED = "accepted"
REJECTED = "rejected"
NEEDS_INFO = "needs_info"
PROCESSING = "processing"
STATUSES = (ACCEPTED, REJECTED, NEEDS_INFO, PROCESSING)


@dataclass(frozen=True)
class Answer:
    """What the provider says of a case. `fields` are refused, by SEP-9 name, each with a reason.

    The texts are as the provider wrote them: `kernel.wording` makes them fit to keep.
    """

    status: str
    message: str = field(default="", repr=False)
    fields: dict[str, str] = field(default_factory=dict, repr=False)


def sign(secret: str, *, timestamp: int, body: bytes) -> str:
    """The header's value: HMAC-SHA256 over `<timestamp>.<body>`, in hex, and the Unix time."""
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, "sha256")
    return f"t={timestamp}, s={digest.hex()}"


def is_signed(header: str | None, body: bytes, *, secrets: Sequence[str], now: float) -> bool:
    """Whether one of `secrets` signed this body not long ago. An empty secret signs nothing."""
    match = _SIGNATURE.fullmatch(header or "")
    if match is None or abs(now - int(match[1])) > MAX_AGE_SECONDS:
        return False
    expected = [
        sign(secret, timestamp=int(match[1]), body=body).rpartition("=")[2]
        for secret in secrets
        if secret
    ]
    # All of them, so that the time taken does not tell which one it was.
    matches = [hmac.compare_digest(one, match[2]) for one in expected]
    return any(matches)


def write_request(
    *,
    case: str,
    customer: str,
    customer_type: str,
    answer_url: str,
    texts: Mapping[str, str],
    files: Mapping[str, CleanFile],
) -> bytes:
    """The JSON that tells the provider of a case. Personal data."""
    document = {
        "case": case,
        "customer": customer,
        "type": customer_type,
        "answer_url": answer_url,
        "fields": dict(texts),
        "files": {
            name: {
                "content_type": file.content_type,
                "content": base64.b64encode(file.content).decode(),
            }
            for name, file in files.items()
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def read_answer(document: object, customer_type: CustomerType) -> Answer:
    """Read the verdict on a case of that type. Raises `BadRequest` naming what is wrong.

    Fields that customers of the type are never asked for would be refused to no effect, so the
    provider learns of its mistake.
    """
    if not isinstance(document, dict):
        raise BadRequest("The answer must be a JSON object")
    status = require_text(document, "status", max_length=20)
    if status not in STATUSES:
        raise BadRequest(f"status must be one of {', '.join(STATUSES)}")
    message = require_text(document, "message", max_length=MAX_WORDS, required=False) or ""
    fields = _read_fields(document.get("fields"), customer_type)
    if status == REJECTED and not message.strip():
        raise BadRequest("message is required if status is rejected (SEP-12)")
    if (status == NEEDS_INFO) != bool(fields):
        raise BadRequest(
            "fields must name the refused fields if status is needs_info, and only then"
        )
    return Answer(status, message, fields)


def _read_fields(given: Any, customer_type: CustomerType) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > MAX_FIELDS:
        raise BadRequest("fields must be an object of SEP-9 names and reasons")
    fields = {}
    for name, reason in given.items():
        known = sep9.find_field(name)
        if known is None:
            raise BadRequest("fields must name SEP-9 fields only")
        if known.name in customer_type.of_others:
            raise BadRequest(
                f"fields must not name {known.name}, which customers of type "
                f"{customer_type.name} are not asked for"
            )
        if not isinstance(reason, str) or not reason.strip() or len(reason) > MAX_WORDS:
            raise BadRequest(
                f"fields must say why {known.name} is refused, in at most {MAX_WORDS} characters"
            )
        fields[known.name] = reason
    return fields
