"""What a test prints of a payment that is stuck."""

from __future__ import annotations

from typing import Any

import psycopg2
import psycopg2.extras

from localnet.service import RunningService
from localnet.stories import Result

_LOG_LINES = 25
# No sealed columns. Each takes the transaction's id once.
_TABLES = {
    "transaction": "SELECT status, reason, look_at, deadline, updated_at, now() AS now"
    " FROM sep31_transaction WHERE id = %s",
    "events": "SELECT at, from_status, to_status, reason FROM sep31_event"
    " WHERE transaction_id = %s ORDER BY id",
    "receipts": "SELECT payment_id, outcome, credited, uncredited, rest FROM sep31_receipt"
    " WHERE transaction_id = %s",
    "payout": "SELECT id, status, message, tries, next_try_at, updated_at FROM payouts_payout"
    " WHERE reference = %s",
    "attempts": "SELECT a.id, a.number, a.status, a.message, a.calls, a.updated_at"
    " FROM payouts_attempt a JOIN payouts_payout p ON p.id = a.payout_id"
    " WHERE p.reference = %s ORDER BY a.number",
    "refunds": "SELECT o.status, o.tries, o.next_try_at, o.valid_until, o.last_error,"
    " o.transaction_hash FROM sep31_refund r JOIN stellar_outgoingpayment o"
    " ON o.id = r.outgoing_id WHERE r.transaction_id = %s",
    "callbacks": "SELECT id, status, tries, next_try_at, last_status, last_error,"
    " body::json->'transaction'->>'status' AS tells"
    " FROM callbacks_callback WHERE stream = 'sep31:' || %s ORDER BY id",
}


def read_rows(service: RunningService, query: str, *arguments: object) -> list[dict[str, Any]]:
    """Rows of the anchor's database."""
    connection = psycopg2.connect(service.postgres.url(), connect_timeout=5)
    try:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(query, arguments)
            return [dict(row) for row in cursor.fetchall()]
    finally:
        connection.close()


def describe_payment(service: RunningService, result: Result, told: list[str]) -> str:
    """All that may tell why a payment is where it is."""
    transaction_id = result.transaction.get("id")
    lines = [
        f"{result.story.title} ({result.story.client}) of {result.sender}: {result.problem}",
        *(f"  {seconds:6.1f}s {text}" for seconds, text in result.timeline),
        f"transaction {transaction_id}, callbacks received: {told}",
    ]
    try:
        if transaction_id is not None:
            for name, query in _TABLES.items():
                lines.append(f"-- {name}")
                lines += [
                    "  " + ", ".join(f"{key}={value}" for key, value in row.items())
                    for row in read_rows(service, query, transaction_id)
                ]
    except psycopg2.Error as error:
        lines.append(f"the database does not answer: {error}")
    for log in sorted(service.logs.glob("*.log")):
        everything = log.read_text(errors="replace").splitlines()
        tail = [line for line in everything if " HTTP/1.1" not in line][-_LOG_LINES:]
        lines += [f"-- the end of {log.name}", *(f"  {line}" for line in tail)]
    return "\n".join(lines)
