"""The network's memory on disk: SQLite in write-ahead mode, one commit a ledger.

History is kept as finished JSON records, state as one row an account and an offer. A ledger's
commit holds all of it, so after ``kill -9`` the file says exactly what the last closed ledger
said. (An operating-system crash may lose the last ledgers: ``synchronous`` is NORMAL.)
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .state import Account, Offer, World

# Ledgers without a transaction are kept one by one for this long, and then one in KEEP_EVERY;
# those between are told by interpolation. So an idle network does not fill the disk.
RECENT_LEDGERS = 1000
KEEP_EVERY = 60

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledgers (
    sequence INTEGER PRIMARY KEY, closed_at INTEGER NOT NULL, succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL, operations INTEGER NOT NULL, fee_pool INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, inner_hash TEXT,
    successful INTEGER NOT NULL, record TEXT NOT NULL, codes TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS by_inner ON transactions (inner_hash)
    WHERE inner_hash IS NOT NULL;
CREATE TABLE IF NOT EXISTS operations (
    id INTEGER PRIMARY KEY, payment INTEGER NOT NULL, successful INTEGER NOT NULL,
    record TEXT NOT NULL, effects TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS payments_only ON operations (id)
    WHERE payment = 1 AND successful = 1;
CREATE TABLE IF NOT EXISTS operation_accounts (
    account TEXT NOT NULL, id INTEGER NOT NULL, payment INTEGER NOT NULL,
    successful INTEGER NOT NULL, listed INTEGER NOT NULL,
    PRIMARY KEY (account, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS account_payments ON operation_accounts (account, id)
    WHERE payment = 1 AND successful = 1 AND listed = 1;
CREATE TABLE IF NOT EXISTS transaction_accounts (
    account TEXT NOT NULL, id INTEGER NOT NULL, successful INTEGER NOT NULL,
    PRIMARY KEY (account, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offers (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""


@dataclass(frozen=True)
class LedgerRow:
    """One closed ledger; the fee pool in stroops, ``closed_at`` in seconds."""

    sequence: int
    closed_at: int
    succeeded: int = 0
    failed: int = 0
    operations: int = 0
    fee_pool: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing happened in it."""
        return not self.succeeded and not self.failed


@dataclass(frozen=True)
class OperationRow:
    """One operation ready to store."""

    id: int
    payment: bool
    successful: bool
    record: str
    effects: str
    listed: frozenset[str]
    touched: frozenset[str]


@dataclass(frozen=True)
class TransactionRow:
    """One transaction ready to store."""

    id: int
    hash: str
    inner_hash: str | None
    successful: bool
    record: str
    codes: str
    operations: list[OperationRow]
    accounts: frozenset[str]


@dataclass(frozen=True)
class Scope:
    """Which part of history a page shows; at most one of the four narrows it."""

    account: str | None = None
    transaction: int | None = None
    ledger: int | None = None
    operation: int | None = None
    payments: bool = False
    failed: bool = False

    def span(self) -> tuple[int, int]:
        """Return the ids between which (exclusive) operations of this scope lie."""
        if self.operation is not None:
            return self.operation - 1, self.operation + 1
        if self.transaction is not None:
            return self.transaction, self.transaction + (1 << 12)
        if self.ledger is not None:
            return self.ledger << 32, (self.ledger + 1) << 32
        return -1, 2**63 - 1


@dataclass(frozen=True)
class Window:
    """What part of a list is asked for: after ``cursor`` in ``order``, ``limit`` at most."""

    cursor: int | None
    ascending: bool
    limit: int

    def bounds(self, low: int, high: int) -> tuple[int, int]:
        """Narrow an exclusive span to what lies beyond the cursor."""
        if self.cursor is None:
            return low, high
        if self.ascending:
            return max(low, self.cursor), high
        return low, min(high, self.cursor)

    @property
    def direction(self) -> str:
        """The order as SQL writes it."""
        return "ASC" if self.ascending else "DESC"


class WrongNetwork(Exception):
    """The folder belongs to a network with another passphrase, or is in use."""


class Store:
    """One SQLite file. Used from one thread only."""

    def __init__(self, folder: Path, passphrase: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "localnet.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WrongNetwork(f"{folder} is in use by another local network") from error
        self._db = sqlite3.connect(folder / "localnet.sqlite3", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        known = self._meta("passphrase")
        if known is None:
            self._db.execute("INSERT INTO meta VALUES ('passphrase', ?)", (passphrase,))
        elif known != passphrase:
            raise WrongNetwork(f"{folder} holds the network {known!r}, not {passphrase!r}")

    def close(self) -> None:
        """Let go of the file and the lock."""
        self._db.close()
        self._lock.close()

    def _meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row["value"]) if row else None

    def load_world(self) -> World:
        """Return the state as of the last closed ledger."""
        world = World()
        for row in self._db.execute("SELECT id, body FROM accounts"):
            world.put_account(row["id"], Account.from_dict(json.loads(row["body"])))
        for row in self._db.execute("SELECT id, body FROM offers"):
            world.put_offer(row["id"], Offer(**json.loads(row["body"])))
        world.last_offer = int(self._meta("last_offer") or 0)
        last = self.last_ledger()
        world.fee_pool = last.fee_pool if last else 0
        world.changed_accounts.clear()
        world.changed_offers.clear()
        return world

    def write_ledger(
        self, row: LedgerRow, transactions: list[TransactionRow], world: World
    ) -> None:
        """Commit one ledger: its row, its transactions and everything it changed."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(
                "INSERT INTO ledgers VALUES "
                "(:sequence, :closed_at, :succeeded, :failed, :operations, :fee_pool)",
                asdict(row),
            )
            self._thin_out(row.sequence - RECENT_LEDGERS)
            self._write_history(transactions)
            self._write_state(world)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        world.changed_accounts.clear()
        world.changed_offers.clear()

    def _thin_out(self, sequence: int) -> None:
        if sequence > 1 and sequence % KEEP_EVERY:
            self._db.execute(
                "DELETE FROM ledgers WHERE sequence = ? AND succeeded = 0 AND failed = 0",
                (sequence,),
            )

    def _write_history(self, transactions: list[TransactionRow]) -> None:
        self._db.executemany(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)",
            [(t.id, t.hash, t.inner_hash, t.successful, t.record, t.codes) for t in transactions],
        )
        self._db.executemany(
            "INSERT INTO transaction_accounts VALUES (?, ?, ?)",
            [(a, t.id, t.successful) for t in transactions for a in t.accounts],
        )
        operations = [operation for t in transactions for operation in t.operations]
        self._db.executemany(
            "INSERT INTO operations VALUES (?, ?, ?, ?, ?)",
            [(o.id, o.payment, o.successful, o.record, o.effects) for o in operations],
        )
        self._db.executemany(
            "INSERT INTO operation_accounts VALUES (?, ?, ?, ?, ?)",
            [
                (account, o.id, o.payment, o.successful, account in o.listed)
                for o in operations
                for account in o.listed | o.touched
            ],
        )

    def _write_state(self, world: World) -> None:
        accounts = [(a, world.account(a)) for a in world.changed_accounts]
        offers = [(o, world.offer(o)) for o in world.changed_offers]
        self._db.executemany(
            "REPLACE INTO accounts VALUES (?, ?)",
            [(key, json.dumps(value.to_dict())) for key, value in accounts if value],
        )
        self._db.executemany(
            "DELETE FROM accounts WHERE id = ?", [(key,) for key, value in accounts if not value]
        )
        self._db.executemany(
            "REPLACE INTO offers VALUES (?, ?)",
            [(key, json.dumps(asdict(value))) for key, value in offers if value],
        )
        self._db.executemany(
            "DELETE FROM offers WHERE id = ?", [(key,) for key, value in offers if not value]
        )
        if offers:
            self._db.execute("REPLACE INTO meta VALUES ('last_offer', ?)", (str(world.last_offer),))

    def last_ledger(self) -> LedgerRow | None:
        """Return the newest ledger, or None in a new file."""
        row = self._db.execute("SELECT * FROM ledgers ORDER BY sequence DESC LIMIT 1").fetchone()
        return LedgerRow(**dict(row)) if row else None

    def ledger(self, sequence: int) -> LedgerRow | None:
        """Return a ledger; one that was thinned out is told from its neighbours."""
        query = "SELECT * FROM ledgers WHERE sequence {} ? ORDER BY sequence {} LIMIT 1"
        before = self._db.execute(query.format("<=", "DESC"), (sequence,)).fetchone()
        after = self._db.execute(query.format(">=", "ASC"), (sequence,)).fetchone()
        if before is None or after is None:
            return None
        if before["sequence"] == sequence:
            return LedgerRow(**dict(before))
        part = sequence - before["sequence"]
        whole = after["sequence"] - before["sequence"]
        passed = (after["closed_at"] - before["closed_at"]) * part // whole
        return LedgerRow(sequence, before["closed_at"] + passed, fee_pool=before["fee_pool"])

    def has_seen(self, account: str) -> bool:
        """Say whether an account ever took part in an operation."""
        query = "SELECT 1 FROM operation_accounts WHERE account = ? LIMIT 1"
        return self._db.execute(query, (account,)).fetchone() is not None

    def transaction(self, digest: str) -> sqlite3.Row | None:
        """Return (id, hash, inner_hash, successful, record, codes) by outer or inner hash."""
        query = (
            "SELECT * FROM transactions WHERE hash = ? UNION ALL "
            "SELECT * FROM transactions WHERE inner_hash = ? LIMIT 1"
        )
        row: sqlite3.Row | None = self._db.execute(query, (digest, digest)).fetchone()
        return row

    def transactions(self, scope: Scope, window: Window) -> list[tuple[int, str]]:
        """Return a page of (id, record)."""
        low, high = window.bounds(*scope.span())
        table = "transaction_accounts x JOIN transactions t USING (id)"
        where = "x.account = :account AND " if scope.account else ""
        source = table if scope.account else "transactions t"
        column = "x" if scope.account else "t"
        good = "" if scope.failed else f" AND {column}.successful = 1"
        rows = self._db.execute(
            f"SELECT t.id, t.record FROM {source} WHERE {where}{column}.id > :low"
            f" AND {column}.id < :high{good} ORDER BY {column}.id {window.direction} LIMIT :limit",
            {"account": scope.account, "low": low, "high": high, "limit": window.limit},
        )
        return [(row["id"], row["record"]) for row in rows]

    def operations(self, scope: Scope, window: Window, join: bool) -> list[tuple[int, str]]:
        """Return a page of (id, record), with the transaction inside the record on ``join``."""
        rows = [(row["id"], row["record"]) for row in self._operations(scope, window, "record")]
        if not join:
            return rows
        outer = self._records_of({number >> 12 << 12 for number, _ in rows})
        return [
            (number, f'{record[:-1]},"transaction":{outer[number >> 12 << 12]}}}')
            for number, record in rows
        ]

    def _operations(self, scope: Scope, window: Window, column: str) -> list[sqlite3.Row]:
        low, high = window.bounds(*scope.span())
        table = "operation_accounts x JOIN operations o USING (id)"
        source, key = (table, "x") if scope.account else ("operations o", "o")
        # Literal conditions, so that SQLite can choose the partial indexes above.
        where = "x.account = :account AND " if scope.account else ""
        if scope.account and column == "record":
            where += "x.listed = 1 AND "
        if scope.payments:
            where += f"{key}.payment = 1 AND "
        if not scope.failed:
            where += f"{key}.successful = 1 AND "
        return self._db.execute(
            f"SELECT o.id, o.{column} FROM {source} WHERE {where}{key}.id > :low"
            f" AND {key}.id < :high ORDER BY {key}.id {window.direction} LIMIT :limit",
            {"account": scope.account, "low": low, "high": high, "limit": window.limit},
        ).fetchall()

    def _records_of(self, ids: Iterable[int]) -> dict[int, str]:
        listed = list(ids)
        marks = ",".join("?" * len(listed))
        rows = self._db.execute(
            f"SELECT id, record FROM transactions WHERE id IN ({marks})", listed
        )
        return {row["id"]: row["record"] for row in rows}

    def operation(self, number: int, join: bool) -> str | None:
        """Return one operation's record."""
        scope = Scope(operation=number, failed=True)
        rows = self.operations(scope, Window(None, True, 1), join)
        return rows[0][1] if rows else None

    def effects(
        self, scope: Scope, cursor: tuple[int, int] | None, ascending: bool, limit: int
    ) -> list[dict[str, Any]]:
        """Return a page of effect records; the cursor is (operation id, order)."""
        found: list[dict[str, Any]] = []
        # The cursor's own operation may have effects left, so it is read again.
        start = None if cursor is None else cursor[0] + (-1 if ascending else 1)
        while len(found) < limit:
            rows = self._operations(scope, Window(start, ascending, limit), "effects")
            for row in rows:
                found += self._effects_of(row, scope, cursor, ascending)
            if len(rows) < limit:
                break
            start = rows[-1]["id"]
        return found[:limit]

    def _effects_of(
        self, row: sqlite3.Row, scope: Scope, cursor: tuple[int, int] | None, ascending: bool
    ) -> list[dict[str, Any]]:
        effects: list[dict[str, Any]] = json.loads(row["effects"])
        numbered = list(enumerate(effects, start=1))
        kept = []
        for order, effect in numbered if ascending else reversed(numbered):
            place = (row["id"], order)
            beyond = cursor is None or (place > cursor if ascending else place < cursor)
            if beyond and scope.account in (None, effect["account"]):
                kept.append({"number": row["id"], "order": order, **effect})
        return kept
