"""Customers of sending anchors. All that says who they are is sealed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from kernel.sealed import SealedBytesField, SealedTextField
from sep10.models import SendingAnchor


class Customer(models.Model):
    """A client of a sending anchor, known to us by id, or by (account, memo).

    It belongs to the sending anchor's account that registered it; for all others it is a 404.
    After erasure (`erased_at`) the row stays for the money records that point at it, empty.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sending_anchor = models.ForeignKey(SendingAnchor, on_delete=models.PROTECT)
    account = models.CharField(max_length=56)
    memo_type = models.CharField(max_length=6, blank=True)
    memo = models.CharField(max_length=64, blank=True)
    callback_url = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "memo_type", "memo"],
                condition=Q(erased_at__isnull=True),
                name="customer_once_per_memo",
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class CustomerField(models.Model):
    """One SEP-9 field of a customer; the value is text, or a file's bytes."""

    class Status(models.TextChoices):
        ACCEPTED = "ACCEPTED"
        PROCESSING = "PROCESSING"
        REJECTED = "REJECTED"
        VERIFICATION_REQUIRED = "VERIFICATION_REQUIRED"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="fields")
    name = models.CharField(max_length=80)
    value = SealedTextField(null=True, blank=True)
    file = SealedBytesField(null=True, blank=True)
    content_type = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=21, choices=Status.choices, default=Status.ACCEPTED)
    error = models.CharField(max_length=300, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "name"], name="customer_field_once"),
            models.CheckConstraint(
                condition=Q(value__isnull=False) ^ Q(file__isnull=False),
                name="customer_field_text_or_file",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.customer_id}"


class Decision(models.Model):
    """What KYC decided on a customer for one type ("sep31-sender", ...)."""

    class Status(models.TextChoices):
        ACCEPTED = "ACCEPTED"
        PROCESSING = "PROCESSING"
        REJECTED = "REJECTED"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="decisions")
    type = models.CharField(max_length=60)
    status = models.CharField(max_length=10, choices=Status.choices)
    message = models.CharField(max_length=300, blank=True)
    decided_by = models.CharField(max_length=100)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "type"], name="decision_once_per_type")
        ]

    def __str__(self) -> str:
        return f"{self.type}: {self.status}"
