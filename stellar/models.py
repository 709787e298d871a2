"""What the ledger told us and what we told the ledger."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q


class CursorQuerySet(models.QuerySet["Cursor"]):
    def lock_account(self, account: str) -> Cursor:
        """The account's cursor, locked: watchers that read the same page move it one by one."""
        return self.select_for_update().get(account=account)


class Cursor(models.Model):
    """How far the watcher has read the payments of one of our accounts.

    `paging_token` moves in the same database transaction that records the payments up to it.
    `passed_at` is the ledger clock: every payment to `account` in a ledger that closed at or
    before it has been recorded. Deadlines are measured against it, never against our own clock.
    """

    account = models.CharField(max_length=56, primary_key=True)
    paging_token = models.CharField(max_length=32, default="0")
    passed_ledger = models.BigIntegerField(default=0)
    passed_at = models.DateTimeField(null=True, blank=True)
    polled_at = models.DateTimeField(
        null=True, blank=True, help_text="When the network last answered us."
    )

    objects = CursorQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.account} at {self.paging_token}"


class ReceivedPaymentQuerySet(models.QuerySet["ReceivedPayment"]):
    def lock_unclaimed(self, limit: int) -> list[ReceivedPayment]:
        """Lock the oldest payments that have no receipt yet, passing over those that another
        worker has."""
        return list(
            self.filter(claimed=False)
            .order_by("operation_id")
            .select_for_update(skip_locked=True)[:limit]
        )


class ReceivedPayment(models.Model):
    """One operation that credited one of our accounts, whatever its memo, asset or amount.

    `amount` and the asset are what the ledger says was delivered to us, also for path payments.
    `claimed` becomes true in the transaction that gives the payment its one receipt upstairs.
    """

    operation_id = models.BigIntegerField(primary_key=True, help_text="SEP-35 operation id.")
    account = models.CharField(max_length=56, help_text="Our account that was credited.")
    muxed_id = models.DecimalField(
        max_digits=20, decimal_places=0, null=True, blank=True, help_text="If sent to an M address."
    )
    from_account = models.CharField(max_length=56)
    from_muxed = models.CharField(max_length=69, blank=True)
    operation_type = models.CharField(max_length=40)
    asset = models.CharField(max_length=80, help_text="SEP-38 name, with the issuer.")
    amount = models.DecimalField(max_digits=19, decimal_places=7)
    source_asset = models.CharField(max_length=80, blank=True)
    source_amount = models.DecimalField(max_digits=19, decimal_places=7, null=True, blank=True)
    memo_type = models.CharField(max_length=6, default="none")
    memo = models.CharField(
        max_length=64,
        blank=True,
        help_text="id in decimal, text as UTF-8, hash, return and bytes in hex.",
    )
    transaction_hash = models.CharField(max_length=64, db_index=True)
    ledger = models.BigIntegerField()
    closed_at = models.DateTimeField(help_text="Close time of its ledger.")
    recorded_at = models.DateTimeField(auto_now_add=True)
    claimed = models.BooleanField(default=False)

    objects = ReceivedPaymentQuerySet.as_manager()

    class Meta:
        indexes = [
            # The sweep asks only for what nobody has looked at yet; flat however long history is.
            models.Index(
                fields=["operation_id"], condition=Q(claimed=False), name="received_unclaimed"
            ),
            models.Index(fields=["account", "memo_type", "memo"], name="received_by_memo"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="received_amount_positive")
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.asset} ({self.operation_id})"


class UnreadRecord(models.Model):
    """A payment record of ours that this version can't read, kept as it came.

    The cursor moves past it, so that one odd record never stops the others; it waits here for
    `manage.py reread_records` (after an upgrade) or for an operator.
    """

    account = models.CharField(max_length=56)
    operation_id = models.BigIntegerField(
        null=True, blank=True, help_text="Empty if the record doesn't even say that."
    )
    reason = models.CharField(max_length=200)
    record = models.TextField(help_text="The record as JSON, as the ledger source sent it.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of it: the same record, one row.")
    recorded_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was read after all, or an operator dealt with it."
    )

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=Q(resolved_at=None), name="unread_unresolved")
        ]
        permissions = [("resolve_unreadrecord", "Can mark a record as dealt with")]
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="unread_once"),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id}: {self.reason}"


class OutgoingPaymentQuerySet(models.QuerySet["OutgoingPayment"]):
    def due(self, status: str, now: datetime) -> OutgoingPaymentQuerySet:
        return self.filter(status=status, next_try_at__lte=now).order_by("next_try_at", "id")

    def lock_payment(self, payment_id: int) -> OutgoingPayment:
        """One payment, locked: submitters and operators change it one by one."""
        return self.select_for_update().get(pk=payment_id)

    def lock_due_signed(self, now: datetime, limit: int) -> list[OutgoingPayment]:
        """Signed payments whose turn it is, locked; those that another submitter has are left."""
        signed = self.filter(status="signed", next_try_at__lte=now).order_by("id")
        return list(signed.select_for_update(skip_locked=True)[:limit])


class OutgoingPayment(models.Model):
    """A payment that we make on Stellar (a refund).

    The signed transaction and its hash are stored before it is submitted, so that an unknown
    outcome is looked up by hash and never signed anew while the old one could still be included.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "waiting to be signed"
        SIGNED = "signed", "signed and stored; may be on its way or on the ledger"
        CONFIRMED = "confirmed", "in a closed ledger"
        FAILED = "failed", "the network refused it for good; an operator must look"

    source_account = models.CharField(max_length=56)
    destination = models.CharField(max_length=69, help_text="G... or M...")
    asset = models.CharField(max_length=80)
    amount = models.DecimalField(max_digits=19, decimal_places=7)
    memo_type = models.CharField(max_length=6, default="none")
    memo = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    transaction_hash = models.CharField(max_length=64, unique=True, null=True, blank=True)
    envelope_xdr = models.TextField(blank=True)
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="Its upper time bound: after it, it can't be included."
    )
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    ledger = models.BigIntegerField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OutgoingPaymentQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(status__in=["pending", "signed"]),
                name="outgoing_due",
            ),
            models.Index(fields=["id"], condition=Q(status="failed"), name="outgoing_failed"),
        ]
        permissions = [("retry_outgoingpayment", "Can retry a payment that failed")]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="outgoing_amount_positive"),
            # One signed transaction per source account at a time: its sequence number is ours.
            models.UniqueConstraint(
                fields=["source_account"], condition=Q(status="signed"), name="outgoing_one_signed"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["signed", "confirmed"])
                | Q(transaction_hash__isnull=False),
                name="outgoing_signed_has_hash",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.asset} to {self.destination}"
