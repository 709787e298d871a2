"""Four payments from beginning to end, each with what must have happened at its end."""

from __future__ import annotations

import secrets
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from stellar_sdk import Asset

from localnet.bank import TEST_ACCOUNTS
from localnet.callback_receiver import CallbackReceiver
from localnet.sending_anchor import FINAL_STATUSES, AnswerLost, SendingAnchor, Unexpected

DESTINATION = "iso4217:MXN"
FUNDING_METHOD = "bank_account"
_POLL_SECONDS = 0.3

SENDING_CLIENT = {
    "first_name": "Amarachi",
    "last_name": "Okafor-Nwosu",
    "birth_date": "1987-03-14",
    "email_address": "amarachi.nwosu@example.com",
    "address": "27 Adetokunbo Street, Lagos",
    "id_type": "passport",
    "id_number": "A04718293",
    "id_country_code": "NGA",
}
RECEIVING_CLIENT = {
    "first_name": "Lucía",
    "mobile_number": "+525512345678",
    "email_address": "lucia.hdz@example.com",
    "bank_number": "012",
}


def draw_document() -> bytes:
    """A PNG to stand for the photo of the sending client's passport."""
    width, height = 397, 251

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    rows = b"".join(b"\0" + bytes((x * y) % 251 for x in range(width)) for y in range(height))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
            chunk(b"tEXt", f"Comment\0Passport {SENDING_CLIENT['id_number']}".encode()),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


@dataclass(frozen=True)
class Story:
    """What happens to one payment. `callbacks` are the statuses told, in order."""

    title: str
    amount: str
    account: str  # outcome of the sandbox bank's test account
    callbacks: tuple[str, ...]
    client: str = "Hernández"  # the receiving client's last name, which the bank's statement has
    passing: frozenset[str] = frozenset()  # told as well, unless over before anybody looked

    @property
    def end(self) -> str:
        return self.callbacks[-1]


STORIES = (
    Story(
        title="Paid out at once",
        amount="100",
        account="paid",
        callbacks=("pending_receiver", "completed"),
    ),
    Story(
        title="Wrong account number, corrected",
        amount="250",
        account="refused_account",
        callbacks=(
            "pending_receiver",
            "pending_customer_info_update",
            "pending_receiver",
            "completed",
        ),
    ),
    Story(
        title="Bank fails twice, then pays",
        amount="75.5",
        account="fails_twice",
        callbacks=("pending_receiver", "completed"),
    ),
    Story(
        title="Undeliverable, sent back",
        amount="40",
        account="undeliverable",
        callbacks=("pending_receiver", "refunded"),
    ),
)


@dataclass
class Result:
    """How a story went. `problem` is "" when it ended as it should."""

    story: Story
    sender: str
    transaction: dict[str, Any] = field(default_factory=dict)
    timeline: list[tuple[float, str]] = field(default_factory=list)  # seconds since the start
    sent: str = ""
    problem: str = ""
    finished: bool = False


@dataclass
class Teller:
    """Tells stories for one sending anchor, which has discovered the anchor already."""

    name: str
    sender: SendingAnchor
    receiver: CallbackReceiver
    asset: Asset
    source_asset: Asset
    patience: float = 180.0  # seconds that a payment may take at most
    document: bytes = b""  # sent with each sending client

    def tell(
        self, story: Story, result: Result, on_step: Callable[[], None] = lambda: None
    ) -> None:
        """Live through a story; what happened goes to `result` as it happens."""
        started = time.monotonic()

        def note(text: str) -> None:
            result.timeline.append((time.monotonic() - started, text))
            on_step()

        try:
            self._tell(story, result, note)
        except Exception as error:  # one story's failure must not end the others
            result.problem = f"{type(error).__name__}: {error}"
            note(f"failed: {result.problem}")
        result.finished = True
        on_step()

    def _tell(self, story: Story, result: Result, note: Callable[[str], None]) -> None:
        sender = self.sender
        receiving_client = {"type": "sep31-receiver", "memo": _new_memo(), "memo_type": "id"}
        sender_id = sender.put_customer(
            type="sep31-sender",
            memo=_new_memo(),
            memo_type="id",
            **SENDING_CLIENT,
        )
        if self.document:
            sender.send_document(sender_id, "photo_id_front", self.document, "image/png")
        receiver_id = sender.put_customer(
            **receiving_client,
            **RECEIVING_CLIENT,
            last_name=story.client,
            bank_account_number=TEST_ACCOUNTS[story.account],
        )
        note("customers registered")

        quote, transaction_id = self._start(story, sender_id, receiver_id, note)
        sender.put_callback(transaction_id, self.receiver.url)
        transaction = self._follow(transaction_id, {"pending_sender"}, result, note)
        paid = sender.pay(transaction, send_asset=self.source_asset, dest_asset=self.asset)
        ledger_transaction, payments = sender.ledger_payments(paid.hash)
        result.sent = f"{payments[0]['source_amount']} {self.source_asset.code}"
        note(f"sent {result.sent} on Stellar")

        if "pending_customer_info_update" in story.callbacks:
            self._follow(transaction_id, {"pending_customer_info_update"}, result, note)
            self._correct_account(transaction_id, receiver_id, receiving_client, note)
        transaction = self._follow(transaction_id, FINAL_STATUSES, result, note)
        if transaction["status"] != story.end:
            raise Unexpected(
                f"ended as {transaction['status']} instead of {story.end}: "
                f"{transaction.get('status_message', '')}"
            )
        if transaction.get("stellar_transaction_id") != paid.hash:
            raise Unexpected("the transaction does not name our payment on Stellar")
        if story.end == "refunded":
            self._check_refund(transaction, ledger_transaction, note)
        else:
            _check_amounts(transaction, quote)
        self._check_callbacks(story, transaction_id)
        note(f"{len(story.callbacks)} callbacks, all signed")

    def _start(
        self, story: Story, sender_id: str, receiver_id: str, note: Callable[[str], None]
    ) -> tuple[dict[str, Any], str]:
        """Start a payment over a new firm quote; the quote and the transaction's id."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                quote = self.sender.firm_quote(
                    f"stellar:{self.asset.code}:{self.asset.issuer}",
                    DESTINATION,
                    story.amount,
                    delivery_method=FUNDING_METHOD,
                )
                bought = f"{quote['buy_amount']} MXN"
                note(f"quote: {quote['sell_amount']} {self.asset.code} for {bought}")
                return quote, self.sender.post_transaction(
                    amount=quote["sell_amount"],
                    asset_code=self.asset.code,
                    asset_issuer=str(self.asset.issuer),
                    destination_asset=DESTINATION,
                    quote_id=quote["id"],
                    sender_id=sender_id,
                    receiver_id=receiver_id,
                    funding_method=FUNDING_METHOD,
                )
            except AnswerLost:
                # There may be a transaction that we know nothing of. Nobody will pay it.
                if time.monotonic() > deadline:
                    raise
                note("an answer got lost: starting anew")
                time.sleep(_POLL_SECONDS)

    def _follow(
        self, transaction_id: str, wanted: set[str], result: Result, note: Callable[[str], None]
    ) -> dict[str, Any]:
        """Poll until a status out of `wanted` is reached, and note each change."""
        deadline = time.monotonic() + self.patience
        while True:
            transaction = self.sender.get_transaction(transaction_id)
            status = str(transaction["status"])
            if status != result.transaction.get("status"):
                note(status)
            result.transaction = transaction
            if status in wanted:
                return transaction
            if status in FINAL_STATUSES:
                raise Unexpected(
                    f"became {status} while waiting for {' or '.join(sorted(wanted))}: "
                    f"{transaction.get('status_message', '')}"
                )
            if time.monotonic() > deadline:
                raise Unexpected(f"still {status} after {self.patience:g} seconds")
            time.sleep(_POLL_SECONDS)

    def _correct_account(
        self,
        transaction_id: str,
        customer_id: str,
        receiving_client: dict[str, str],
        note: Callable[[str], None],
    ) -> None:
        """SEP-31, Pending Customer Info Update: ask which field is wrong, send it again."""
        customer = self.sender.get_customer(
            id=customer_id, transaction_id=transaction_id, type=receiving_client["type"]
        )
        wanted = set(customer.get("fields", {}))
        refused = {
            name
            for name, described in customer.get("provided_fields", {}).items()
            if described.get("status") == "REJECTED"
        }
        if customer["status"] != "NEEDS_INFO" or "bank_account_number" not in wanted | refused:
            raise Unexpected(f"GET /customer does not ask for the account number: {customer}")
        note("bank_account_number is wrong: sending another")
        self.sender.put_customer(
            id=customer_id,
            type=receiving_client["type"],
            transaction_id=transaction_id,
            bank_account_number=TEST_ACCOUNTS["paid"],
        )

    def _check_refund(
        self,
        transaction: dict[str, Any],
        paid: dict[str, Any],
        note: Callable[[str], None],
    ) -> None:
        """The ledger, not the anchor, says whether the money came back."""
        refunds = transaction["refunds"]
        total = Decimal(0)
        for refund in refunds["payments"]:
            sent_back, payments = self.sender.ledger_payments(refund["id"])
            if (sent_back.get("memo_type"), sent_back.get("memo")) != (
                paid.get("memo_type"),
                paid.get("memo"),
            ):
                raise Unexpected("the refund does not carry our payment's memo")
            for payment in payments:
                if (
                    payment["to"] == self.sender.keypair.public_key
                    and payment.get("asset_code") == self.asset.code
                    and payment.get("asset_issuer") == self.asset.issuer
                ):
                    total += Decimal(payment["amount"])
        expected = Decimal(refunds["amount_refunded"]) - Decimal(refunds["amount_fee"])
        amount_in = Decimal(transaction["amount_in"])
        if total != expected or Decimal(refunds["amount_refunded"]) != amount_in:
            raise Unexpected(f"{total} came back of {amount_in}; the anchor says {expected}")
        note(f"{total.normalize():f} {self.asset.code} came back on Stellar")

    def _check_callbacks(self, story: Story, transaction_id: str) -> None:
        # Callbacks may come after the status that polling sees, and again after a while where the
        # anchor can't know that we got them.
        deadline = time.monotonic() + self.patience
        while True:
            received = self.receiver.of_transaction(transaction_id)
            if problems := [callback.problem for callback in received if callback.problem]:
                raise Unexpected(f"a callback was not right: {problems[0]}")
            # The same one may arrive again when our answer to it was lost.
            statuses = [str(one.transaction["status"]) for one in received]
            told = _without_repeats([status for status in statuses if status not in story.passing])
            if told == list(story.callbacks):
                return
            if time.monotonic() > deadline:
                raise Unexpected(f"callbacks told {told} instead of {list(story.callbacks)}")
            time.sleep(_POLL_SECONDS)


def _new_memo() -> str:
    """A client of ours for the anchor: SEP-12 knows it by our account and this memo."""
    return str(secrets.randbits(63))


def _without_repeats(statuses: list[str]) -> list[str]:
    return [
        status
        for position, status in enumerate(statuses)
        if position == 0 or statuses[position - 1] != status
    ]


def _check_amounts(transaction: dict[str, Any], quote: dict[str, Any]) -> None:
    """What was delivered is what the firm quote promised."""
    for ours, theirs in (("amount_in", "sell_amount"), ("amount_out", "buy_amount")):
        if Decimal(transaction[ours]) != Decimal(quote[theirs]):
            raise Unexpected(f"{ours} is {transaction[ours]}, the quote says {quote[theirs]}")
