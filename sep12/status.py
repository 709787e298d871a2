"""What a customer's status is, from what we hold. Pure.

SEP-12, "Customer Statuses" and "Provided Field Statuses".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernel.languages import Phrase, join_phrases
from sep12.types import CustomerType

ACCEPTED = "ACCEPTED"
PROCESSING = "PROCESSING"
NEEDS_INFO = "NEEDS_INFO"
REJECTED = "REJECTED"
VERIFICATION_REQUIRED = "VERIFICATION_REQUIRED"

# States of screening (`Customer.Screening`) that matter here.
CLEAR = "CLEAR"
BLOCKED = "BLOCKED"

BEING_CHECKED = "The information is being checked."
CANNOT_ACCEPT = "This customer can't be accepted."
STILL_NEEDED = "Still needed: {fields}."
NEEDED_ANEW = "Needed anew: {fields}."
TO_BE_VERIFIED = "To be verified: {fields}."

# SEP-12, "Customer callback PUT": after one of these the callback URL has done its duty.
FINAL = frozenset({ACCEPTED, REJECTED})


@dataclass(frozen=True)
class FieldState:
    """One field that we hold, or (`provided` is False) that someone asked for by refusing it."""

    status: str = ACCEPTED
    error: str = ""
    provided: bool = True


@dataclass(frozen=True)
class Verdict:
    """What KYC decided: ACCEPTED, PROCESSING or REJECTED, the last with a message.

    `is_current` is False if the customer sent other values since.
    """

    status: str
    message: str = ""
    is_current: bool = True


@dataclass(frozen=True)
class Assessment:
    """A customer's status for one type; `missing` names what to PUT before it can change."""

    status: str
    missing: tuple[str, ...] = ()
    message: str = ""


def needed_fields(customer_type: CustomerType, fields: Mapping[str, FieldState]) -> list[str]:
    """Names of the fields that the client must send, or send anew: those that are required and
    not there, and those that were refused."""
    absent = [name for name in customer_type.required if name not in fields]
    refused = [
        name
        for name, state in fields.items()
        if state.status == REJECTED and name not in customer_type.of_others
    ]
    return absent + sorted(refused)


def assess(
    customer_type: CustomerType,
    fields: Mapping[str, FieldState],
    verdict: Verdict,
    *,
    screening: str = CLEAR,
) -> Assessment:
    """The status for `customer_type`. `verdict` is what holds once all required fields are there.

    A final rejection comes first, for no further field would help; then what the client has to
    do; then what we have to do. Nobody is accepted whose name was not looked for on the sanctions
    lists (`screening`), and what was found there is never said.
    """
    if screening == BLOCKED:
        return Assessment(REJECTED, message=CANNOT_ACCEPT)
    if verdict.status == REJECTED:
        return Assessment(REJECTED, message=verdict.message or CANNOT_ACCEPT)
    needed = needed_fields(customer_type, fields)
    anew = [name for name in needed if name in fields and fields[name].provided]
    held = [(name, fields[name].status) for name in customer_type.required if name in fields]
    unverified = [name for name, status in held if status == VERIFICATION_REQUIRED]
    if needed or unverified:
        parts = [
            (STILL_NEEDED, [name for name in needed if name not in anew]),
            (NEEDED_ANEW, anew),
            (TO_BE_VERIFIED, unverified),
        ]
        return Assessment(
            NEEDS_INFO,
            missing=(*needed, *(f"{name}_verification" for name in unverified)),
            message=join_phrases(
                [Phrase(words, fields=", ".join(names)) for words, names in parts if names]
            ),
        )
    if verdict.status == PROCESSING:
        return Assessment(PROCESSING, message=verdict.message or BEING_CHECKED)
    if screening != CLEAR or any(status == PROCESSING for _, status in held):
        return Assessment(PROCESSING, message=BEING_CHECKED)
    return Assessment(verdict.status, message=verdict.message)
