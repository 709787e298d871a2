"""Payouts: what we owe a receiving client off-chain, and each attempt to deliver it."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import models
from django.db.models import Q

from kernel.sealed import SealedJSONField


class PayoutQuerySet(models.QuerySet["Payout"]):
    """Every row lock on payouts; an attempt is written only under its payout's lock."""

    def due(self, now: datetime) -> PayoutQuerySet:
        """Those that the rail is to hear of, longest waiting first."""
        return self.filter(status__in=Payout.OPEN, next_try_at__lte=now).order_by("next_try_at")

    def lock_one(self, payout_id: uuid.UUID) -> Payout:
        """Lock one payout, waiting for whoever has it. Raises `Payout.DoesNotExist`."""
        return self.select_for_update().get(pk=payout_id)

    def lock_due(self, payout_id: uuid.UUID, now: datetime) -> Payout | None:
        """Lock one payout if it is due and nobody has it: another worker's is not waited for."""
        return self.due(now).select_for_update(skip_locked=True).filter(pk=payout_id).first()


class Payout(models.Model):
    """Money that one receiving client is to get, once.

    `reference` is unique per payment upstairs (the SEP-31 transaction's id), so asking twice for
    the same payout makes one.
    """

    class Status(models.TextChoices):
        DUE = "due", "to be sent at next_try_at"
        IN_FLIGHT = "in_flight", "an attempt was handed to the rail; outcome not known yet"
        ACCEPTED = "accepted", "the rail took it and will answer later"
        DELIVERED = "delivered", "the rail confirmed delivery"
        HELD = "held", "kept back: it is doubted whether it may be paid"
        REFUSED = "refused", "the rail refused named fields; waiting for better ones"
        FAILED = "failed", "the rail can't deliver it; waiting for a decision"
        CANCELLED = "cancelled", "given up for good, nothing was or will be paid"

    RETRYABLE = (Status.REFUSED, Status.FAILED, Status.HELD)
    # What the rail has yet to be asked or told about.
    OPEN = (Status.DUE, Status.IN_FLIGHT, Status.ACCEPTED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(max_length=64, unique=True)
    asset = models.CharField(max_length=80, help_text="SEP-38 name of what is delivered.")
    amount = models.DecimalField(max_digits=19, decimal_places=7)
    method = models.CharField(max_length=40, help_text="Funding method; decides the rail.")
    rail = models.CharField(
        max_length=200,
        help_text="Dotted path, so that a payout under way outlives a change of [rails].",
    )
    details = SealedJSONField(help_text="SEP-9 fields that the rail needs: {name: value}.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DUE)
    refused_fields = models.JSONField(
        default=dict, help_text="{SEP-9 field: reason in plain words}; names, never values."
    )
    message = models.CharField(max_length=300, blank=True)
    rail_reference = models.CharField(max_length=100, blank=True)
    tries = models.PositiveIntegerField(
        default=0, help_text="Attempts since it was created or last retried by hand."
    )
    next_try_at = models.DateTimeField(
        null=True, blank=True, help_text="While it is being sent, until when the worker has it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    objects = PayoutQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(status__in=["due", "in_flight", "accepted"]),
                name="payout_due",
            ),
            # What people look at: the newest, and those that need them.
            models.Index(fields=["-created_at"], name="payout_newest"),
            models.Index(
                fields=["-created_at"],
                condition=Q(status__in=["refused", "failed"]),
                name="payout_stuck",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="payout_amount_positive"),
            # An open payout without a time would be forgotten by every sweep.
            models.CheckConstraint(
                condition=Q(status__in=["due", "in_flight", "accepted"])
                ^ Q(next_try_at__isnull=True),
                name="payout_open_has_next_try",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.asset} ({self.reference})"


class Attempt(models.Model):
    """One try at a payout. Its id is the idempotency key that the rail sees.

    The partial unique index is the lock against paying twice: while an attempt may have paid
    (claimed, unknown, accepted) or has paid (delivered), no other attempt can exist.
    """

    class Status(models.TextChoices):
        CLAIMED = "claimed", "stored; about to be sent, or sent without an answer yet"
        ACCEPTED = "accepted", "the rail took it"
        DELIVERED = "delivered", "the rail paid"
        REFUSED = "refused", "the rail refused named fields; nothing was paid"
        FAILED = "failed", "the rail did not pay"

    # The rail may pay it, or has: no other attempt may stand beside it.
    LIVE = (Status.CLAIMED, Status.ACCEPTED, Status.DELIVERED)
    # Its outcome is still to come; what is not here is final.
    UNSETTLED = (Status.CLAIMED, Status.ACCEPTED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.CLAIMED)
    details = SealedJSONField(help_text="What was sent: a copy, since the payout's may change.")
    calls = models.PositiveIntegerField(
        default=0, help_text="How often a worker claimed it, to send it or to look it up."
    )
    rail_reference = models.CharField(max_length=100, blank=True)
    message = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["payout", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["payout"],
                condition=Q(status__in=["claimed", "accepted", "delivered"]),
                name="attempt_one_that_may_have_paid",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.payout_id}"
