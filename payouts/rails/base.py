"""What a rail is to us: send an order once, and say what became of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from kernel.assets import AssetName


class Outcome(enum.StrEnum):
    """What a rail's answer means for the money."""

    DELIVERED = "delivered"  # the receiving client has it
    ACCEPTED = "accepted"  # the rail took it and will know later
    REFUSED = "refused"  # not paid, and never under this key: named fields are wrong
    FAILED = "failed"  # not paid, and never under this key
    UNKNOWN = "unknown"  # no answer, or one that we don't understand: it may have been paid


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt, as the rail gets it. Under one `key` all else is always the same.

    `amount` has at most the minor unit's decimals of `asset`; `details` are SEP-9 fields.
    """

    key: str
    reference: str
    amount: Decimal
    asset: AssetName
    method: str
    details: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rail says of an order.

    `fields` (REFUSED only, never empty then) maps SEP-9 names to reasons. `retryable` (FAILED
    only) tells whether a new attempt may fare better. `message` is for the operator. Reasons and
    message are the rail's words: whoever keeps them cleans them first (`payouts.wording`).
    """

    outcome: Outcome
    fields: Mapping[str, str] = field(default_factory=dict)
    retryable: bool = False
    message: str = ""
    rail_reference: str = ""


class Rail(Protocol):
    """A way to pay. Implementations are built without arguments and may be used by threads.

    Neither call raises for what the other side does: whatever is not understood, a time-out
    included, is `Outcome.UNKNOWN`, never FAILED. REFUSED and FAILED promise that the key will
    not be paid later.
    """

    name: str

    @property
    def call_seconds(self) -> float:
        """The longest that one `send` or `look_up` may take."""

    def required_fields(self, method: str) -> frozenset[str]:
        """SEP-9 names without which an order by `method` can't be sent."""

    def optional_fields(self, method: str) -> frozenset[str]:
        """SEP-9 names that are sent along where they are known."""

    def send(self, order: Order) -> Answer:
        """Ask for the payment. The same key sent again must never pay again."""

    def look_up(self, key: str) -> Answer | None:
        """What became of `key`; None if it was never seen: the same key may be sent (again)."""
