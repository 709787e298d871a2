"""What the ledger told us and what we told the ledger."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


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

    def __str__(self) -> str:
        return f"{self.account} at {self.paging_token}"


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
        max_length=64, blank=True, help_text="id in decimal, text as UTF-8, hash and return in hex."
    )
    transaction_hash = models.CharField(max_length=64, db_index=True)
    ledger = models.BigIntegerField()
    closed_at = models.DateTimeField(help_text="Close time of its ledger.")
    recorded_at = models.DateTimeField(auto_now_add=True)
    claimed = models.BooleanField(default=False)

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

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(status__in=["pending", "signed"]),
                name="outgoing_due",
            )
        ]
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
