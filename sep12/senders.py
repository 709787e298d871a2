"""Who brings confirmation codes to customers: one class for each field of `[verification]`."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from kernel.http import partner_post

GATEWAY_SECONDS = 10.0


class CodeSender(Protocol):
    """Built once in a process, without arguments, and shared by threads."""

    def send(self, name: str, value: str, code: str, *, key: str) -> None:
        """Bring `code` to `value`, the customer's value of the SEP-9 field `name`.

        Raises anything if it may not have been sent: it is then called again with the same `key`,
        under which the customer should get no second message. At most 10 seconds.
        """
        ...


class NotSent(Exception):
    """The gateway did not take the message."""


class HttpSender:
    """Posts codes to the company's own gateway for SMS and email, `VERIFICATION_GATEWAY_URL`."""

    def send(self, name: str, value: str, code: str, *, key: str) -> None:
        answer = partner_post(
            settings.VERIFICATION_GATEWAY_URL,
            body=json.dumps({"field": name, "to": value, "code": code, "key": key}).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {settings.VERIFICATION_GATEWAY_KEY}",
                "Idempotency-Key": key,
            },
            timeout=GATEWAY_SECONDS,
        )
        if not 200 <= answer.status < 300:
            raise NotSent(f"HTTP {answer.status}")


@lru_cache(maxsize=16)
def _load(path: str) -> CodeSender:
    sender: CodeSender = import_string(path)()
    return sender


def load_sender(name: str) -> CodeSender:
    """The sender of a SEP-9 field. Raises `KeyError` if the configuration names none."""
    return _load(settings.ANCHOR["verification"][name])
