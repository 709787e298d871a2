"""Proof that no money was lost, doubled or invented: per asset,

    received = paid out + fees + refunded + held

Each of the five is added up on its own from its own records, so that the equation can fail.
Amounts are in units of the asset that came in. Where a fee is in what goes out, all that came in
was converted and counts as paid out; the fee is told beside it and is no part of the equation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import Case, F, Q, QuerySet, Sum, When

from sep31.machine import Status
from sep31.models import Receipt, Refund, Transaction
from stellar.models import OutgoingPayment, ReceivedPayment

_IN_WHAT_CAME_IN = Q(amount_fee_asset=F("amount_in_asset"))
_CONFIRMED = Q(outgoing__status=OutgoingPayment.Status.CONFIRMED)


@dataclass
class Balance:
    """The books of one asset.

    `paid_out` is what was converted for delivery. `fees_after_conversion` is what we kept of that
    in what was bought, {asset: amount in units of it}.
    """

    asset: str
    received: Decimal = Decimal(0)
    paid_out: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    fees_after_conversion: dict[str, Decimal] = field(default_factory=dict)

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
    for asset, amount in _sums(completed.filter(_IN_WHAT_CAME_IN), "amount_in_asset", "amount_fee"):
        books[asset].fees += amount
    whole_or_rest = Case(
        When(_IN_WHAT_CAME_IN, then=F("amount_in") - F("amount_fee")), default=F("amount_in")
    )
    paid_out = completed.annotate(converted=whole_or_rest)
    for asset, amount in _sums(paid_out, "amount_in_asset", "converted"):
        books[asset].paid_out += amount
    for asset, fee_asset, amount in _fees_after_conversion(completed):
        books[asset].fees_after_conversion[fee_asset] = amount
    refunds = Refund.objects.filter(_CONFIRMED)
    for asset, amount in _sums(refunds, "outgoing__asset", "outgoing__amount"):
        books[asset].refunded += amount
    for asset, amount in _sums(refunds, "outgoing__asset", "fee"):
        books[asset].fees += amount
    for asset, amount in _held().items():
        books[asset].held += amount
    return sorted(books.values(), key=lambda balance: balance.asset)


def _fees_after_conversion(
    completed: QuerySet[Transaction],
) -> Iterable[tuple[str, str, Decimal]]:
    assets = ("amount_in_asset", "amount_fee_asset")
    rows = completed.exclude(_IN_WHAT_CAME_IN).order_by(*assets).values_list(*assets)
    return rows.annotate(total=Sum("amount_fee"))


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
