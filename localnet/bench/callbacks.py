"""How many callbacks a second the worker delivers to one receiver."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from django.db import transaction
from django.db.models import Max, Min

from callbacks import signature
from callbacks.models import Callback
from callbacks.services import CallbackOrder, queue_callbacks
from kernel.keys import signing_keypair
from localnet.bench.load import Load, Unexpected, check, make_request
from localnet.bench.rows import Row, percentile
from localnet.bench.stage import Bench, wait_until
from localnet.callback_receiver import CallbackReceiver

# The threads of the service's one worker, and what a sweep sends to one host at once.
CONCURRENCY = 4


def measure(bench: Bench) -> list[Row]:
    """Callbacks of as many transactions, all due at once."""
    count = bench.scale.callbacks
    body = {"transaction": _transaction(bench)}
    bench.memory.note()
    with CallbackReceiver(bench.sender.toml["SIGNING_KEY"]) as receiver:
        floor = post_callbacks(bench, receiver, body, count // 2, clients=CONCURRENCY)
        bench.service.stop_process("worker")
        with transaction.atomic():
            queued = queue_callbacks(
                [CallbackOrder(f"bench:{uuid.uuid4()}", receiver.url, body) for _ in range(count)]
            )
        bench.service.start_process("worker")
        ours = Callback.objects.filter(pk__in=[callback.pk for callback in queued])
        delivered = ours.filter(status=Callback.Status.DELIVERED)
        if not wait_until(lambda: delivered.count() == count, 120):
            raise Unexpected(f"only {delivered.count()} of {count} callbacks were delivered")
        floor.add(post_callbacks(bench, receiver, body, count // 2, clients=CONCURRENCY))
        if problems := receiver.problems():
            raise Unexpected(f"a callback was refused: {problems[0]}")
    span = ours.aggregate(first=Min("delivered_at"), last=Max("delivered_at"))
    seconds = (span["last"] - span["first"]).total_seconds()
    return [Row("callbacks", (count - 1) / seconds, "callbacks/s", floor.rate)]


def _transaction(bench: Bench) -> dict[str, Any]:
    return bench.sender.get_transaction(bench.sender.post_transaction(**bench.order()))


def post_callbacks(
    bench: Bench, receiver: CallbackReceiver, body: dict[str, Any], count: int, *, clients: int
) -> Load:
    """Callbacks signed beforehand and posted barely."""
    raw = json.dumps(body).encode()
    requests = []
    for _ in range(count):
        headers = signature.sign(
            signing_keypair(), timestamp=int(time.time()), url=receiver.url, body=raw
        )
        headers["Content-Type"] = "application/json"
        requests.append(
            make_request("POST", "/callback", host=receiver.host, headers=headers, body=raw)
        )
    port = int(receiver.host.rsplit(":", 1)[1])
    load = bench.clients.send(port, requests, clients=clients, seconds=30, count=count)
    check("the receiver of callbacks", load, 204)
    return load


def one_callback(bench: Bench, receiver: CallbackReceiver, body: dict[str, Any]) -> float:
    """Seconds of one bare POST to the receiver."""
    return percentile(post_callbacks(bench, receiver, body, 5, clients=1).latencies, 50)
