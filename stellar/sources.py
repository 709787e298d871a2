"""Where we read the ledger and hand it transactions: the `LedgerSource` protocol, and Horizon.

Public Horizons stand behind load balancers whose nodes lag behind one another, so two answers may
come from two different pasts. Everything here that says "as of ledger N" was true at N whichever
node answered.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from math import ceil
from typing import Any, Protocol, TypeVar

import requests
from django.conf import settings
from stellar_sdk import Server, TransactionEnvelope
from stellar_sdk.client.requests_client import RequestsClient
from stellar_sdk.client.response import Response
from stellar_sdk.exceptions import (
    BadRequestError,
    BaseHorizonError,
    BaseRequestError,
    ContentSizeLimitExceededError,
    NotFoundError,
)

from kernel.assets import AssetName, stellar_asset_name
from stellar.outcomes import decode_result, name_code
from stellar.records import (
    IncomingPayment,
    Record,
    Unreadable,
    ledger_of_token,
    needs_effects,
    read_payment,
    read_time,
    read_token,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

READ_TRIES = 3
# 200 records may each carry a transaction of 100 operations with its result metadata.
MAX_BODY_BYTES = 64 * 1024 * 1024
SMALL_PAGE = 10
# How far nodes behind one load balancer may lag behind one another, where no answer proves more.
NODE_LAG_LEDGERS = 12
# How far back an account's transactions are searched for one sequence number.
SEQUENCE_PAGES = 10


class SourceUnavailable(Exception):
    """The ledger source didn't answer, or not in a way that we can read. Try again later."""


class NotOnLedger(SourceUnavailable):
    """The node that answered knows no such thing (yet)."""


class Refused(Exception):
    """The network refused a transaction. `codes` are its result codes, see `stellar.outcomes`.

    It failed in a ledger or was turned away; the answer alone doesn't tell which.
    """

    def __init__(self, codes: tuple[str, ...]) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


@dataclass(frozen=True, slots=True)
class Ledger:
    """A closed ledger and its close time."""

    sequence: int
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What a node says of itself: its network, its newest ledger, the oldest that it keeps."""

    passphrase: str
    latest: Ledger
    elder_ledger: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as it stood at `as_of`, all of it from one snapshot.

    `touched_ledger` is the last ledger, up to `as_of`, that changed the account or one of its
    trustlines; no payment reached it in the ledgers between the two.
    """

    sequence: int
    balances: dict[AssetName, Decimal]
    touched_ledger: int
    as_of: Ledger


@dataclass(frozen=True, slots=True)
class UnreadRecord:
    """A record that could not be read, as it came, and why. `token` is None if it has no place."""

    token: int | None
    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class PaymentsPage:
    """A page of an account's payments, in the ledger's order, all from one node.

    `ledgers` are those of its records, oldest first. `node_ledger` is the newest ledger that the
    node had when it answered, if it said so. `account` was read before the page, if it didn't.
    """

    payments: tuple[IncomingPayment, ...]
    unread: tuple[UnreadRecord, ...]
    last_token: int | None
    is_full: bool
    ledgers: tuple[Ledger, ...] = ()
    node_ledger: Ledger | None = None
    account: AccountState | None = None


@dataclass(frozen=True, slots=True)
class TransactionOutcome:
    """A transaction in a closed ledger. `codes` are its result codes if it failed."""

    hash: str
    successful: bool
    ledger: Ledger
    codes: tuple[str, ...] = ()


class LedgerSource(Protocol):
    """All that Landfall asks of the network. Every method may raise `SourceUnavailable`.

    An instance belongs to one thread. Methods are bounded in time and never called within a
    database transaction.
    """

    def fetch_network(self) -> NetworkState: ...

    def fetch_ledger(self, sequence: int) -> Ledger:
        """Raises `NotOnLedger`."""

    def fetch_payments(self, account: str, after: int, limit: int) -> PaymentsPage:
        """The payments of `account` after paging token `after`, oldest first."""

    def fetch_payment(self, account: str, token: int) -> IncomingPayment | None:
        """One payment again. Raises `Unreadable`, `NotOnLedger`."""

    def wait_for_payment(self, account: str, after: int, seconds: float) -> bool:
        """Wait at most about `seconds` for a payment after token `after`; True if one came.

        Only a hint: it may miss payments, and it may return early.
        """

    def fetch_account(self, account: str) -> AccountState:
        """Raises `NotOnLedger`."""

    def find_transaction(self, transaction_hash: str) -> TransactionOutcome | None: ...

    def find_sequence(self, account: str, sequence: int) -> TransactionOutcome | None:
        """The transaction that used this sequence number of `account`, successful or not."""

    def submit(self, envelope_xdr: str) -> TransactionOutcome:
        """Hand a signed transaction to the network. Raises `Refused`.

        After `SourceUnavailable` the outcome is unknown.
        """

    def fetch_base_fee(self) -> int:
        """What the network charges these days for one operation, in stroops."""

    def close(self) -> None: ...


class HorizonClient(RequestsClient):
    """stellar-sdk's client, which also bounds sizes and waits and keeps an answer's headers."""

    def __init__(self, timeout_seconds: float) -> None:
        # No retries in here: they would resubmit behind our back; HorizonSource retries reads.
        super().__init__(
            num_retries=0, request_timeout=ceil(timeout_seconds), post_timeout=timeout_seconds
        )
        self.last_headers: Mapping[str, str] = {}
        self.stream_seconds = timeout_seconds

    def get(
        self,
        url: str,
        params: dict[str, str] | None = None,
        max_content_size: int | None = MAX_BODY_BYTES,
    ) -> Response:
        response = super().get(url, params, max_content_size)
        self.last_headers = {key.lower(): value for key, value in response.headers.items()}
        return response

    def stream(
        self, url: str, params: dict[str, str] | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """Yield `{"id": token}` per event for `stream_seconds` at most, then end.

        stellar-sdk's own stream reconnects for ever and may sit in a dead read for a minute; ours
        is only a wake-up, and must end when the worker does.
        """
        end = time.monotonic() + self.stream_seconds
        with self._session.get(
            url,
            params=params,
            headers={"Accept": "text/event-stream", "Cache-Control": "no-cache"},
            timeout=(self.request_timeout, self.stream_seconds),
            stream=True,
        ) as response:
            if response.status_code != 200:
                return
            for line in response.iter_lines(chunk_size=1024):
                if line.startswith(b"id:"):
                    yield {"id": line.removeprefix(b"id:").strip().decode("ascii", "replace")}
                if time.monotonic() >= end:
                    return


class HorizonSource:
    """A `LedgerSource` over Horizon's HTTP API, through stellar-sdk."""

    def __init__(self, url: str | None = None) -> None:
        self._client = HorizonClient(settings.HORIZON_TIMEOUT_SECONDS)
        self._server = Server(url or settings.HORIZON_URL, self._client)
        self._ledgers: dict[int, Ledger] = {}
        # Horizon puts Latest-Ledger on answers from its state, but not on pages of history.
        self._pages_tell_ledger = True

    def __enter__(self) -> HorizonSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def fetch_network(self) -> NetworkState:
        body = self._read(self._server.root().call)
        with _reading("the root document"):
            return NetworkState(
                passphrase=str(body.get("network_passphrase", "")),
                latest=Ledger(
                    int(body["history_latest_ledger"]),
                    read_time(body["history_latest_ledger_closed_at"]),
                ),
                elder_ledger=int(body.get("history_elder_ledger", 0)),
            )

    def fetch_ledger(self, sequence: int) -> Ledger:
        known = self._ledgers.get(sequence)
        if known is not None:
            return known
        body = self._read(self._server.ledgers().ledger(sequence).call)
        with _reading("a ledger"):
            ledger = Ledger(int(body["sequence"]), read_time(body["closed_at"]))
        if len(self._ledgers) >= 100:
            self._ledgers.clear()
        self._ledgers[sequence] = ledger
        return ledger

    def fetch_payments(self, account: str, after: int, limit: int) -> PaymentsPage:
        state = None if self._pages_tell_ledger else self._account_or_none(account)
        try:
            records, node_sequence = self._payments_page(account, after, limit)
        except _PageTooLarge:
            limit = min(limit, SMALL_PAGE)
            records, node_sequence = self._payments_page(account, after, limit)
        self._pages_tell_ledger = node_sequence is not None
        is_full = len(records) >= limit
        tokens = _read_tokens(records, is_full=is_full)
        payments: dict[int, IncomingPayment] = {}
        unread: list[UnreadRecord] = []
        for token, record in zip(tokens, records, strict=True):
            try:
                payment = self._read_payment(record, account)
            except Unreadable as error:
                unread.append(UnreadRecord(token, record, str(error)))
            else:
                if payment is not None:
                    payments[payment.operation_id] = payment
        return PaymentsPage(
            payments=tuple(payments[token] for token in sorted(payments)),
            unread=tuple(unread),
            last_token=max((token for token in tokens if token is not None), default=None),
            is_full=is_full,
            ledgers=_read_ledgers(tokens, records),
            node_ledger=self._ledger_or_none(node_sequence),
            account=state,
        )

    def _payments_page(
        self, account: str, after: int, limit: int
    ) -> tuple[list[Record], int | None]:
        builder = self._server.payments().for_account(account).join("transactions")
        body = self._read(builder.cursor(after).limit(limit).order(desc=False).call)
        sequence = self._latest_ledger_header()
        return _records(body), sequence

    def fetch_payment(self, account: str, token: int) -> IncomingPayment | None:
        builder = self._server.operations().operation(token).join("transactions")
        return self._read_payment(self._read(builder.call), account)

    def _read_payment(self, record: Record, account: str) -> IncomingPayment | None:
        effects: list[Record] = []
        if needs_effects(record, account):
            builder = self._server.effects().for_operation(read_token(record)).limit(200)
            effects = _records(self._read(builder.call))
        return read_payment(record, account, effects)

    def wait_for_payment(self, account: str, after: int, seconds: float) -> bool:
        self._client.stream_seconds = max(seconds, 0.1)
        builder = self._server.payments().for_account(account).cursor(after).limit(1)
        try:
            for _ in builder.stream():
                return True
        except (requests.RequestException, OSError, ValueError) as error:
            # Silence ends the stream with a read timeout; the next page tells the truth.
            logger.debug("the stream of %s ended: %s", account, error)
        return False

    def fetch_account(self, account: str) -> AccountState:
        builder = self._server.accounts().account_id(account)
        body = self._read(builder.call)
        sequence = self._latest_ledger_header()
        if sequence is not None:
            as_of = self._ledger_or_none(sequence)
        else:
            # No snapshot to name: what another node had a while before is surely in this one.
            latest = self.fetch_network().latest
            as_of = self._ledger_or_none(max(latest.sequence - NODE_LAG_LEDGERS, 1))
            body = self._read(builder.call)
        if as_of is None:
            raise SourceUnavailable("no node tells when the account's ledger closed")
        with _reading("an account"):
            balances = {
                _read_balance_asset(line): Decimal(line["balance"])
                for line in body["balances"]
                if line["asset_type"] != "liquidity_pool_shares"
            }
            touched = [body, *body["balances"]]
            return AccountState(
                sequence=int(body["sequence"]),
                balances=balances,
                touched_ledger=max(int(part.get("last_modified_ledger", 0)) for part in touched),
                as_of=as_of,
            )

    def find_transaction(self, transaction_hash: str) -> TransactionOutcome | None:
        try:
            body = self._read(self._server.transactions().transaction(transaction_hash).call)
        except NotOnLedger:
            return None
        return _read_outcome(body)

    def find_sequence(self, account: str, sequence: int) -> TransactionOutcome | None:
        builder = self._server.transactions().for_account(account).include_failed(True)
        builder.order(desc=True).limit(200)
        for _ in range(SEQUENCE_PAGES):
            records = _records(self._read(builder.call))
            with _reading("a page of transactions"):
                for record in records:
                    if record["source_account"] != account:
                        continue
                    used = int(record["source_account_sequence"])
                    if used == sequence:
                        return _read_outcome(record)
                    if used < sequence:
                        return None
                if len(records) < 200:
                    return None
                builder.cursor(str(records[-1]["paging_token"]))
        return None

    def submit(self, envelope_xdr: str) -> TransactionOutcome:
        envelope = TransactionEnvelope.from_xdr(envelope_xdr, settings.NETWORK_PASSPHRASE)
        try:
            body = self._server.submit_transaction(envelope, skip_memo_required_check=True)
        except BadRequestError as error:
            codes = _refusal_codes(error)
            if codes is None:
                raise SourceUnavailable(_describe(error)) from error
            raise Refused(codes) from error
        except (BaseRequestError, requests.RequestException, ValueError, AttributeError) as error:
            raise SourceUnavailable(_describe(error)) from error
        return _read_outcome(body)

    def fetch_base_fee(self) -> int:
        body = self._read(self._server.fee_stats().call)
        with _reading("the fee statistics"):
            return max(int(body["last_ledger_base_fee"]), int(body["fee_charged"]["p90"]))

    def _latest_ledger_header(self) -> int | None:
        value = self._client.last_headers.get("latest-ledger", "")
        return int(value) if value.isascii() and value.isdigit() else None

    def _ledger_or_none(self, sequence: int | None) -> Ledger | None:
        """The ledger's close time, unless the node that is asked for it doesn't have it yet."""
        if sequence is None:
            return None
        try:
            return self.fetch_ledger(sequence)
        except SourceUnavailable:
            return None

    def _account_or_none(self, account: str) -> AccountState | None:
        try:
            return self.fetch_account(account)
        except SourceUnavailable:
            return None

    def _read(self, call: Callable[[], T]) -> T:
        """Make a read, again after a short while if the node didn't answer."""
        for tries_left in reversed(range(READ_TRIES)):
            try:
                return call()
            except NotFoundError as error:
                raise NotOnLedger(_describe(error)) from error
            except ContentSizeLimitExceededError as error:
                raise _PageTooLarge(_describe(error)) from error
            except BadRequestError as error:
                if error.status != 429 or not tries_left:
                    raise SourceUnavailable(_describe(error)) from error
            except (BaseRequestError, ValueError, AttributeError) as error:
                # The last two: a body that is not JSON, or not the JSON that Horizon sends.
                if not tries_left:
                    raise SourceUnavailable(_describe(error)) from error
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 (jitter, not a secret)
        raise AssertionError("unreachable")


class _PageTooLarge(SourceUnavailable):
    pass


class _reading:
    """Turn whatever a malformed answer makes us raise into `SourceUnavailable`."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(
            error,
            KeyError | TypeError | ValueError | AttributeError | ArithmeticError | Unreadable,
        ):
            raise SourceUnavailable(f"{self.what} came malformed: {error!r}") from error


def _describe(error: Exception) -> str:
    """One short line about a failed call, without the page of text that came with it."""
    if isinstance(error, BaseHorizonError):
        return f"HTTP {error.status}: {error.title or 'no title'}"[:200]
    return f"{type(error).__name__}: {error}"[:200]


def _records(body: Mapping[str, Any]) -> list[Record]:
    with _reading("a page"):
        return [
            record if isinstance(record, Mapping) else {"not an object": record}
            for record in body["_embedded"]["records"]
        ]
    raise AssertionError("unreachable")


def _read_tokens(records: list[Record], *, is_full: bool) -> list[int | None]:
    """Each record's paging token, or None for a record that has no place.

    Raises `SourceUnavailable` for a full page in which the cursor could skip something.
    """
    tokens: list[int | None] = []
    for record in records:
        try:
            tokens.append(read_token(record))
        except Unreadable:
            tokens.append(None)
    placed = [token for token in tokens if token is not None]
    disordered = any(later <= before for before, later in pairwise(placed))
    if is_full and (disordered or not placed):
        raise SourceUnavailable("a full page of payments came out of order")
    return tokens


def _read_ledgers(tokens: list[int | None], records: list[Record]) -> tuple[Ledger, ...]:
    ledgers: dict[int, Ledger] = {}
    for token, record in zip(tokens, records, strict=True):
        with suppress(Unreadable):  # such a record is kept as unread; it just can't tell the time
            if token is not None:
                sequence = ledger_of_token(token)
                ledgers[sequence] = Ledger(sequence, read_time(record.get("created_at")))
    return tuple(ledgers[sequence] for sequence in sorted(ledgers))


def _read_balance_asset(line: Mapping[str, Any]) -> AssetName:
    if line["asset_type"] == "native":
        return stellar_asset_name("native")
    return stellar_asset_name(line["asset_code"], line["asset_issuer"])


def _read_outcome(body: Mapping[str, Any]) -> TransactionOutcome:
    with _reading("a transaction"):
        successful = body["successful"]
        if not isinstance(successful, bool):
            raise TypeError("successful is not a boolean")
        return TransactionOutcome(
            hash=str(body["hash"]),
            successful=successful,
            ledger=Ledger(int(body["ledger"]), read_time(body["created_at"])),
            codes=() if successful else decode_result(str(body.get("result_xdr", ""))),
        )
    raise AssertionError("unreachable")


def _refusal_codes(error: BadRequestError) -> tuple[str, ...] | None:
    """The result codes of a refused transaction; None if the answer isn't the network's."""
    extras = error.extras if isinstance(error.extras, dict) else {}
    codes = extras.get("result_codes")
    if isinstance(codes, dict) and isinstance(codes.get("transaction"), str):
        operations = codes.get("operations") or []
        inner = [code for code in operations if isinstance(code, str)]
        return tuple(name_code(code) for code in [codes["transaction"], *inner])
    if str(error.type or "").endswith("transaction_malformed"):
        return ("malformed",)
    return None
