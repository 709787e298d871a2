"""The outbox of status callbacks."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Callback(models.Model):
    """One POST that we owe a sending anchor, written in the commit that caused it.

    Callbacks of one `stream` (for example "sep31:<transaction id>") are delivered in the order
    of `id`; a later one waits until the earlier one was delivered or given up.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "to be delivered at next_try_at"
        DELIVERED = "delivered", "answered with 2xx"
        GIVEN_UP = "given_up", "not delivered in the time allowed; an operator may resend it"

    stream = models.CharField(max_length=80)
    url = models.CharField(max_length=2000)
    host = models.CharField(max_length=253, help_text="Of the URL; failures are counted per host.")
    body = models.TextField(help_text="The JSON that is posted, byte for byte.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(status="pending"), name="callback_due"
            ),
            models.Index(fields=["stream", "id"], name="callback_stream"),
        ]

    def __str__(self) -> str:
        return f"{self.stream} #{self.pk}"
