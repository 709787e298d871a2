"""`status_eta`: how long a transaction will probably stay where it is, measured and not promised.

A periodic task writes one figure for each status, funding method and asset; each process reads
them again once a minute, so that a request asks for nothing.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from sep31.machine import Status
from sep31.models import StatusTime, Transaction

LATEST = 2000  # delivered transactions that count, all methods together
MIN_SAMPLE = 5
READ_AGAIN_SECONDS = 60.0

# The time between a status and the next one. Four fifths of those measured were faster.
_MEASURE = """
WITH latest AS (
    SELECT id, funding_method, amount_out_asset FROM sep31_transaction
    WHERE status = 'completed' ORDER BY started_at DESC LIMIT %(latest)s
), changes AS (
    SELECT latest.funding_method, latest.amount_out_asset, event.to_status, event.reason, event.at,
        lead(event.at) OVER (PARTITION BY latest.id ORDER BY event.id) AS until
    FROM latest JOIN sep31_event AS event ON event.transaction_id = latest.id
    WHERE event.from_status <> event.to_status
)
SELECT funding_method, amount_out_asset, to_status,
    ceil(percentile_cont(0.8) WITHIN GROUP (ORDER BY extract(epoch FROM until - at))), count(*)
FROM changes
WHERE until IS NOT NULL AND to_status = ANY (%(statuses)s) AND reason <> 'created_checking'
GROUP BY 1, 2, 3 HAVING count(*) >= %(sample)s
"""
# Where it is up to us and the rail; elsewhere we wait for others, who may take any time.
_STATUSES = (Status.PENDING_RECEIVER, Status.PENDING_EXTERNAL)

_Key = tuple[str, str, str]
_times: dict[_Key, int] = {}
_read_at: float | None = None


def measure_status_times() -> int:
    """Measure anew, at a cost that does not grow with history. Returns how many figures."""
    now = timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                _MEASURE,
                {"latest": LATEST, "statuses": list(_STATUSES), "sample": MIN_SAMPLE},
            )
            measured = [
                StatusTime(
                    funding_method=method,
                    asset=asset,
                    status=status,
                    seconds=int(seconds),
                    sample=sample,
                    measured_at=now,
                )
                for method, asset, status, seconds, sample in cursor.fetchall()
            ]
        StatusTime.objects.bulk_create(
            measured,
            update_conflicts=True,
            unique_fields=["funding_method", "asset", "status"],
            update_fields=["seconds", "sample", "measured_at"],
        )
    return len(measured)


def estimate_seconds(row: Transaction) -> int | None:
    """Seconds until the status will probably change; None if nobody can say, or it is overdue."""
    # Unpaid, it is `pending_receiver` for its customers' sake, and for as long as they take.
    if row.status not in _STATUSES or (row.payout_id is None and row.payout is None):
        return None
    usual = _read_times().get((row.funding_method, row.amount_out_asset, row.status))
    if usual is None:
        return None
    left = row.updated_at + timedelta(seconds=usual) - timezone.now()
    return int(left.total_seconds()) + 1 if left > timedelta(0) else None


def _read_times() -> dict[_Key, int]:
    global _times, _read_at
    if _read_at is None or time.monotonic() - _read_at > READ_AGAIN_SECONDS:
        _times = {
            (one.funding_method, one.asset, one.status): one.seconds
            for one in StatusTime.objects.all()
        }
        _read_at = time.monotonic()
    return _times


def forget_times() -> None:
    """Read them again at the next question."""
    global _read_at
    _read_at = None
