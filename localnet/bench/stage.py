"""What the benchmarks work on: the running service, who calls it, and rows to work through."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis
from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from stellar_sdk import Keypair

from localnet.bank import TEST_ACCOUNTS
from localnet.bench.load import Clients, Unexpected
from localnet.bench.memory import MemoryLog
from localnet.bench.rows import percentile
from localnet.sending_anchor import SendingAnchor
from localnet.service import RunningService
from localnet.stage import describe_stage
from sep10.tokens import issue_token
from sep12.models import Customer, CustomerField, Decision
from sep31.machine import Status
from sep31.models import Event, Transaction

AMOUNT = "100"
SENDER = {"type": "sep31-sender", "first_name": "Amara", "last_name": "Okafor"}
RECEIVER = {
    "type": "sep31-receiver",
    "first_name": "Lucía",
    "last_name": "Hernández",
    "bank_account_number": TEST_ACCOUNTS["paid"],
    "bank_number": "012",
}
# As many receiving clients as a batch of the sweep has transactions, and more.
_RECEIVERS = 1000
_INSERT_BATCH = 1000

Model = TypeVar("Model", bound=models.Model)


@dataclass(frozen=True)
class Scale:
    """How much is measured. Seconds and requests are those of one slice."""

    rounds: int = 10
    seconds: float = 0.6
    floor_seconds: float = 0.4
    requests: int = 200
    backlog: int = 10_000
    payouts: int = 300
    callbacks: int = 400
    latencies: int = 10
    few: int = 1_000
    many: int = 1_000_000


QUICK = Scale(
    rounds=1,
    seconds=0.5,
    floor_seconds=0.2,
    requests=12,
    backlog=250,
    payouts=12,
    callbacks=12,
    latencies=1,
    few=10,
    many=100,
)


@dataclass
class Bench:
    """All that a benchmark needs. `Django` is set up for the service's database."""

    service: RunningService
    clients: Clients
    memory: MemoryLog
    scale: Scale
    keypair: Keypair = field(init=False)
    sender: SendingAnchor = field(init=False)
    sender_id: str = field(init=False)
    receiver_id: str = field(init=False)

    def __post_init__(self) -> None:
        stage = describe_stage(self.service)
        self.asset, self.source_asset = stage.asset, stage.source_asset
        self.keypair, self.other_keypair = (one.keypair for one in stage.sending_anchors)
        self.sender = SendingAnchor(self.host, self.keypair, horizon_url=self.service.horizon_url)
        self.sender.discover()
        self.sender.authenticate()
        self.sender_id = self.sender.put_customer(memo="1", memo_type="id", **SENDER)
        self.receiver_id = self.sender.put_customer(memo="2", memo_type="id", **RECEIVER)

    @property
    def host(self) -> str:
        return f"localhost:{self.service.ports['web']}"

    def make_token(self) -> str:
        """A token for the sending anchor, as SEP-10 gave it one."""
        return issue_token(
            subject=self.keypair.public_key,
            challenge_hash=secrets.token_hex(32),
            home_domain=self.host,
            client_domain=None,
        )

    def order(self, **changes: str) -> dict[str, str]:
        """The body of POST /transactions."""
        return {
            "amount": AMOUNT,
            "asset_code": self.asset.code,
            "asset_issuer": str(self.asset.issuer),
            "funding_method": "bank_account",
            "sender_id": self.sender_id,
            "receiver_id": self.receiver_id,
            **changes,
        }

    def settle(self, seconds: float = 5.0) -> None:
        """Wait until the workers have taken what was put in their queues."""
        wait_until(lambda: not any(map(self._redis().llen, _QUEUES)), seconds)

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(settings.REDIS_URL)

    # -- Rows ---------------------------------------------------------------------------------

    def make_backlog(self, count: int, *, account: str) -> list[Transaction]:
        """Transactions that wait for their payment to `account`; nobody has heard of them."""
        template = Transaction.objects.get(pk=self.sender.post_transaction(**self.order()))
        senders = self._clone_customer(self.sender_id, max(min(count, _RECEIVERS) // 10, 1))
        receivers = self._clone_customer(self.receiver_id, min(count, _RECEIVERS))
        rows = [
            clone(
                template,
                stellar_account=account,
                memo=str(secrets.randbelow(2**63 - 1) + 1),
                sender_id=senders[number % len(senders)],
                receiver_id=receivers[number % len(receivers)],
            )
            for number in range(count)
        ]
        [created] = Event.objects.filter(transaction=template)
        with transaction.atomic():
            Transaction.objects.bulk_create(rows, _INSERT_BATCH)
            Event.objects.bulk_create(
                (clone(created, id=None, transaction_id=row.pk) for row in rows), _INSERT_BATCH
            )
        return rows

    def _clone_customer(self, customer_id: str, count: int) -> list[uuid.UUID]:
        template = Customer.objects.get(pk=customer_id)
        customers = [
            clone(template, memo=str(secrets.randbits(63)), updated_at=timezone.now())
            for _ in range(count)
        ]
        with transaction.atomic():
            Customer.objects.bulk_create(customers, _INSERT_BATCH)
            fields = list(CustomerField.objects.filter(customer=template))
            CustomerField.objects.bulk_create(_for_each(customers, fields), _INSERT_BATCH)
            decisions = list(Decision.objects.filter(customer=template))
            Decision.objects.bulk_create(_for_each(customers, decisions), _INSERT_BATCH)
        return [customer.pk for customer in customers]


_QUEUES = ("default", "callbacks")


def clone(row: Model, **changes: Any) -> Model:
    """A copy of a row, to be inserted, with a key of its own and these changes."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    key = row._meta.pk
    assert key is not None
    values[key.attname] = key.get_default()
    return type(row)(**{**values, **changes})


def _for_each(customers: Sequence[Customer], parts: Sequence[Model]) -> list[Model]:
    """A copy of each part for each customer."""
    return [
        clone(part, id=None, customer_id=customer.pk) for customer in customers for part in parts
    ]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_for_status(rows: Sequence[Transaction], status: Status, seconds: float) -> None:
    """Wait until all these transactions have a status. Raises `Unexpected`."""
    ids = [row.pk for row in rows]

    def all_have() -> bool:
        return Transaction.objects.filter(pk__in=ids, status=status).count() == len(ids)

    if not wait_until(all_have, seconds):
        raise Unexpected(f"not all transactions became {status} within {seconds:g} seconds")


def timed(call: Callable[[], object], count: int) -> float:
    """Seconds that one of `count` calls takes, the median."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return percentile(seconds, 50)
