"""The ledger: takes transactions in, closes ledgers, and wakes whoever waits for one.

Everything runs in the event loop's one thread, so the queue, the world and the store are never
seen half-changed and need no lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from stellar_sdk import Account as BuilderAccount
from stellar_sdk import TransactionBuilder

from .apply import (
    Applied,
    Moment,
    Refused,
    apply_transaction,
    check_transaction,
)
from .assets import amount_text
from .envelope import Envelope, read_envelope
from .genesis import (
    BASE_FEE,
    FRIENDBOT_GIFT,
    FRIENDBOT_STROOPS,
    TOTAL_STROOPS,
    friendbot_keypair,
    network_id,
    root_keypair,
)
from .records import (
    PAYMENTS,
    dump,
    operation_record,
    participants,
    transaction_id,
    transaction_record,
)
from .results import Outcome
from .state import Account
from .store import LedgerRow, OperationRow, Store, TransactionRow

QUEUE_LIMIT = 20_000


class QueueFull(Exception):
    """More transactions wait than the network is willing to hold."""


@dataclass
class Waiting:
    """A transaction that was let in and waits for a ledger.

    ``answer`` resolves to None once it is recorded, or to the outcome that kept it out.
    """

    envelope: Envelope
    answer: asyncio.Future[Outcome | None]


class Ledger:
    """The one network: its state, its queue and its clock."""

    def __init__(
        self,
        store: Store,
        passphrase: str,
        capacity: int = 2000,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.passphrase = passphrase
        self.network = network_id(passphrase)
        self.friendbot = friendbot_keypair(passphrase)
        self.capacity = capacity
        self.now = now
        self.queue: deque[Waiting] = deque()
        self.waiting: dict[bytes, Waiting] = {}
        self.sequences: dict[str, int] = {}
        self.world = store.load_world()
        self._closed = asyncio.Event()
        last = store.last_ledger()
        self.last = last if last is not None else self._begin()

    def _begin(self) -> LedgerRow:
        """Write ledger 1, in which the root account holds everything."""
        root = root_keypair(self.passphrase).public_key
        self.world.put_account(root, Account(root, TOTAL_STROOPS, 0, modified=1))
        first = LedgerRow(1, int(self.now()))
        self.store.write_ledger(first, [], self.world)
        return first

    def open_friendbot(self) -> None:
        """Create friendbot's account by a real transaction of the root account, once."""
        root = root_keypair(self.passphrase)
        holder = self.world.account(root.public_key)
        if holder is None or self.world.account(self.friendbot.public_key) is not None:
            return
        builder = TransactionBuilder(
            BuilderAccount(root.public_key, holder.sequence), self.passphrase, BASE_FEE
        )
        builder.append_create_account_op(self.friendbot.public_key, amount_text(FRIENDBOT_STROOPS))
        built = builder.add_time_bounds(0, 0).build()
        built.sign(root)
        self.submit(read_envelope(built.to_xdr(), self.network))
        self.close_ledger()

    def friendbot_gift(self, account: str) -> Envelope:
        """Return a signed transaction of friendbot that creates an account."""
        source = self.friendbot.public_key
        builder = TransactionBuilder(
            BuilderAccount(source, self._sequence(source)), self.passphrase, BASE_FEE
        )
        builder.append_create_account_op(account, FRIENDBOT_GIFT)
        built = builder.add_time_bounds(0, 0).build()
        built.sign(self.friendbot)
        return read_envelope(built.to_xdr(), self.network)

    def _sequence(self, account: str) -> int:
        if account in self.sequences:
            return self.sequences[account]
        holder = self.world.account(account)
        return holder.sequence if holder else 0

    def next_moment(self) -> Moment:
        """Return the ledger that would close now. Close times never go back."""
        return Moment(self.last.sequence + 1, max(int(self.now()), self.last.closed_at))

    def pending(self, digest: bytes) -> Waiting | None:
        """Return the queue's entry for an outer or inner hash."""
        return self.waiting.get(digest)

    def submit(self, envelope: Envelope) -> Waiting:
        """Let a transaction into the queue; raises ``Refused`` or ``QueueFull``.

        The same hash twice gives the same entry. An account's transactions queue up in the
        order of their sequence numbers.
        """
        known = self.waiting.get(envelope.hash) or self.waiting.get(envelope.inner_hash)
        if known is not None:
            return known
        if len(self.queue) >= QUEUE_LIMIT:
            raise QueueFull
        queued = self.sequences.get(envelope.source)
        check_transaction(envelope, self.world, self.next_moment(), queued)
        entry = Waiting(envelope, asyncio.get_running_loop().create_future())
        self.queue.append(entry)
        self.waiting[envelope.hash] = self.waiting[envelope.inner_hash] = entry
        self.sequences[envelope.source] = envelope.sequence
        return entry

    def close_ledger(self) -> None:
        """Close one ledger: apply what fits, commit it to disk, then tell those who wait."""
        moment = self.next_moment()
        rows: list[TransactionRow] = []
        answers: list[tuple[Waiting, Outcome | None]] = []
        operations = 0
        while self.queue:
            entry = self.queue[0]
            size = max(len(entry.envelope.tx.operations), 1)
            if operations and operations + size > self.capacity:
                break
            self.queue.popleft()
            try:
                check_transaction(entry.envelope, self.world, moment)
            except Refused as refused:
                answers.append((entry, refused.outcome))
                continue
            operations += size
            rows.append(self._apply(entry.envelope, moment, len(rows) + 1))
            answers.append((entry, None))
        self._record(moment, rows)
        self._answer(answers)

    def _apply(self, envelope: Envelope, moment: Moment, order: int) -> TransactionRow:
        applied = apply_transaction(envelope, self.world, moment)
        number = transaction_id(moment.ledger, order)
        record = transaction_record(envelope, applied, moment.ledger, moment.time, number)
        operations = [
            _operation_row(envelope, applied, moment, number, index)
            for index in range(len(envelope.tx.operations))
        ]
        accounts = {envelope.source, envelope.fee_source}.union(
            *(o.listed | o.touched for o in operations)
        )
        return TransactionRow(
            number,
            envelope.hash.hex(),
            envelope.inner_hash.hex() if envelope.bump else None,
            applied.outcome.successful,
            dump(record),
            json.dumps(applied.outcome.words(envelope.bump is not None)),
            operations,
            frozenset(accounts),
        )

    def _record(self, moment: Moment, rows: list[TransactionRow]) -> None:
        good = sum(row.successful for row in rows)
        closed = LedgerRow(
            moment.ledger,
            moment.time,
            good,
            len(rows) - good,
            sum(len(row.operations) for row in rows if row.successful),
            self.world.fee_pool,
        )
        self.store.write_ledger(closed, rows, self.world)
        self.last = closed

    def _answer(self, answers: list[tuple[Waiting, Outcome | None]]) -> None:
        """Wake the submitters and the streams; only now is the ledger safe on disk."""
        for entry, outcome in answers:
            self.waiting.pop(entry.envelope.hash, None)
            self.waiting.pop(entry.envelope.inner_hash, None)
            if not entry.answer.done():
                entry.answer.set_result(outcome)
        self.sequences = {}
        for entry in self.queue:
            self.sequences[entry.envelope.source] = entry.envelope.sequence
        self._closed.set()
        self._closed = asyncio.Event()

    async def closed_after(self, seen: int) -> None:
        """Wait until a ledger after ``seen`` has closed; at once if one has."""
        while self.last.sequence <= seen:
            await self._closed.wait()

    async def keep_closing(self, seconds: float) -> None:
        """Close a ledger every ``seconds`` for ever."""
        while True:
            started = time.monotonic()
            self.close_ledger()
            await asyncio.sleep(max(seconds - (time.monotonic() - started), 0.001))

    def hash_of(self, sequence: int) -> str:
        """Return a ledger's hash: of the network and the number, which is all a toy can prove."""
        return hashlib.sha256(self.network + sequence.to_bytes(8, "big")).hexdigest()


def _operation_row(
    envelope: Envelope, applied: Applied, moment: Moment, number: int, index: int
) -> OperationRow:
    own = number + index + 1
    operation = envelope.tx.operations[index]
    effects = applied.effects[index]
    touched = {effect["account"] for effect in effects}
    return OperationRow(
        own,
        operation.body.type in PAYMENTS,
        applied.outcome.successful,
        dump(operation_record(envelope, index, own, moment.time, applied)),
        json.dumps(effects),
        frozenset(participants(envelope, index)),
        frozenset(touched),
    )
