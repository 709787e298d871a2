"""The sandbox bank (docs/sandbox-bank.md): bank accounts and mobile money over HTTP.

It is our own configured partner, so it may live at a private address. Each call opens its own
connection: a kept-alive one that went stale would turn sure orders into unknown ones.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import requests
import urllib3
from django.conf import settings

from kernel.money import round_down
from payouts.rails.base import Answer, Order, Outcome

MAX_ANSWER_BYTES = 16 * 1024

_NAMES = frozenset({"first_name", "last_name"})
_REQUIRED = {
    "bank_account": _NAMES | {"bank_account_number", "bank_number"},
    "mobile_money": _NAMES | {"mobile_money_number"},
    "SEPA": _NAMES | {"bank_account_number"},  # the IBAN, which says which bank it is
}
_OPTIONAL = {
    "bank_account": frozenset({"bank_branch_number", "bank_account_type", "bank_name"}),
    "mobile_money": frozenset({"mobile_money_provider"}),
    "SEPA": frozenset({"bank_number"}),
}
_ACCOUNT_FIELDS = {
    "bank_account": "bank_account_number",
    "mobile_money": "mobile_money_number",
    "SEPA": "bank_account_number",
}
_KNOWN_FIELDS = frozenset[str]().union(*_REQUIRED.values(), *_OPTIONAL.values())


class SandboxBank:
    """`payouts.rails.base.Rail` over the sandbox bank's HTTP interface."""

    name = "sandbox_bank"

    @property
    def call_seconds(self) -> float:
        # To connect, to wait for the first byte, and for the last read to run over the deadline.
        return 3 * float(settings.BANK_TIMEOUT_SECONDS)

    def required_fields(self, method: str) -> frozenset[str]:
        return _REQUIRED[method]

    def optional_fields(self, method: str) -> frozenset[str]:
        return _OPTIONAL[method]

    def send(self, order: Order) -> Answer:
        missing = sorted(name for name in _REQUIRED[order.method] if not order.details.get(name))
        if missing:
            reasons = dict.fromkeys(missing, "The bank needs this field")
            return Answer(Outcome.REFUSED, fields=reasons, message="fields are missing")
        return _read_answer(
            *_call("POST", "/payouts", json_body=_order_body(order), idempotency_key=order.key)
        )

    def look_up(self, key: str) -> Answer | None:
        code, body = _call("GET", f"/payouts/by-key/{quote(key, safe='')}")
        # A 404 alone could be anybody's, a wrong BANK_URL's for one; this body is the bank's.
        if code == 404 and body.get("status") == "never_seen":
            return None
        return _read_answer(code, body)


def _order_body(order: Order) -> dict[str, str]:
    details, account_field = order.details, _ACCOUNT_FIELDS[order.method]
    extra = (_REQUIRED[order.method] | _OPTIONAL[order.method]) - _NAMES - {account_field}
    return {
        "reference": order.reference,
        # The minor unit's decimals, spelt out; it was checked before that nothing is cut off.
        "amount": format(round_down(order.amount, order.asset.decimals), "f"),
        "currency": order.asset.code,
        "method": order.method,
        "account_number": details[account_field],
        "account_holder": f"{details['first_name']} {details['last_name']}",
        **{name: details[name] for name in sorted(extra) if details.get(name)},
    }


def _call(
    method: str,
    path: str,
    *,
    json_body: dict[str, str] | None = None,
    idempotency_key: str | None = None,
) -> tuple[int | None, dict[str, Any]]:
    """The status code and the JSON object that the bank answered.

    (None, {"message": why}) if there was no whole answer; an empty object if it is no JSON object.
    """
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if settings.BANK_API_KEY:
        headers["Authorization"] = f"Bearer {settings.BANK_API_KEY}"
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    seconds = float(settings.BANK_TIMEOUT_SECONDS)
    try:
        with requests.Session() as session:
            # A proxy or a .netrc of the machine must not reroute or re-key our money.
            session.trust_env = False
            deadline = time.monotonic() + 2 * seconds
            with session.request(
                method,
                settings.BANK_URL + path,
                json=json_body,
                headers=headers,
                timeout=(seconds, seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                return response.status_code, _parse(_read_body(response, deadline))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        # The class alone: the text of such errors quotes URLs and, at times, headers.
        return None, {"message": f"no answer ({type(error).__name__})"}


def _read_body(response: requests.Response, deadline: float) -> bytes:
    body = b""
    while len(body) <= MAX_ANSWER_BYTES and time.monotonic() < deadline:
        # read1 returns with what there is: read would let a trickle outlast the deadline.
        chunk = response.raw.read1(MAX_ANSWER_BYTES)
        if not chunk:
            return body
        body += chunk
    raise requests.ConnectionError("too long or too slow")


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _read_answer(code: int | None, body: dict[str, Any]) -> Answer:
    """What the bank means. The body decides: by key, it answers 200 whatever became of it."""
    if code is None:
        return Answer(Outcome.UNKNOWN, message=body["message"])
    reference, message = _text(body.get("id")), _text(body.get("message"))
    match code, body:
        case (200 | 201, {"status": "paid"}):
            return Answer(Outcome.DELIVERED, rail_reference=reference)
        case (200 | 202, {"status": "accepted"}):
            return Answer(Outcome.ACCEPTED, rail_reference=reference)
        case (200 | 422, {"status": "refused", "fields": dict(fields)}) if (
            fields and fields.keys() <= _KNOWN_FIELDS
        ):
            reasons = {name: _text(reason) for name, reason in fields.items()}
            return Answer(
                Outcome.REFUSED, fields=reasons, message=message, rail_reference=reference
            )
        case (200 | 503, {"status": "failed", "retryable": True}):
            retryable = True
        case (200 | 409, {"status": "failed", "retryable": False}):
            retryable = False
        case _:
            return Answer(Outcome.UNKNOWN, message=f"answer not understood (HTTP {code})")
    return Answer(Outcome.FAILED, retryable=retryable, message=message, rail_reference=reference)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
