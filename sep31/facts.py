"""Gathers what `machine.decide` needs, for a whole batch of locked transactions at once.

The number of queries does not depend on the number of transactions.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kernel.assets import parse_asset_name
from payouts.models import Payout
from sep1.assets import received_assets
from sep12 import sep9
from sep12.services import Assessment, assess_customers
from sep31.machine import Facts, Kyc, Money, PayoutFact, RefundFact, Status, Wish
from sep31.models import Receipt, Refund, Transaction
from stellar.models import OutgoingPayment, ReceivedPayment
from stellar.services import ledger_clock

_KYC_ORDER = [Kyc.REJECTED, Kyc.NEEDS_INFO, Kyc.PROCESSING, Kyc.ACCEPTED]

_REFUND = {
    OutgoingPayment.Status.PENDING: RefundFact.UNDERWAY,
    OutgoingPayment.Status.SIGNED: RefundFact.UNDERWAY,
    OutgoingPayment.Status.CONFIRMED: RefundFact.CONFIRMED,
    OutgoingPayment.Status.FAILED: RefundFact.FAILED,
}

_PAYOUT = {
    Payout.Status.DUE: PayoutFact.DUE,
    Payout.Status.IN_FLIGHT: PayoutFact.UNDERWAY,
    Payout.Status.ACCEPTED: PayoutFact.ACCEPTED,
    Payout.Status.DELIVERED: PayoutFact.DELIVERED,
    Payout.Status.FAILED: PayoutFact.FAILED,
    Payout.Status.HELD: PayoutFact.HELD,
    Payout.Status.CANCELLED: PayoutFact.CANCELLED,
}


@dataclass
class Gathered:
    """What the database says about one batch."""

    credited: dict[uuid.UUID, Receipt] = field(default_factory=dict)
    refunds: dict[uuid.UUID, Refund] = field(default_factory=dict)
    assessments: dict[tuple[uuid.UUID, str], Assessment] = field(default_factory=dict)
    passed_until: dict[str, datetime | None] = field(default_factory=dict)

    def assess(self, rows: Sequence[Transaction]) -> None:
        """Ask what we know of these transactions' customers (again)."""
        pairs = {pair for row in rows for pair in customers_of(row)}
        self.assessments |= assess_customers(
            {(customer_id, kind) for customer_id, kind in pairs if customer_id is not None}
        )


def gather(rows: Sequence[Transaction]) -> Gathered:
    """Read receipts, refunds, customers and the ledger clock of these (locked) transactions."""
    gathered = Gathered()
    # The clock first: whatever it has passed is then visible to the queries after it.
    for account in {row.stellar_account for row in rows}:
        gathered.passed_until[account] = _clock_of_matched_payments(account)
    gathered.credited, gathered.refunds = read_credit([row.pk for row in rows])
    gathered.assess(rows)
    return gathered


def read_credit(
    ids: Sequence[uuid.UUID],
) -> tuple[dict[uuid.UUID, Receipt], dict[uuid.UUID, Refund]]:
    """What was credited to each of these transactions, and the refund of it; two queries."""
    receipts = Receipt.objects.filter(transaction__in=ids, credited__gt=0)
    refunds = Refund.objects.filter(transaction__in=ids, part=Refund.Part.CREDITED)
    return (
        {pk: one for one in receipts.select_related("payment") if (pk := one.transaction_id)},
        {pk: one for one in refunds.select_related("outgoing") if (pk := one.transaction_id)},
    )


def customers_of(row: Transaction) -> list[tuple[uuid.UUID | None, str]]:
    """(customer, type) of those whom we must know; None where nobody was registered yet."""
    pairs = [(row.sender_id, row.sender_type), (row.receiver_id, row.receiver_type)]
    return [(customer_id, kind) for customer_id, kind in pairs if kind]


def _clock_of_matched_payments(account: str) -> datetime | None:
    """Until when every payment to `account` has been recorded **and** matched.

    A payment that is recorded but has no receipt yet may be the one that was in time.
    """
    clock = ledger_clock(account)
    oldest = (
        ReceivedPayment.objects.filter(account=account, claimed=False)
        .order_by("operation_id")
        .values_list("closed_at", flat=True)
        .first()
    )
    return min(clock, oldest) if clock and oldest else clock


def facts_of(row: Transaction, gathered: Gathered) -> Facts:
    """The facts about one transaction."""
    asset = received_assets().get(parse_asset_name(row.amount_in_asset))
    passed = gathered.passed_until[row.stellar_account]
    return Facts(
        kyc=combine_kyc(row, gathered),
        money=Money.HELD if row.pk in gathered.credited else Money.NONE,
        payout=payout_fact(row.payout, asset.fields if asset else ()),
        refund=refund_fact(gathered.refunds.get(row.pk)),
        # Strictly later: a payment in the ledger that closed just now may still be unread.
        deadline_passed=passed is not None and passed > row.deadline,
        info_outstanding=bool(row.required_info_updates),
        refund_if_undeliverable=asset is not None and asset.policy.undeliverable == "refund",
        wish=Wish(row.operator_request),
        recover_to=Status(row.recover_to) if row.recover_to else None,
        cancelled=row.cancelled_at is not None,
    )


def combine_kyc(row: Transaction, gathered: Gathered) -> Kyc:
    """The least favourable standing of the transaction's customers."""
    standings = {Kyc.ACCEPTED}
    for customer_id, customer_type in customers_of(row):
        if customer_id is None:
            standings.add(Kyc.NEEDS_INFO)
        else:
            status = gathered.assessments[(customer_id, customer_type)].status
            standings.add(Kyc(status.lower()))
    return next(standing for standing in _KYC_ORDER if standing in standings)


def refund_fact(refund: Refund | None) -> RefundFact:
    """How far the refund of the credited money is."""
    return _REFUND[OutgoingPayment.Status(refund.outgoing.status)] if refund else RefundFact.NONE


def payout_fact(payout: Payout | None, transaction_fields: Container[str]) -> PayoutFact:
    """A refusal is about the customers unless it names our own transaction fields alone.

    One that names only what nobody could send us corrected is a failure.
    """
    if payout is None:
        return PayoutFact.NONE
    if payout.status == Payout.Status.REFUSED:
        if any(name in sep9.FIELDS for name in payout.refused_fields):
            return PayoutFact.REFUSED_CUSTOMER
        if any(name in transaction_fields for name in payout.refused_fields):
            return PayoutFact.REFUSED_TRANSACTION
        return PayoutFact.FAILED
    return _PAYOUT[Payout.Status(payout.status)]
