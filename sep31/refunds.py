"""Refunds: which part of a receipt goes back, to whom, with which memo and fee."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from kernel.assets import parse_asset_name
from sep1.assets import received_assets
from sep31.models import Receipt, Refund
from stellar.services import create_outgoing_payment

_MEMO_TYPES = {"none", "id", "text", "hash", "return"}

Order = tuple[Receipt, Refund.Part, str, str]  # receipt, which part, reason, actor


def create_refunds(orders: Sequence[Order]) -> list[Refund]:
    """Order refunds within the caller's database transaction.

    A part of a receipt is refunded at most once: the unique constraint `refund_once_per_part`
    raises `IntegrityError` at a second try.
    """
    return [_create_refund(*order) for order in orders]


def _create_refund(receipt: Receipt, part: Refund.Part, reason: str, actor: str) -> Refund:
    payment = receipt.payment
    whole = receipt.credited if part is Refund.Part.CREDITED else receipt.uncredited
    fee = refund_fee(whole, payment.asset)
    memo_type, memo = _refund_memo(receipt)
    outgoing = create_outgoing_payment(
        # Back to where it came from; SEP-31 names no other place.
        destination=payment.from_muxed or payment.from_account,
        asset=parse_asset_name(payment.asset),
        amount=whole - fee,
        memo_type=memo_type,
        memo=memo,
    )
    return Refund.objects.create(
        receipt=receipt,
        transaction_id=receipt.transaction_id,
        part=part,
        amount=whole - fee,
        fee=fee,
        reason=reason,
        actor=actor,
        outgoing=outgoing,
    )


def refund_fee(whole: Decimal, asset: str) -> Decimal:
    """What we keep of a refund: the asset's fee, or nothing where it would leave nothing."""
    received = received_assets().get(parse_asset_name(asset))
    fee = received.policy.refund_fee if received else Decimal(0)
    return fee if fee < whole else Decimal(0)


def _refund_memo(receipt: Receipt) -> tuple[str, str]:
    """SEP-31, POST /transactions: `refund_memo` if given, else the memo of the payment."""
    target = receipt.transaction
    if target is not None and target.refund_memo_type:
        return target.refund_memo_type, target.refund_memo
    if receipt.payment.memo_type not in _MEMO_TYPES:
        return "none", ""  # bytes that are no text; nobody was told to expect them back
    return receipt.payment.memo_type, receipt.payment.memo
