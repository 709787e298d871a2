"""Horizon's error answers: ``application/problem+json``."""

from __future__ import annotations

from typing import Any

_HOST = "https://stellar.org/horizon-errors/"


class Problem(Exception):
    """An error answer. ``kind`` is the last part of its type's address."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        extras: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.body: dict[str, Any] = {
            "type": _HOST + kind,
            "title": title,
            "status": status,
            "detail": detail,
        }
        if extras:
            self.body["extras"] = extras


def not_found() -> Problem:
    """The resource does not exist."""
    return Problem(
        404, "not_found", "Resource Missing", "There is nothing at this address on this network."
    )


def bad_request(detail: str, **extras: str) -> Problem:
    """The request is wrong as a whole."""
    return Problem(400, "bad_request", "Bad Request", detail, dict(extras) or None)


def invalid_field(name: str, reason: str) -> Problem:
    """One field of the request is wrong; named as Horizon names it."""
    return bad_request(
        f"The field {name} of the request is not valid: {reason}.",
        invalid_field=name,
        reason=reason,
    )


def malformed(envelope: str) -> Problem:
    """The text submitted is not a transaction envelope."""
    return Problem(
        400,
        "transaction_malformed",
        "Transaction Malformed",
        "The field tx must hold a TransactionEnvelope as base64 XDR; what was read is in"
        " extras.envelope_xdr.",
        {"envelope_xdr": envelope},
    )


def failed(envelope: str, codes: dict[str, Any], result: str) -> Problem:
    """The network refused the transaction, or it failed in a ledger."""
    return Problem(
        400,
        "transaction_failed",
        "Transaction Failed",
        "The transaction failed on the network; extras.result_codes says why.",
        {"envelope_xdr": envelope, "result_codes": codes, "result_xdr": result},
    )


def timed_out(envelope: str, digest: str) -> Problem:
    """No ledger took the transaction while the request waited; it still may."""
    return Problem(
        504,
        "transaction_submission_timeout",
        "Transaction Submission Timeout",
        "No ledger has taken the transaction yet. Look its hash up before you send it again.",
        {"hash": digest, "envelope_xdr": envelope},
    )


def overloaded() -> Problem:
    """The queue is full."""
    return Problem(
        503,
        "server_over_capacity",
        "Server Over Capacity",
        "Too many transactions are waiting for a ledger. Try again soon.",
    )


def unsupported_media() -> Problem:
    """The body is not a form."""
    return Problem(
        415,
        "unsupported_media_type",
        "Unsupported Media Type",
        "Send application/x-www-form-urlencoded.",
    )


def too_large() -> Problem:
    """The body is larger than any transaction."""
    return Problem(
        413, "request_too_large", "Request Too Large", "No transaction is as large as this body."
    )


def wrong_method() -> Problem:
    """The resource exists and does not know this method."""
    return Problem(
        405, "method_not_allowed", "Method Not Allowed", "This address does not take this method."
    )


def broken() -> Problem:
    """Something here is wrong; the details stay in the log."""
    return Problem(500, "server_error", "Internal Server Error", "The network has a defect here.")
