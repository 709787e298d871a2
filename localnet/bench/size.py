"""Whether requests cost the same with a million transactions in the table as with a thousand.

A figure is an endpoint's rate as a multiple of the empty view's, so that what the machine does
meanwhile counts on both sides; its floor is the same figure with few transactions.
"""

from __future__ import annotations

from django.db import connection

from localnet.bench.http import endpoints, measure_endpoint
from localnet.bench.rows import Row
from localnet.bench.stage import Bench
from sep31.models import Transaction

# Their work begins at the table of transactions, or ends there.
_MEASURED = (
    "POST /sep31/transactions",
    "POST /sep31/transactions with a quote",
    "GET /sep31/transactions/:id",
    "GET /sep31/transactions",
)
_BATCH = 50_000

# Copies of one transaction that was never paid, begun at any time of the last year, each with the
# event of its creation.
_COPY = """
    WITH made AS (
        INSERT INTO sep31_transaction ({columns})
        SELECT {values} FROM sep31_transaction, generate_series(%s, %s) AS number WHERE id = %s
        RETURNING id, started_at
    )
    INSERT INTO sep31_event (transaction_id, from_status, to_status, reason, actor, at)
    SELECT id, '', 'pending_sender', 'created_ready', 'bench', started_at FROM made
"""
_COPIED = {
    "id": "gen_random_uuid()",
    "status": "'expired'",
    "reason": "'deadline_passed'",
    "memo": "number::text",
    "stellar_account": "'elsewhere'",
    "started_at": "now() - random() * interval '1 year'",
    "updated_at": "now() - random() * interval '1 year'",
}


def measure(bench: Bench) -> list[Row]:
    few, many = bench.scale.few, bench.scale.many
    template = bench.sender.post_transaction(**bench.order())
    _fill(template, 0, few)
    before = _rates(bench)
    _fill(template, few, many)
    after = _rates(bench)
    return [
        Row(f"size {name}, {many:,} rows", after[name], "of an empty view", before[name])
        for name in _MEASURED
    ]


def _rates(bench: Bench) -> dict[str, float]:
    rates = {}
    for endpoint in endpoints(bench):
        if endpoint.name in _MEASURED:
            rate = measure_endpoint(bench, endpoint)[0]
            assert rate.ratio is not None
            rates[endpoint.name] = rate.ratio
    return rates


def _fill(template: str, present: int, wanted: int) -> None:
    """Make copies of a transaction until there are `wanted`."""
    columns = [str(field.column) for field in Transaction._meta.concrete_fields]
    statement = _COPY.format(
        columns=", ".join(columns), values=", ".join(_COPIED.get(name, name) for name in columns)
    )
    with connection.cursor() as cursor:
        for start in range(present, wanted, _BATCH):
            cursor.execute(statement, [start, min(start + _BATCH, wanted) - 1, template])
        cursor.execute("ANALYZE sep31_transaction, sep31_event")
