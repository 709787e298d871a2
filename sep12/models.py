"""Customers of sending anchors. All that says who they are is sealed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import models
from django.db.models import BooleanField, ExpressionWrapper, Q

from kernel.sealed import SealedBytesField, SealedTextField
from sep10.models import SendingAnchor


class CustomerQuerySet(models.QuerySet["Customer"]):
    def is_erased(self, pk: uuid.UUID) -> bool:
        return self.filter(pk=pk, erased_at__isnull=False).exists()

    def present(self) -> CustomerQuerySet:
        """Those that were not erased."""
        return self.filter(erased_at__isnull=True)

    def lock_present(self, **which: Any) -> Customer | None:
        """Lock the one customer that `which` names; None if there is none or it was erased.

        Whoever changes a customer's fields or decisions holds this lock, so that two PUTs of one
        customer follow each other. NO KEY: a transaction that merely points at the customer need
        not wait.
        """
        return self.present().select_for_update(no_key=True).filter(**which).order_by("pk").first()


class Customer(models.Model):
    """A client of a sending anchor, known to us by id, or by (account, memo).

    It belongs to the sending anchor's account that registered it; for all others it is a 404.
    After erasure (`erased_at`) the row stays for the money records that point at it, empty.
    """

    class MemoType(models.TextChoices):
        ID = "id"
        TEXT = "text"
        HASH = "hash"
        # No memo on the wire: who was registered for one transaction, and named by nothing else,
        # has "<transaction id> <customer type>" here.
        TRANSACTION = "transaction"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sending_anchor = models.ForeignKey(SendingAnchor, on_delete=models.PROTECT)
    account = models.CharField(max_length=56)
    memo_type = models.CharField(max_length=11, blank=True, choices=MemoType.choices)
    memo = models.CharField(max_length=130, blank=True)
    type = models.CharField(
        max_length=60,
        blank=True,
        help_text="The type it was last registered for; meant where a request names none.",
    )
    callback_url = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "memo_type", "memo"],
                condition=Q(erased_at__isnull=True),
                name="customer_once_per_memo",
            )
        ]
        indexes = [models.Index(fields=["-created_at"], name="customer_newest")]
        permissions = [
            ("reveal_customer", "Can see a customer's personal data"),
            ("decide_customer", "Can accept or reject a customer"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class CustomerFieldQuerySet(models.QuerySet["CustomerField"]):
    def states(
        self, customer_ids: Iterable[uuid.UUID]
    ) -> Iterator[tuple[uuid.UUID, str, tuple[str, str, bool]]]:
        """(customer id, name, (status, error, whether there is a value)); opens no value."""
        is_provided = ExpressionWrapper(
            Q(value__isnull=False) | Q(file__isnull=False), output_field=BooleanField()
        )
        rows = self.filter(customer_id__in=customer_ids).annotate(is_provided=is_provided)
        for customer_id, name, *state in rows.values_list(
            "customer_id", "name", "status", "error", "is_provided"
        ):
            yield customer_id, name, (state[0], state[1], state[2])


class CustomerField(models.Model):
    """One SEP-9 field of a customer; the value is text, or a file's bytes.

    A field that was refused before the client ever sent it (a rail that wants one more) has
    neither: it is REJECTED, and so it is asked for.
    """

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

    objects = CustomerFieldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "name"], name="customer_field_once"),
            models.CheckConstraint(
                condition=Q(value__isnull=False) ^ Q(file__isnull=False)
                | Q(value__isnull=True, file__isnull=True, status="REJECTED"),
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
