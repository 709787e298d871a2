"""The transaction as sending anchors see it (SEP-31, GET /transactions/:id)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from stellar_sdk import MuxedAccount

from kernel.languages import translate
from kernel.money import format_amount
from sep31.machine import Reason, Status
from sep31.messages import STATUS_MESSAGES
from sep31.models import Receipt, Refund, Transaction
from sep31.timing import estimate_seconds
from stellar.models import OutgoingPayment


def describe_transaction(
    row: Transaction, *, receipt: Receipt | None, refund: Refund | None, language: str | None = None
) -> dict[str, Any]:
    """SEP-31's transaction object; fields that do not apply are absent.

    `receipt` is the credited one and `refund` that of its credited part, each with its payment.
    `language` is the transaction's own if the reader asked for none.
    """
    language = language or row.lang
    described = {
        "id": str(row.pk),
        "status": row.status,
        "status_eta": estimate_seconds(row),
        "status_message": translate(STATUS_MESSAGES[row.reason], language),
        **_describe_amounts(row),
        "quote_id": str(row.quote_id) if row.quote_id else None,
        **_describe_destination(row),
        "started_at": describe_moment(row.started_at),
        "updated_at": describe_moment(row.updated_at),
        "completed_at": describe_moment(row.completed_at) if row.completed_at else None,
        "stellar_transaction_id": receipt.payment.transaction_hash if receipt else None,
        "external_transaction_id": row.payout.rail_reference or None if row.payout else None,
        **_describe_refund(row, refund),
        **_describe_wanted_info(row, language),
    }
    return {key: value for key, value in described.items() if value is not None}


def describe_created(row: Transaction) -> dict[str, str]:
    """The answer to POST /transactions: `id`, and where to pay once that is allowed."""
    return {"id": str(row.pk), **_describe_destination(row)}


def describe_moment(moment: datetime) -> str:
    """SEP-31's "UTC ISO 8601 string"."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _describe_destination(row: Transaction) -> dict[str, str]:
    if row.ready_at is None:
        return {}
    if row.is_muxed:
        muxed = MuxedAccount(row.stellar_account, int(row.memo))
        return {"stellar_account_id": muxed.account_muxed or ""}
    return {
        "stellar_account_id": row.stellar_account,
        "stellar_memo_type": row.memo_type,
        "stellar_memo": _write_memo(row.memo_type, row.memo),
    }


def _write_memo(memo_type: str, memo: str) -> str:
    """A hash in base64, as SEP-31's clients expect it; the ledger's tables keep it in hex."""
    return base64.b64encode(bytes.fromhex(memo)).decode() if memo_type == "hash" else memo


def _describe_amounts(row: Transaction) -> dict[str, Any]:
    amounts: dict[str, Any] = {
        "amount_in": format_amount(row.amount_in),
        "amount_in_asset": row.amount_in_asset,
        "amount_out_asset": row.amount_out_asset,
        "amount_fee_asset": row.amount_fee_asset,
    }
    if row.status == Status.REFUNDED:
        # All of it went back, so nothing went out and nothing was earned (Amount Formulas). The
        # asset stays the quote's, as SEP-31 wants it to.
        nothing = {"total": "0", "asset": row.amount_fee_asset}
        return {**amounts, "amount_out": "0", "amount_fee": "0", "fee_details": nothing}
    if row.amount_out is None or row.amount_fee is None:
        return amounts
    return {
        **amounts,
        "amount_out": format_amount(row.amount_out),
        "amount_fee": format_amount(row.amount_fee),
        "fee_details": row.fee_details,
    }


def _describe_refund(row: Transaction, refund: Refund | None) -> dict[str, Any]:
    if refund is None or refund.outgoing.status != OutgoingPayment.Status.CONFIRMED:
        return {}
    amount, fee = format_amount(refund.amount), format_amount(refund.fee)
    return {
        "refunded": row.status == Status.REFUNDED,
        "refunds": {
            "amount_refunded": amount,
            "amount_fee": fee,
            "payments": [
                {"id": refund.outgoing.transaction_hash, "amount": amount, "fee": fee},
            ],
        },
    }


def _describe_wanted_info(row: Transaction, language: str) -> dict[str, Any]:
    if row.status == Status.PENDING_CUSTOMER_INFO_UPDATE:
        return {"required_info_message": translate(STATUS_MESSAGES[row.reason], language)}
    if row.status == Status.PENDING_TRANSACTION_INFO_UPDATE:
        message = STATUS_MESSAGES[Reason.RAIL_REFUSED_TRANSACTION_FIELDS]
        return {
            "required_info_message": translate(message, language),
            "required_info_updates": {
                "transaction": {
                    name: {"description": reason}
                    for name, reason in row.required_info_updates.items()
                }
            },
        }
    return {}
