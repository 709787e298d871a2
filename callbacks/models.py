"""The outbox of status callbacks."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, models
from django.db.models import Exists, OuterRef, Q

# Each host that has something pending is found by one step down the index (callback_host_due),
# and only a few rows of each are read: a host that was dead for days costs no more than others.
DUE_HEADS = """
WITH RECURSIVE hosts AS (
    (SELECT host FROM callbacks_callback WHERE status = 'pending' ORDER BY host LIMIT 1)
    UNION ALL
    SELECT (
        SELECT host FROM callbacks_callback
        WHERE status = 'pending' AND host > hosts.host ORDER BY host LIMIT 1
    ) FROM hosts WHERE hosts.host IS NOT NULL
)
SELECT due.id FROM hosts CROSS JOIN LATERAL (
    SELECT id, next_try_at FROM callbacks_callback AS head
    WHERE status = 'pending' AND head.host = hosts.host AND next_try_at <= %(now)s
    AND NOT EXISTS (
        SELECT 1 FROM callbacks_callback AS earlier
        WHERE earlier.status = 'pending'
        AND earlier.stream = head.stream AND earlier.id < head.id
    )
    ORDER BY next_try_at, id LIMIT %(per_host)s
) AS due
WHERE NOT hosts.host = ANY(%(busy_hosts)s)
ORDER BY due.next_try_at, due.id LIMIT %(limit)s
"""


class CallbackQuerySet(models.QuerySet["Callback"]):
    """Callbacks."""

    def lock_due(
        self, *, now: datetime, limit: int, per_host: int, busy_hosts: list[str] | None = None
    ) -> list[Callback]:
        """Lock up to `limit` callbacks that are due, at most `per_host` of any one host.

        Due is only the earliest pending callback of its stream. Rows that another worker holds
        are skipped, not waited for: two sweeps share the work.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                DUE_HEADS,
                {"now": now, "limit": limit, "per_host": per_host, "busy_hosts": busy_hosts or []},
            )
            ids = [row[0] for row in cursor.fetchall()]
        return self._lock_pending(Q(pk__in=ids, next_try_at__lte=now))

    def lock_head(self, *, stream: str, now: datetime) -> Callback | None:
        """Lock the earliest pending callback of `stream`, if it is due and nobody holds it."""
        earlier = Callback.objects.filter(
            stream=OuterRef("stream"), pk__lt=OuterRef("pk"), status=Callback.Status.PENDING
        )
        locked = self._lock_pending(Q(~Exists(earlier), stream=stream, next_try_at__lte=now))
        return locked[0] if locked else None

    def lock_stream(self, stream: str) -> list[Callback]:
        """Lock all pending callbacks of `stream`, earliest first; waits for who holds them."""
        pending = self.filter(stream=stream, status=Callback.Status.PENDING)
        return list(pending.select_for_update().order_by("pk"))

    def lock_one(self, callback_id: int) -> Callback | None:
        """Lock a callback whatever its status; waits for who holds it."""
        return self.filter(pk=callback_id).select_for_update().first()

    def _lock_pending(self, condition: Q) -> list[Callback]:
        # The condition is looked at again under the lock, so a row that another worker claimed
        # since the ids were read is not claimed twice.
        return list(
            self.filter(condition, status=Callback.Status.PENDING)
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("pk")
        )

    def unreachable(self, host: str) -> CallbackQuerySet:
        """Pending callbacks whose last try got no answer from `host` at all."""
        return self.filter(host=host, status=Callback.Status.PENDING, unanswered__gt=0)


class Callback(models.Model):
    """One POST that we owe a sending anchor, written in the commit that caused it.

    Callbacks of one `stream` (for example "sep31:<transaction id>") are delivered in the order
    of `id`; a later one waits until the earlier one was delivered or given up. Whoever queues
    one holds the lock of what the stream is about, so ids are also the order of commits.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "to be delivered at next_try_at"
        DELIVERED = "delivered", "answered with 2xx"
        GIVEN_UP = "given_up", "not delivered in the time allowed; an operator may resend it"

    stream = models.CharField(max_length=80, help_text="What it is about; its order is kept.")
    url = models.CharField(max_length=2000)
    host = models.CharField(max_length=260, help_text="Of the URL, with the port if it is not 443.")
    body = models.TextField(help_text="The JSON that is posted, byte for byte.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    tries = models.PositiveIntegerField(
        default=0, help_text="Claims so far; an answer counts only for the latest one."
    )
    unanswered = models.PositiveIntegerField(
        default=0, help_text="Tries in a row that got no HTTP answer at all."
    )
    next_try_at = models.DateTimeField()
    give_up_at = models.DateTimeField(
        null=True, blank=True, help_text="Set by the first try; after it, no more tries."
    )
    last_status = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="HTTP status of the last answer."
    )
    last_error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    objects = CallbackQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["host", "next_try_at"],
                condition=Q(status="pending"),
                name="callback_host_due",
            ),
            models.Index(
                fields=["stream", "id"], condition=Q(status="pending"), name="callback_pending"
            ),
            models.Index(fields=["stream", "id"], name="callback_stream"),
            models.Index(
                fields=["host"],
                condition=Q(status="pending", unanswered__gt=0),
                name="callback_unreachable",
            ),
            models.Index(fields=["id"], condition=Q(status="given_up"), name="callback_given_up"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="delivered", delivered_at__isnull=False)
                | (~Q(status="delivered") & Q(delivered_at__isnull=True)),
                name="callback_delivered_at",
            ),
        ]
        permissions = [("resend_callback", "Can have a callback sent again")]

    def __str__(self) -> str:
        return f"{self.stream} #{self.pk}"
