"""Payments through a running service's public interfaces, and what others say became of them.

The anchor is not asked whether it paid: the bank's statement and the ledger are.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Self

import requests

from localnet.callback_receiver import CallbackReceiver
from localnet.sending_anchor import SendingAnchor
from localnet.service import RunningService
from localnet.stage import describe_stage
from localnet.stories import STORIES, Result, Story, Teller
from tests.faults.diagnosis import describe_payment, read_rows
from tests.faults.processes import PATIENCE, wait_for

_PAID = ("pending_receiver", "completed")
_LATER = frozenset({"pending_external"})
# By the sandbox bank's outcome.
KINDS = {story.account: story for story in STORIES} | {
    "paid_later": Story("Paid later", "60", "paid_later", _PAID, passing=_LATER),
    "timeout_paid": Story("Paid, but the bank's answer is lost", "55", "timeout_paid", _PAID),
    "timeout_once": Story("Lost at the bank, then paid", "45", "timeout_once", _PAID),
    "later_undeliverable": Story(
        "Taken by the bank, then undeliverable",
        "35",
        "later_undeliverable",
        ("pending_receiver", "refunded"),
        passing=_LATER,
    ),
}


@dataclass
class Payment:
    """One payment on its way. Its receiving client's name is given to no other."""

    result: Result
    thread: threading.Thread = field(repr=False)

    @property
    def story(self) -> Story:
        return self.result.story

    @property
    def id(self) -> str | None:
        """The transaction's id, None before there is one."""
        return self.result.transaction.get("id")

    @property
    def status(self) -> str | None:
        return self.result.transaction.get("status")


class Payments:
    """Sends payments for two sending anchors; `check` waits for them and audits them."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self._stage = describe_stage(service)
        self._tellers: list[Teller] = []
        self._numbers = itertools.count(1)
        self._payments: list[Payment] = []
        self._stack = ExitStack()
        self._steps = 0

    def __enter__(self) -> Self:
        for described in self._stage.sending_anchors:
            sender = SendingAnchor(
                self.service.base_url.split("://")[1],
                described.keypair,
                horizon_url=self.service.horizon_url,
                patience=PATIENCE,
            )
            sender.discover()
            sender.authenticate()
            receiver = self._stack.enter_context(CallbackReceiver(sender.toml["SIGNING_KEY"]))
            self._tellers.append(
                Teller(
                    described.name,
                    sender,
                    receiver,
                    self._stage.asset,
                    self._stage.source_asset,
                    patience=PATIENCE,
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- Sending ------------------------------------------------------------------------------

    def start(self, *kinds: str) -> list[Payment]:
        """Start one payment of each kind (a key of `KINDS`), all at once."""
        return [self._start(kind) for kind in kinds]

    def _start(self, kind: str) -> Payment:
        number = next(self._numbers)
        teller = self._tellers[number % len(self._tellers)]
        story = replace(KINDS[kind], client=f"Hernández {number}")
        result = Result(story, teller.name)
        thread = threading.Thread(
            target=teller.tell, args=(story, result, self._count_step), daemon=True
        )
        payment = Payment(result, thread)
        self._payments.append(payment)
        thread.start()
        return payment

    def _count_step(self) -> None:
        self._steps += 1  # a lost count does no harm

    @contextmanager
    def flowing(self, at_once: int = 6) -> Iterator[None]:
        """Keep payments of all kinds on their way, a new one for each that ends."""
        is_over = threading.Event()
        kinds = itertools.cycle(KINDS)
        lock = threading.Lock()

        def send() -> None:
            while not is_over.is_set():
                with lock:
                    payment = self._start(next(kinds))
                payment.thread.join()

        senders = [threading.Thread(target=send, daemon=True) for _ in range(at_once)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            is_over.set()
        for sender in senders:
            sender.join()

    def wait_for_steps(self, count: int) -> None:
        """Wait until the payments under way have come so many steps further, all together."""
        before = self._steps
        wait_for(
            lambda: self._steps >= before + count,
            f"payments came {count} steps further",
            explain=self.explain_unfinished,
        )

    def wait_until_paid(self, payment: Payment) -> None:
        """Wait until a payment is on the ledger."""
        wait_for(
            lambda: payment.result.sent or payment.result.problem,
            f"{payment.story.title} is paid on Stellar",
            explain=lambda: self.explain(payment),
        )
        assert not payment.result.problem, self.explain(payment)

    def wait_until_asked(self, payment: Payment, times: int = 1) -> None:
        """Wait until workers have claimed one attempt so often, to take it to the bank."""
        wait_for(
            lambda: [row for row in self.attempts(payment) if row["calls"] >= times],
            f"{payment.story.title} was claimed {times} times",
            explain=lambda: self.explain(payment),
        )

    def attempts(self, payment: Payment) -> list[dict[str, Any]]:
        """The attempts to pay a payment out."""
        return self.rows(
            "SELECT a.status, a.calls, a.message FROM payouts_attempt a"
            " JOIN payouts_payout p ON p.id = a.payout_id WHERE p.reference = %s ORDER BY a.number",
            payment,
        )

    def rows(self, query: str, payment: Payment) -> list[dict[str, Any]]:
        """What the anchor's database says of a payment; `query` takes its id once."""
        return read_rows(self.service, query, payment.id) if payment.id else []

    # -- Auditing -----------------------------------------------------------------------------

    def check(self) -> None:
        """Wait for all payments and hold what came of them against the bank and the ledger."""
        for payment in self._payments:
            payment.thread.join()
        failed = [payment for payment in self._payments if payment.result.problem]
        assert not failed, "\n\n".join(map(self.explain, failed))
        assert self._payments
        self._check_statement()
        self._check_refunds()
        self._check_callbacks()
        self._check_books()

    def _check_statement(self) -> None:
        """The bank paid each receiving client that it should once, and nobody else."""
        paid = Counter(
            (row["account_holder"], Decimal(row["amount"])) for row in self.read_statement()
        )
        expected = Counter(
            (f"Lucía {payment.story.client}", Decimal(payment.result.transaction["amount_out"]))
            for payment in self._payments
            if payment.story.end == "completed"
        )
        ours = {f"Lucía {payment.story.client}" for payment in self._payments}
        paid = Counter({key: times for key, times in paid.items() if key[0] in ours})
        assert paid == expected, f"too much: {paid - expected}, too little: {expected - paid}"

    def _check_refunds(self) -> None:
        """The ledger holds one payment back for each that was undeliverable, and no other."""
        refunds = self._read_refunds()
        for payment in self._payments:
            memo = payment.result.transaction["stellar_memo"]
            expected = 1 if payment.story.end == "refunded" else 0
            assert len(refunds.get(memo, [])) == expected, self.explain(payment)

    def _check_callbacks(self) -> None:
        """Each change that the anchor wrote down was told, in its order, and well signed."""
        for teller in self._tellers:
            assert teller.receiver.problems() == []
        for payment in self._payments:
            events = self.rows(
                "SELECT to_status FROM sep31_event WHERE transaction_id = %s"
                " AND from_status NOT IN ('', to_status) ORDER BY id",
                payment,
            )
            told = self._told(payment)
            happened = [event["to_status"] for event in events]
            # A callback that came again, its first answer lost, may come after a newer one.
            assert _is_subsequence(happened, told), f"{happened} / {told}"
            assert set(told) <= set(happened), f"{happened} / {told}"

    def _told(self, payment: Payment) -> list[str]:
        return [
            str(callback.transaction["status"])
            for teller in self._tellers
            for callback in teller.receiver.of_transaction(str(payment.id))
        ]

    def _check_books(self) -> None:
        """`manage.py reconcile` holds, and with nothing under way nothing is held."""
        asset = self._stage.asset
        rows = json.loads(self.service.manage("reconcile", "--json"))
        assert all(row["balanced"] for row in rows), rows
        [row] = [row for row in rows if row["asset"] == f"stellar:{asset.code}:{asset.issuer}"]
        assert Decimal(row["held"]) == 0, row
        assert Decimal(row["moved_elsewhere"]) == 0, row

    def read_statement(self) -> list[dict[str, Any]]:
        """All that the bank ever paid."""
        headers = {"Authorization": f"Bearer {self.service.env['BANK_API_KEY']}"}
        answer = requests.get(f"{self.service.bank_url}/statement", headers=headers, timeout=30)
        payments: list[dict[str, Any]] = answer.json()["payments"]
        return payments

    def _read_refunds(self) -> dict[str, list[dict[str, Any]]]:
        """Every payment that left the anchor's account on the ledger, by its memo."""
        account = self.service.env["DISTRIBUTION_ACCOUNT"]
        horizon = self._tellers[0].sender.horizon
        by_memo: dict[str, list[dict[str, Any]]] = {}
        call = horizon.payments().for_account(account).join("transactions").limit(200)
        page = call.call()
        while records := page["_embedded"]["records"]:
            for record in records:
                if record.get("from") == account:
                    memo = record["transaction"].get("memo", "")
                    by_memo.setdefault(memo, []).append(record)
            page = call.cursor(records[-1]["paging_token"]).call()
        return by_memo

    def forget(self) -> None:
        """Leave what was sent so far out of the next audit."""
        self._payments.clear()

    # -- Explaining ---------------------------------------------------------------------------

    def explain(self, payment: Payment) -> str:
        """What is known of a payment that went wrong, for people."""
        return describe_payment(self.service, payment.result, self._told(payment))

    def explain_unfinished(self) -> str:
        unfinished = [payment for payment in self._payments if not payment.result.finished]
        return "\n\n".join(map(self.explain, unfinished))


def _is_subsequence(wanted: list[str], within: list[str]) -> bool:
    rest = iter(within)
    return all(status in rest for status in wanted)
