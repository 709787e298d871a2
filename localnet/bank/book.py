"""The bank's book: one SQLite file that remembers each key, its first answer and what was paid.

It is used from one thread (the event loop), and each method is one SQLite transaction, so two
requests never see each other half done and `kill -9` loses nothing that was answered.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localnet.bank.accounts import find_outcome

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payouts (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    amount TEXT NOT NULL,
    currency TEXT NOT NULL,
    method TEXT NOT NULL,
    account_number TEXT NOT NULL,
    account_holder TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    first_code INTEGER NOT NULL,
    first_answer TEXT NOT NULL,
    status TEXT NOT NULL,
    answer TEXT NOT NULL,
    settles_at REAL,
    settles_as TEXT,
    paid_at REAL
);
CREATE INDEX IF NOT EXISTS payouts_reference ON payouts (reference);
CREATE INDEX IF NOT EXISTS payouts_settling ON payouts (settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS forgotten (key TEXT PRIMARY KEY);
"""

_BANK_NUMBER = re.compile(r"[0-9A-Z]{6,34}", re.ASCII)
_MOBILE_NUMBER = re.compile(r"\+?[0-9]{7,15}", re.ASCII)
_CODES = {"paid": 201, "accepted": 202, "refused": 422}


@dataclass(frozen=True)
class Order:
    """What a client asks us to pay; every value is text that was checked for its shape."""

    reference: str
    amount: str
    currency: str
    method: str
    account_number: str
    account_holder: str

    @property
    def account_field(self) -> str:
        """SEP-9's name of the account number."""
        return "mobile_money_number" if self.method == "mobile_money" else "bank_account_number"


@dataclass(frozen=True)
class Reply:
    """The HTTP reply, and whether the client must wait for it longer than it has patience."""

    code: int
    body: dict[str, Any]
    hangs: bool = False


def _refusal(fields: dict[str, str]) -> dict[str, Any]:
    return {"status": "refused", "fields": fields}


def _failure(message: str, *, retryable: bool) -> dict[str, Any]:
    return {"status": "failed", "retryable": retryable, "message": message}


class Book:
    """All payouts that the bank was ever asked for."""

    def __init__(self, path: Path, *, settle_seconds: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._settle_seconds = settle_seconds
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def take(self, key: str, order: Order, body: dict[str, Any]) -> Reply:
        """Answer an order: the first time by its account number, afterwards as the first time."""
        body_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._settle()
            known = self._db.execute("SELECT * FROM payouts WHERE key = ?", [key]).fetchone()
            if known is not None:
                if known["body_hash"] != body_hash:
                    return Reply(409, {"error": "This key was used for a different payout"})
                return Reply(known["first_code"], json.loads(known["first_answer"]))
            return self._answer_first(key, order, body_hash)

    def find_by_key(self, key: str) -> dict[str, Any] | None:
        """The present state of what was sent under `key`, None if it was never seen."""
        self._settle()
        row = self._db.execute("SELECT answer FROM payouts WHERE key = ?", [key]).fetchone()
        return None if row is None else json.loads(row["answer"])

    def find_by_reference(self, reference: str) -> list[dict[str, Any]]:
        """The present state of everything sent for `reference`, oldest first, with its key."""
        self._settle()
        rows = self._db.execute(
            "SELECT key, answer FROM payouts WHERE reference = ? ORDER BY sequence", [reference]
        )
        return [{**json.loads(row["answer"]), "key": row["key"]} for row in rows]

    def list_payments(self) -> list[dict[str, Any]]:
        """All that was really paid, in the order of payment."""
        self._settle()
        rows = self._db.execute(
            "SELECT id, key, reference, amount, currency, method, account_number, account_holder,"
            " paid_at FROM payouts WHERE status = 'paid' ORDER BY paid_at, sequence"
        )
        return [dict(row) for row in rows]

    def _answer_first(self, key: str, order: Order, body_hash: str) -> Reply:
        pattern = _MOBILE_NUMBER if order.method == "mobile_money" else _BANK_NUMBER
        if not pattern.fullmatch(order.account_number):
            fields = {order.account_field: "The account number is not well-formed"}
            return self._remember(key, order, body_hash, _refusal(fields))
        return self._play(find_outcome(order.account_number), key, order, body_hash)

    def _play(self, outcome: str, key: str, order: Order, body_hash: str) -> Reply:
        wrong_account = _refusal({order.account_field: "There is no such account"})
        closed = _failure("The account is closed", retryable=False)
        passing = _failure("The bank can't pay just now, try again", retryable=True)
        match outcome:
            case "refused_account":
                return self._remember(key, order, body_hash, wrong_account)
            case "refused_name":
                fields = dict.fromkeys(
                    ("first_name", "last_name"), "The account is in another name"
                )
                return self._remember(key, order, body_hash, _refusal(fields))
            case "undeliverable":
                return self._remember(key, order, body_hash, closed)
            case "always_fails":
                return self._remember(key, order, body_hash, passing)
            case "fails_twice" if self._count_attempts(order.reference) < 2:
                return self._remember(key, order, body_hash, passing)
            case "paid_later":
                return self._accept(key, order, body_hash, {"status": "paid"})
            case "later_refused":
                return self._accept(key, order, body_hash, wrong_account)
            case "later_undeliverable":
                return self._accept(key, order, body_hash, closed)
            case "timeout_unpaid":
                return Reply(504, {"error": "The bank is too slow"}, hangs=True)
            case "timeout_once" if self._forget_once(key):
                return Reply(504, {"error": "The bank is too slow"}, hangs=True)
            case "timeout_paid":
                reply = self._remember(key, order, body_hash, {"status": "paid"})
                return Reply(reply.code, reply.body, hangs=True)
            case _:
                return self._remember(key, order, body_hash, {"status": "paid"})

    def _accept(self, key: str, order: Order, body_hash: str, final: dict[str, Any]) -> Reply:
        reply = self._remember(key, order, body_hash, {"status": "accepted"})
        self._db.execute(
            "UPDATE payouts SET settles_at = ?, settles_as = ? WHERE key = ?",
            [time.time() + self._settle_seconds, json.dumps(final), key],
        )
        return reply

    def _remember(self, key: str, order: Order, body_hash: str, answer: dict[str, Any]) -> Reply:
        status = answer["status"]
        code = _CODES.get(status) or (503 if answer["retryable"] else 409)
        answer = {"id": f"bank-{uuid.uuid4().hex[:16]}", **answer}
        text = json.dumps(answer)
        self._db.execute(
            "INSERT INTO payouts (key, id, reference, amount, currency, method, account_number,"
            " account_holder, body_hash, first_code, first_answer, status, answer, paid_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                key,
                answer["id"],
                order.reference,
                order.amount,
                order.currency,
                order.method,
                order.account_number,
                order.account_holder,
                body_hash,
                code,
                text,
                status,
                text,
                time.time() if status == "paid" else None,
            ],
        )
        return Reply(code, answer)

    def _settle(self) -> None:
        # Worked out when somebody asks, not by a timer: a timer would die with the process.
        due = self._db.execute(
            "SELECT key, id, settles_at, settles_as FROM payouts WHERE settles_at <= ?",
            [time.time()],
        ).fetchall()
        for row in due:
            final = json.loads(row["settles_as"])
            self._db.execute(
                "UPDATE payouts SET status = ?, answer = ?, settles_at = NULL, paid_at = ?"
                " WHERE key = ?",
                [
                    final["status"],
                    json.dumps({"id": row["id"], **final}),
                    row["settles_at"] if final["status"] == "paid" else None,
                    row["key"],
                ],
            )

    def _count_attempts(self, reference: str) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM payouts WHERE reference = ?", [reference]
        ).fetchone()
        return int(row[0])

    def _forget_once(self, key: str) -> bool:
        added = self._db.execute("INSERT OR IGNORE INTO forgotten (key) VALUES (?)", [key])
        return added.rowcount == 1
