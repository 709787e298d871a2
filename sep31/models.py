"""SEP-31 transactions and all that happened to them.

Nothing here is ever deleted. `Event` is append-only, which a database trigger enforces.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connections, models
from django.db.models import F, Q

from kernel.sealed import SealedJSONField
from kernel.statements import Select
from payouts.models import Payout
from sep10.models import SendingAnchor, beside_sending_anchor
from sep12.models import Customer
from sep31.machine import OPEN, Reason, Status
from sep38.models import Quote
from stellar.models import OutgoingPayment, ReceivedPayment

MEMO_TYPES = ["id", "text", "hash"]


class TransactionQuerySet(models.QuerySet["Transaction"]):
    """Payouts are read by a query of their own, after the lock: joined, they would be as they were
    before a lock that had to be waited for, beside a transaction as it is after."""

    def lock_for_change(self, ids: Iterable[uuid.UUID]) -> list[Transaction]:
        """Lock these transactions, in primary-key order, for the rest of the database transaction.

        Whoever changes a transaction, or relies on its not changing, comes through here first and
        locks customers, payouts and outgoing payments only afterwards: one order, no deadlock.
        """
        return list(
            self.filter(pk__in=list(ids))
            .order_by("pk")
            .select_for_update()
            .prefetch_related("payout")
        )

    def lock_due(self, now: datetime, limit: int) -> list[Transaction]:
        """Lock open transactions whose turn has come, passing over those that another worker has.

        The order is by due time and not by key, which is safe only because SKIP LOCKED never waits.
        """
        return list(
            self.filter(status__in=OPEN, look_at__lte=now)
            .order_by("look_at")
            .select_for_update(skip_locked=True)
            .prefetch_related("payout")[:limit]
        )

    def waiting_for(self, customer_id: uuid.UUID, limit: int = 500) -> list[uuid.UUID]:
        """Ids of open transactions that a change of this customer may move on."""
        return list(
            self.filter(
                Q(sender=customer_id) | Q(receiver=customer_id),
                status__in=[
                    Status.PENDING_RECEIVER,
                    Status.PENDING_EXTERNAL,
                    Status.PENDING_CUSTOMER_INFO_UPDATE,
                    Status.PENDING_TRANSACTION_INFO_UPDATE,
                ],
            ).values_list("pk", flat=True)[:limit]
        )


class Transaction(models.Model):
    """One cross-border payment (SEP-31, `GET /transactions/:id`).

    `amount_in` is what was agreed and never changes; what arrived stands in the receipts.
    The memo is assigned at creation and shown from `ready_at` on. `look_at` is when the sweep
    looks at an open transaction again, even if every announcement got lost.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sending_anchor = models.ForeignKey(SendingAnchor, on_delete=models.PROTECT, db_index=False)
    account = models.CharField(max_length=56, help_text="Who created it (G...).")
    status = models.CharField(max_length=32, choices=[(s.value, s.value) for s in Status])
    reason = models.CharField(max_length=40, choices=[(r.value, r.value) for r in Reason])
    recover_to = models.CharField(
        max_length=32, blank=True, help_text="Where an operator's retry takes it back from error."
    )
    amount_in = models.DecimalField(max_digits=19, decimal_places=7)
    amount_in_asset = models.CharField(max_length=80)
    amount_out = models.DecimalField(max_digits=19, decimal_places=7, null=True, blank=True)
    amount_out_asset = models.CharField(max_length=80)
    amount_fee = models.DecimalField(
        max_digits=19, decimal_places=7, null=True, blank=True, help_text="In amount_fee_asset."
    )
    amount_fee_asset = models.CharField(
        max_length=80, help_text="What comes in or what goes out, as the pair has it."
    )
    fee_details = models.JSONField(null=True, blank=True)
    quote = models.OneToOneField(Quote, on_delete=models.PROTECT, null=True, blank=True)
    funding_method = models.CharField(max_length=40)
    sender = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    receiver = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    sender_type = models.CharField(max_length=60, blank=True)
    receiver_type = models.CharField(max_length=60, blank=True)
    fields = SealedJSONField(default=dict, help_text="Deprecated per-transaction fields.")
    required_info_updates = models.JSONField(
        default=dict, help_text="{transaction field: reason}; names, never values."
    )
    lang = models.CharField(max_length=10, default="en")
    refund_memo_type = models.CharField(max_length=4, blank=True)
    refund_memo = models.CharField(max_length=64, blank=True)
    stellar_account = models.CharField(max_length=56)
    memo_type = models.CharField(max_length=4)
    memo = models.CharField(max_length=64)
    is_muxed = models.BooleanField(
        default=False, help_text="Its memo is shown inside an M address, by request."
    )
    ready_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(help_text="By the ledger's clock; a payment at it is late.")
    cancelled_at = models.DateTimeField(
        null=True, blank=True, help_text="When the sending anchor asked to cancel it."
    )
    callback_url = models.CharField(max_length=2000, blank=True)
    payout = models.OneToOneField(
        Payout, on_delete=models.PROTECT, null=True, blank=True, related_name="transaction"
    )
    operator_request = models.CharField(max_length=10, blank=True)
    operator = models.CharField(max_length=150, blank=True)
    look_at = models.DateTimeField()
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField(help_text="When it reached its present status.")
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = TransactionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["look_at"], condition=Q(status__in=OPEN), name="transaction_due"),
            models.Index(fields=["sending_anchor", "-started_at"], name="transaction_by_anchor"),
            # GET /transactions reads one range of these for each status.
            models.Index(
                fields=["sending_anchor", "status", "-started_at"], name="transaction_started"
            ),
            models.Index(
                fields=["sending_anchor", "status", "updated_at"], name="transaction_updated"
            ),
            models.Index(fields=["sender", "-started_at"], name="transaction_by_sender"),
            models.Index(fields=["receiver", "-started_at"], name="transaction_by_receiver"),
            models.Index(fields=["status", "-started_at"], name="transaction_by_status"),
            models.Index(fields=["-started_at"], name="transaction_newest"),
        ]
        permissions = [
            ("retry_transaction", "Can retry what failed"),
            ("refund_transaction", "Can send a payment back"),
        ]
        constraints = [
            # Payments are matched by memo alone, so a memo means one transaction, for ever.
            models.UniqueConstraint(
                fields=["stellar_account", "memo_type", "memo"], name="transaction_memo_once"
            ),
            models.CheckConstraint(condition=Q(amount_in__gt=0), name="transaction_amount_in"),
            models.CheckConstraint(
                condition=Q(amount_out__isnull=True) | Q(amount_out__gt=0),
                name="transaction_amount_out",
            ),
            models.CheckConstraint(
                condition=Q(amount_fee_asset=F("amount_in_asset"))
                | Q(amount_fee_asset=F("amount_out_asset")),
                name="transaction_amount_fee_asset",
            ),
            # A fee in what goes out was taken before amount_out, so it may be more than that.
            models.CheckConstraint(
                condition=Q(amount_fee__isnull=True)
                | (
                    Q(amount_fee__gte=0)
                    & (Q(amount_fee_asset=F("amount_out_asset")) | Q(amount_fee__lt=F("amount_in")))
                ),
                name="transaction_amount_fee",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.COMPLETED) | Q(payout__isnull=False),
                name="transaction_completed_has_payout",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @classmethod
    def read_owned(
        cls, pk: uuid.UUID, account: str
    ) -> tuple[SendingAnchor, Transaction | None, Receipt | None, Refund | None] | None:
        """The sending anchor of `account` (G...), and its transaction with its payout, the receipt
        of what was credited to it with its payment, and the refund of that with its payment.

        None for the transaction if it is not theirs, for all of it if nobody has that account. One
        query, and only what requests ask of each.
        """
        for anchor, *parts in _OWNED.fetch([pk, account]):
            return anchor, *_put_together(*parts)
        return None

    @classmethod
    def read_several(
        cls, ids: Collection[uuid.UUID]
    ) -> list[tuple[Transaction, Receipt | None, Refund | None]]:
        """Transactions with what `read_owned` reads with one, in the order of `ids`. One query."""
        if not ids:
            return []
        read = (_put_together(*parts) for parts in _SEVERAL.fetch([list(ids)]))
        return [(row, receipt, refund) for row, receipt, refund in read if row is not None]


class FeedQuerySet(models.QuerySet["Feed"]):
    # One statement also where the feed is new. Rows are taken in the order in which they stand.
    _TAKE = """
        INSERT INTO sep31_feed (sending_anchor_id, last) VALUES {rows}
        ON CONFLICT (sending_anchor_id) DO UPDATE SET last = sep31_feed.last + EXCLUDED.last
        RETURNING sending_anchor_id, last
    """

    def lock_and_count(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Lock the feeds of these sending anchors, and take so many numbers of each.

        {sending anchor: count} -> {sending anchor: last number taken}. Whoever takes numbers
        commits before the next one takes any, so numbers are in the order of commits: a reader
        who saw one has seen all before it. Nothing may wait for another lock after this one.
        """
        if not counts:
            return {}
        rows = ", ".join(["(%s, %s)"] * len(counts))
        values = [value for pair in sorted(counts.items()) for value in pair]
        with connections[self.db].cursor() as cursor:
            cursor.execute(self._TAKE.format(rows=rows), values)
            return dict(cursor.fetchall())


class Feed(models.Model):
    """How many numbers of a sending anchor's feed (GET /events) are taken."""

    sending_anchor = models.OneToOneField(SendingAnchor, on_delete=models.PROTECT, primary_key=True)
    last = models.BigIntegerField()

    objects = FeedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.sending_anchor_id}: {self.last}"


class Event(models.Model):
    """One change of a transaction, or a note on something that happened to it.

    What operators see as its timeline. Append-only. Changes of status after the first one have a
    number in their sending anchor's feed: 1, 2, 3 and so on, without a gap.
    """

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="events")
    from_status = models.CharField(max_length=32, blank=True)
    to_status = models.CharField(max_length=32)
    reason = models.CharField(max_length=40, choices=[(r.value, r.value) for r in Reason])
    actor = models.CharField(max_length=150, default="landfall")
    at = models.DateTimeField()
    # To the feed and not to the sending anchor: a daily limit locks that one.
    feed = models.ForeignKey(
        Feed, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    number = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["feed", "number"], condition=Q(number__isnull=False), name="event_number"
            )
        ]

    def __str__(self) -> str:
        return f"{self.from_status or '(new)'} → {self.to_status}: {self.reason}"


class ReceiptQuerySet(models.QuerySet["Receipt"]):
    def lock_in_inbox(self, receipt_id: int) -> Receipt | None:
        """Lock a receipt whose rest waits for an operator; None if nothing waits (any more).

        Two operators follow each other here, and the second finds nothing. NO KEY: `advance`
        holds the transaction while it inserts a refund that points at the receipt, and we insert
        one that points at the transaction; a full lock here would let the two block each other.
        """
        return (
            self.filter(pk=receipt_id, rest=Receipt.Rest.INBOX)
            .select_for_update(no_key=True, of=("self",))
            .select_related("payment", "transaction")
            .first()
        )


class Receipt(models.Model):
    """What we made of one received payment: each gets exactly one.

    `credited` went to its transaction; the rest is either being refunded or in the operators'
    inbox. Uncredited money never reaches a receiving client.
    """

    class Outcome(models.TextChoices):
        AGREED = "agreed", "as agreed"
        OVERPAID = "overpaid", "more than agreed; the agreed part was credited"
        UNDERPAID = "underpaid", "less than agreed"
        LATE = "late", "after the deadline"
        WRONG_ASSET = "wrong_asset", "another asset than agreed"
        SECOND_PAYMENT = "second_payment", "the transaction was paid already"
        NOT_READY = "not_ready", "the transaction could not be paid (yet, or any more)"
        UNKNOWN_MEMO = "unknown_memo", "no transaction has its memo"

    class Rest(models.TextChoices):
        NONE = "none", "all of it was credited"
        REFUND = "refund", "the uncredited part is sent back"
        INBOX = "inbox", "an operator decides on the uncredited part"
        KEPT = "kept", "an operator kept the uncredited part (for example our own funding)"

    payment = models.OneToOneField(
        ReceivedPayment, on_delete=models.PROTECT, primary_key=True, related_name="receipt"
    )
    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, null=True, blank=True, related_name="receipts"
    )
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    credited = models.DecimalField(max_digits=19, decimal_places=7)
    uncredited = models.DecimalField(max_digits=19, decimal_places=7)
    rest = models.CharField(max_length=10, choices=Rest.choices)
    decided_by = models.CharField(max_length=150, default="landfall")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ReceiptQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], condition=Q(rest="inbox"), name="receipt_inbox")
        ]
        permissions = [("decide_receipt", "Can refund or keep what is in the inbox")]
        constraints = [
            # A transaction is paid once; every further payment on its memo stays uncredited.
            models.UniqueConstraint(
                fields=["transaction"], condition=Q(credited__gt=0), name="receipt_credited_once"
            ),
            models.CheckConstraint(
                condition=Q(credited__gte=0) & Q(uncredited__gte=0), name="receipt_parts"
            ),
            models.CheckConstraint(
                condition=Q(credited=0) | Q(transaction__isnull=False), name="receipt_credits_whom"
            ),
            models.CheckConstraint(
                condition=Q(uncredited=0, rest="none") | (Q(uncredited__gt=0) & ~Q(rest="none")),
                name="receipt_rest_has_fate",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.payment_id}: {self.outcome}"


class Refund(models.Model):
    """Money sent back on Stellar: the credited or the uncredited part of one receipt, once each.

    `amount + fee` is the whole of that part; `amount` goes back, `fee` we keep.
    """

    class Part(models.TextChoices):
        CREDITED = "credited"
        UNCREDITED = "uncredited"

    receipt = models.ForeignKey(Receipt, on_delete=models.PROTECT, related_name="refunds")
    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, null=True, blank=True, related_name="refunds"
    )
    part = models.CharField(max_length=10, choices=Part.choices)
    amount = models.DecimalField(max_digits=19, decimal_places=7)
    fee = models.DecimalField(max_digits=19, decimal_places=7, default=0)
    reason = models.CharField(max_length=40)
    actor = models.CharField(max_length=150, default="landfall")
    outgoing = models.OneToOneField(
        OutgoingPayment, on_delete=models.PROTECT, related_name="refund"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["receipt", "part"], name="refund_once_per_part"),
            models.CheckConstraint(
                condition=Q(amount__gt=0) & Q(fee__gte=0), name="refund_amounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} of {self.receipt_id}"


# OFFSET 0 keeps conditions from moving in and out, so that each row is looked for by its key alone.
# A plan outlives what was known of a table when it was made: of a small one, that any index does.
_WHAT_BELONGS_TO_IT = """
    LEFT JOIN LATERAL (
        SELECT * FROM payouts_payout WHERE id = transaction.payout_id OFFSET 0
    ) AS payout ON true
    LEFT JOIN LATERAL (
        SELECT * FROM sep31_receipt
        WHERE transaction_id = transaction.id AND credited > 0 OFFSET 0
    ) AS receipt ON true
    LEFT JOIN LATERAL (
        SELECT * FROM stellar_receivedpayment WHERE operation_id = receipt.payment_id OFFSET 0
    ) AS payment ON true
    LEFT JOIN LATERAL (
        SELECT * FROM sep31_refund
        WHERE transaction_id = transaction.id AND part = 'credited' OFFSET 0
    ) AS refund ON true
    LEFT JOIN LATERAL (
        SELECT * FROM stellar_outgoingpayment WHERE id = refund.outgoing_id OFFSET 0
    ) AS outgoing ON true
"""
_WITH_WHAT_BELONGS_TO_IT: dict[str, Any] = {
    # All but what only those who change it need: they lock it, and read it after that.
    "transaction": (
        Transaction,
        *("status", "reason", "lang", "amount_in", "amount_in_asset"),
        *("amount_out", "amount_out_asset", "amount_fee", "amount_fee_asset", "fee_details"),
        *("quote_id", "funding_method", "required_info_updates", "payout_id"),
        *("sender_id", "receiver_id", "sender_type", "receiver_type"),
        *("stellar_account", "memo_type", "memo", "is_muxed"),
        *("ready_at", "started_at", "updated_at", "completed_at"),
    ),
    "payout": (Payout, "status", "rail_reference", "refused_fields"),
    "receipt": (Receipt, "transaction_id", "credited"),
    "payment": (ReceivedPayment, "transaction_hash"),
    "refund": (Refund, "transaction_id", "part", "amount", "fee"),
    "outgoing": (OutgoingPayment, "status", "transaction_hash"),
}
_OWNED = beside_sending_anchor(
    _WITH_WHAT_BELONGS_TO_IT,
    f"""
        LEFT JOIN (SELECT * FROM sep31_transaction WHERE id = %s::uuid OFFSET 0) AS transaction
            ON transaction.sending_anchor_id = anchor.id
        {_WHAT_BELONGS_TO_IT}
    """,  # noqa: S608
)
_SEVERAL = Select(
    f"""
        SELECT {{transaction}}, {{payout}}, {{receipt}}, {{payment}}, {{refund}}, {{outgoing}}
        FROM unnest(%s::uuid[]) WITH ORDINALITY AS wanted (id, place)
        CROSS JOIN LATERAL (
            SELECT * FROM sep31_transaction WHERE id = wanted.id OFFSET 0
        ) AS transaction
        {_WHAT_BELONGS_TO_IT}
        ORDER BY wanted.place
    """,  # noqa: S608
    _WITH_WHAT_BELONGS_TO_IT,
)


def _put_together(
    row: Transaction | None,
    payout: Payout | None,
    receipt: Receipt | None,
    payment: ReceivedPayment | None,
    refund: Refund | None,
    outgoing: OutgoingPayment | None,
) -> tuple[Transaction | None, Receipt | None, Refund | None]:
    for owner, name, owned in (
        (row, "payout", payout),
        (receipt, "payment", payment),
        (refund, "outgoing", outgoing),
    ):
        if owner is not None:
            owner._state.fields_cache[name] = owned
    return row, receipt, refund


class StatusTime(models.Model):
    """How long transactions stayed in a status lately, by how and in what they were delivered."""

    funding_method = models.CharField(max_length=40)
    asset = models.CharField(max_length=80)
    status = models.CharField(max_length=32)
    seconds = models.PositiveIntegerField()
    sample = models.PositiveIntegerField(help_text="Of how many transactions.")
    measured_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["funding_method", "asset", "status"], name="status_time_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.status} by {self.funding_method}: {self.seconds} s"


class IdempotentRequest(models.Model):
    """A POST that came with an Idempotency-Key, and the answer that it got.

    Nothing of the request stands in it but keyed digests.
    """

    digest = models.CharField(max_length=64, primary_key=True, help_text="Of the caller and key.")
    fingerprint = models.CharField(max_length=64, help_text="Of the body.")
    answer = models.TextField(blank=True, help_text="The JSON that was answered with 201.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return self.digest
