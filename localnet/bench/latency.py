"""How long a payment takes from its ledger's close to each of its stations."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import requests
from django.conf import settings

from localnet.bench.callbacks import one_callback
from localnet.bench.load import Unexpected
from localnet.bench.payouts import one_bank_call
from localnet.bench.rows import Row, percentile
from localnet.bench.stage import Bench, wait_until
from localnet.callback_receiver import CallbackReceiver, ReceivedCallback
from sep31.machine import Status
from sep31.models import Event, Transaction

_PATIENCE = 30.0


@dataclass(frozen=True)
class Journey:
    """Seconds of one payment since its ledger closed, as far as anybody outside can tell."""

    read: float  # until a bare client had heard of it and read the page with it
    received: float
    paid_out: float
    told_received: float
    told_completed: float


def measure(bench: Bench) -> list[Row]:
    """One payment after another, with nothing else to do."""
    with CallbackReceiver(bench.sender.toml["SIGNING_KEY"]) as receiver:
        journeys = [_travel(bench, receiver) for _ in range(bench.scale.latencies)]
        post = one_callback(bench, receiver, {"transaction": {"id": "", "status": "completed"}})
    order = one_bank_call(bench)
    read = percentile([journey.read for journey in journeys], 50)
    stations = {
        "pending_receiver": ("received", read),
        "its callback": ("told_received", read + post),
        "payout delivered": ("paid_out", read + order),
        "callback of completed": ("told_completed", read + order + post),
    }
    rows = []
    for station, (attribute, floor) in stations.items():
        seconds = [getattr(journey, attribute) for journey in journeys]
        for name, percent in (("median", 50), ("worst", 100)):
            value = percentile(seconds, percent)
            rows.append(Row(f"latency to {station}, {name}", value * 1000, "ms", floor * 1000))
    return rows


class BareWatcher:
    """Hears the next payment to our account on Horizon's stream and reads the page with it."""

    def __init__(self, horizon_url: str, account: str) -> None:
        self._url = f"{horizon_url}/accounts/{account}/payments"
        self._is_open = threading.Event()
        self.heard_at = self.read_at = 0.0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        if not self._is_open.wait(_PATIENCE):
            raise Unexpected("the local network's stream does not open")

    def join(self) -> None:
        self._thread.join(_PATIENCE)
        if not self.read_at:
            raise Unexpected("the local network's stream did not tell of the payment")

    def _listen(self) -> None:
        with requests.get(
            self._url,
            params={"cursor": "now"},
            headers={"Accept": "text/event-stream"},
            stream=True,
            timeout=_PATIENCE,
        ) as response:
            for line in response.iter_lines(chunk_size=1024):
                self._is_open.set()
                if line.startswith(b"id:"):
                    break
        self.heard_at = time.time()
        requests.get(
            self._url, params={"order": "desc", "join": "transactions"}, timeout=_PATIENCE
        ).raise_for_status()
        self.read_at = time.time()


def _travel(bench: Bench, receiver: CallbackReceiver) -> Journey:
    sender = bench.sender
    transaction_id = sender.post_transaction(**bench.order())
    sender.put_callback(transaction_id, receiver.url)
    transaction = sender.get_transaction(transaction_id)
    watcher = BareWatcher(bench.service.horizon_url, settings.DISTRIBUTION_ACCOUNT)
    sender.pay(transaction, send_asset=bench.source_asset, dest_asset=bench.asset)
    submitted_at = time.time()
    watcher.join()
    # Horizon tells the close in whole seconds; the first that we learn of it is closer.
    closed_at = min(submitted_at, watcher.heard_at)

    def find(status: Status) -> ReceivedCallback | None:
        told = receiver.of_transaction(transaction_id)
        return next((one for one in told if one.transaction["status"] == status), None)

    if not wait_until(lambda: find(Status.COMPLETED) is not None, _PATIENCE):
        raise Unexpected(f"no callback told that {transaction_id} was completed")
    row = Transaction.objects.select_related("payout").get(pk=transaction_id)
    received = Event.objects.get(transaction=row, to_status=Status.PENDING_RECEIVER)
    assert row.payout is not None and row.payout.delivered_at is not None
    offset = time.time() - time.monotonic()

    def told_at(status: Status) -> float:
        callback = find(status)
        assert callback is not None
        return callback.at + offset - closed_at

    return Journey(
        read=watcher.read_at - closed_at,
        received=received.at.timestamp() - closed_at,
        paid_out=row.payout.delivered_at.timestamp() - closed_at,
        told_received=told_at(Status.PENDING_RECEIVER),
        told_completed=told_at(Status.COMPLETED),
    )
