"""How many payouts a second the worker takes through the sandbox bank."""

from __future__ import annotations

import json
import uuid

from django.conf import settings
from django.db.models import Max, Min
from stellar_sdk import Keypair

from localnet.bench.ingest import catch_up, serve_payments
from localnet.bench.load import Load, check, make_request, run_apart
from localnet.bench.rows import Row, percentile
from localnet.bench.stage import RECEIVER, Bench, wait_for_status
from payouts.models import Attempt, Payout
from sep31.machine import Status
from sep31.models import Transaction

# The threads of the service's one worker.
CONCURRENCY = 4


def measure(bench: Bench) -> list[Row]:
    """Paid transactions, all due at once; until each is completed, events and all."""
    count = bench.scale.payouts
    before = post_to_bank(bench, count // 2, clients=CONCURRENCY)
    bench.memory.note()
    bench.service.stop_process("worker")
    account = Keypair.random().public_key
    rows = bench.make_backlog(count, account=account)
    with serve_payments(bench, account, rows) as pages:
        run_apart(catch_up, pages.url, account)
    bench.service.start_process("worker")
    wait_for_status(rows, Status.COMPLETED, 120)
    before.add(post_to_bank(bench, count // 2, clients=CONCURRENCY))
    floor = before.rate

    ours = Transaction.objects.filter(stellar_account=account)
    attempts = Attempt.objects.filter(payout__transaction__in=ours)
    begun = attempts.aggregate(at=Min("created_at"))["at"]
    delivered = Payout.objects.filter(transaction__in=ours).aggregate(at=Max("delivered_at"))["at"]
    completed = ours.aggregate(at=Max("completed_at"))["at"]
    return [
        Row("payouts", count / (completed - begun).total_seconds(), "payouts/s", floor),
        Row("payouts at the bank", count / (delivered - begun).total_seconds(), "payouts/s", floor),
    ]


def post_to_bank(bench: Bench, count: int, *, clients: int) -> Load:
    """Payouts ordered at the bank by bare POSTs."""
    port = bench.service.ports["bank"]
    requests = [
        make_request(
            "POST",
            "/payouts",
            host=f"127.0.0.1:{port}",
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {settings.BANK_API_KEY}",
                "Idempotency-Key": str(uuid.uuid4()),
            },
            body=json.dumps(
                {
                    "reference": str(uuid.uuid4()),
                    "amount": "98.50",
                    "currency": "USD",
                    "method": "bank_account",
                    "account_number": RECEIVER["bank_account_number"],
                    "account_holder": f"{RECEIVER['first_name']} {RECEIVER['last_name']}",
                    "bank_number": RECEIVER["bank_number"],
                }
            ).encode(),
        )
        for _ in range(count)
    ]
    load = bench.clients.send(port, requests, clients=clients, seconds=30, count=count)
    check("the sandbox bank", load, 201)
    return load


def one_bank_call(bench: Bench) -> float:
    """Seconds of one bare POST to the bank."""
    return percentile(post_to_bank(bench, 5, clients=1).latencies, 50)
