"""Proof that no money was lost, doubled or invented: per asset,

    received = paid out + fees + refunded + held

Each of the five is added up on its own from its own records, so that the equation can fail.
Amounts are in units of the asset that came in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import F, Q, QuerySet, Sum

from sep31.machine import Status
from sep31.models import Receipt, Refund, Transaction
from stellar.models import OutgoingPayment, ReceivedPayment

_CONFIRMED = Q(outgoing__status=OutgoingPayment.Status.CONFIRMED)


@dataclass
class Balance:
    """The books of one asset."""

    asset: str
    received: Decimal = Decimal(0)
    paid_out: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    held: Decimal = Decimal(0)

    @property
    def difference(self) -> Decimal:
        """What can't be accounted for; zero, or something is wrong."""
        return self.received - self.paid_out - self.fees - self.refunded - self.held


def balance_books() -> list[Balance]:
    """The books of every asset that ever arrived. Call it in a repeatable-read transaction, or
    while nothing moves: otherwise a payment may be counted on one side only."""
    books: dict[str, Balance] = {}
    for asset, amount in _sums(ReceivedPayment.objects.all(), "asset", "amount"):
        books[asset] = Balance(asset, received=amount)
    completed = Transaction.objects.filter(status=Status.COMPLETED)
    for asset, amount in _sums(completed, "amount_in_asset", "amount_fee"):
        books[asset].fees += amount
    paid_out = completed.annotate(converted=F("amount_in") - F("amount_fee"))
    for asset, amount in _sums(paid_out, "amount_in_asset", "converted"):
        books[asset].paid_out += amount
    refunds = Refund.objects.filter(_CONFIRMED)
    for asset, amount in _sums(refunds, "outgoing__asset", "outgoing__amount"):
        books[asset].refunded += amount
    for asset, amount in _sums(refunds, "outgoing__asset", "fee"):
        books[asset].fees += amount
    for asset, amount in _held().items():
        books[asset].held += amount
    return sorted(books.values(), key=lambda balance: balance.asset)


def _held() -> dict[str, Decimal]:
    """Money that is still with us: not matched yet, credited to a transaction that has not ended,
    or uncredited and not sent back."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    refunded = Refund.objects.filter(_CONFIRMED)
    open_credit = Receipt.objects.filter(credited__gt=0).exclude(
        transaction__status__in=[Status.COMPLETED, Status.REFUNDED]
    )
    uncredited = Receipt.objects.filter(uncredited__gt=0).exclude(
        pk__in=refunded.filter(part=Refund.Part.UNCREDITED).values("receipt")
    )
    for source in (
        _sums(ReceivedPayment.objects.filter(claimed=False), "asset", "amount"),
        _sums(open_credit, "payment__asset", "credited"),
        _sums(uncredited, "payment__asset", "uncredited"),
    ):
        for asset, amount in source:
            held[asset] += amount
    return held


def _sums(rows: QuerySet, by: str, amount: str) -> Iterable[tuple[str, Decimal]]:
    return rows.order_by(by).values_list(by).annotate(total=Sum(amount))
