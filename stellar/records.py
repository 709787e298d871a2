"""Horizon's payment records, read into what they credited to one account. Pure.

Source: Horizon's `/accounts/:id/payments?join=transactions`. It lists payments from and to the
account; `read_payment` returns None for what credits nothing and raises `Unreadable` for what it
can't make out, so that the caller records it for an operator instead of dropping it.

Memos are kept so that each has exactly one spelling: ids as decimal text, text as its exact
UTF-8, hash and return in lower-case hex. A text memo whose bytes are not UTF-8, or hold the NUL
that PostgreSQL can't store, becomes the type "bytes" with the bytes in hex: nothing is lost, and
it can never equal a memo that we handed out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from kernel.assets import AssetName, stellar_asset_name
from kernel.money import MAX_STELLAR_AMOUNT

Record = Mapping[str, Any]

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,7})?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_MUXED_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
_ADDRESS = re.compile(r"[A-Z2-7]{56}", re.ASCII)
_MUXED_ADDRESS = re.compile(r"M[A-Z2-7]{68}", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9]{1,12}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_UINT64 = 2**64 - 1

_PAYMENTS = ("payment", "path_payment_strict_send", "path_payment_strict_receive")


class Unreadable(Exception):
    """A record that may have credited us but can't be read; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class IncomingPayment:
    """One operation that credited `account`. Field for field a `stellar.models.ReceivedPayment`.

    `amount` (7 decimals at most) and `asset` are what was delivered; `source_amount` and
    `source_asset` are what a path payment took from the payer.
    """

    operation_id: int
    account: str
    muxed_id: Decimal | None
    from_account: str
    from_muxed: str
    operation_type: str
    asset: AssetName
    amount: Decimal
    source_asset: AssetName | None
    source_amount: Decimal | None
    memo_type: str
    memo: str
    transaction_hash: str
    ledger: int
    closed_at: datetime


def read_token(record: Record) -> int:
    """The record's place in the ledger's order (its paging token). Raises `Unreadable`."""
    for key in ("paging_token", "id"):
        value = record.get(key)
        if isinstance(value, str) and _NUMBER.fullmatch(value) and int(value) < 2**63:
            return int(value)
    raise Unreadable("it has no paging token")


def ledger_of_token(token: int) -> int:
    """The ledger's sequence number, which an operation id carries in its upper half (SEP-35)."""
    return token >> 32


def needs_effects(record: Record, account: str) -> bool:
    """Whether the amount stands only in the operation's effects: a merge into `account`."""
    return record.get("type") == "account_merge" and record.get("into") == account


def read_payment(
    record: Record, account: str, effects: Sequence[Record] = ()
) -> IncomingPayment | None:
    """Read what `record` credited to `account`; None if nothing. Raises `Unreadable`.

    `effects` are those of the operation, for records that `needs_effects` names.
    """
    kind = record.get("type")
    if record.get("transaction_successful") is not True:
        if record.get("transaction_successful") is False:
            return None
        raise Unreadable("it doesn't say whether its transaction succeeded")
    if kind in _PAYMENTS:
        credit = _read_transfer(record, account)
    elif kind == "create_account":
        credit = _read_creation(record, account)
    elif kind == "account_merge":
        credit = _read_merge(record, account, effects)
    elif kind == "invoke_host_function":
        credit = _read_contract_call(record, account)
    else:
        raise Unreadable("its type is not one that this version knows")
    if credit is None or credit.amount == 0:
        return None
    token = read_token(record)
    memo_type, memo = _read_memo(record)
    return IncomingPayment(
        operation_id=token,
        account=account,
        muxed_id=credit.muxed_id,
        from_account=credit.from_account,
        from_muxed=credit.from_muxed,
        operation_type=str(kind),
        asset=credit.asset,
        amount=credit.amount,
        source_asset=credit.source_asset,
        source_amount=credit.source_amount,
        memo_type=memo_type,
        memo=memo,
        transaction_hash=_match(record, "transaction_hash", _HASH),
        ledger=ledger_of_token(token),
        closed_at=read_time(record.get("created_at")),
    )


@dataclass(frozen=True, slots=True)
class _Credit:
    from_account: str
    asset: AssetName
    amount: Decimal
    from_muxed: str = ""
    muxed_id: Decimal | None = None
    source_asset: AssetName | None = None
    source_amount: Decimal | None = None


_XLM = stellar_asset_name("native")


def _read_transfer(record: Record, account: str) -> _Credit | None:
    if _match(record, "to", _ADDRESS) != account:
        return None
    asset = _read_asset(record)
    is_path = record["type"] != "payment"
    source_asset = _read_asset(record, "source_") if is_path else None
    payer = _match(record, "from", _ADDRESS)
    if payer == account and source_asset in (None, asset):
        return None  # to ourselves: what it credits it has debited, so no money came in
    return _Credit(
        from_account=payer,
        from_muxed=_read_muxed(record, "from_muxed"),
        muxed_id=_read_muxed_id(record, "to_muxed_id"),
        asset=asset,
        amount=_read_amount(record, "amount"),
        source_asset=source_asset,
        source_amount=_read_amount(record, "source_amount") if is_path else None,
    )


def _read_creation(record: Record, account: str) -> _Credit | None:
    if _match(record, "account", _ADDRESS) != account:
        return None
    return _Credit(
        from_account=_match(record, "funder", _ADDRESS),
        from_muxed=_read_muxed(record, "funder_muxed"),
        asset=_XLM,
        amount=_read_amount(record, "starting_balance"),
    )


def _read_merge(record: Record, account: str, effects: Sequence[Record]) -> _Credit | None:
    if _match(record, "into", _ADDRESS) != account:
        return None
    amounts = [
        _read_amount(effect, "amount")
        for effect in effects
        if effect.get("type") == "account_credited" and effect.get("account") == account
    ]
    if len(amounts) != 1:
        raise Unreadable("its effects don't say what the merge credited")
    return _Credit(
        from_account=_match(record, "account", _ADDRESS),
        from_muxed=_read_muxed(record, "account_muxed"),
        muxed_id=_read_muxed_id(record, "into_muxed_id"),
        asset=_XLM,
        amount=amounts[0],
    )


def _read_contract_call(record: Record, account: str) -> _Credit | None:
    changes = record.get("asset_balance_changes") or []
    if not isinstance(changes, list) or not all(isinstance(item, Mapping) for item in changes):
        raise Unreadable("its asset_balance_changes are not a list of objects")
    credits = [
        item for item in changes if item.get("to") == account and item.get("from") != account
    ]
    if not credits:
        return None
    if len(credits) > 1:
        # A received payment is one operation, one asset, one amount; this is for a person.
        raise Unreadable("a contract call credited us more than once")
    change = credits[0]
    asset = _read_asset(change)
    return _Credit(
        # Minted by its issuer: nobody paid it but the issuer.
        from_account=_match(change, "from", _ADDRESS) if change.get("from") else asset.issuer,
        muxed_id=_read_muxed_id(change, "destination_muxed_id"),
        asset=asset,
        amount=_read_amount(change, "amount"),
    )


def _match(record: Record, key: str, pattern: re.Pattern[str]) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Unreadable(f"{key} is missing or malformed")
    return value


def _read_amount(record: Record, key: str) -> Decimal:
    amount = Decimal(_match(record, key, _AMOUNT))
    if amount > MAX_STELLAR_AMOUNT:
        raise Unreadable(f"{key} is more than the network can carry")
    return amount


def _read_asset(record: Record, prefix: str = "") -> AssetName:
    if record.get(f"{prefix}asset_type") == "native":
        return _XLM
    code = _match(record, f"{prefix}asset_code", _CODE)
    return stellar_asset_name(code, _match(record, f"{prefix}asset_issuer", _ADDRESS))


def _read_muxed(record: Record, key: str) -> str:
    return _match(record, key, _MUXED_ADDRESS) if record.get(key) else ""


def _read_muxed_id(record: Record, key: str) -> Decimal | None:
    value = record.get(key)
    if value is None or value == "":
        return None
    # Horizon writes it as a string; contract events as a number.
    text = str(value) if not isinstance(value, bool) else ""
    if not _MUXED_ID.fullmatch(text) or int(text) > _MAX_UINT64:
        raise Unreadable(f"{key} is malformed")
    return Decimal(text)


def _read_memo(record: Record) -> tuple[str, str]:
    transaction = record.get("transaction")
    if not isinstance(transaction, Mapping):
        raise Unreadable("its transaction, which holds the memo, is missing")
    kind = transaction.get("memo_type")
    if kind == "none":
        return "none", ""
    memo = transaction.get("memo", "")
    if not isinstance(memo, str):
        raise Unreadable("its memo is malformed")
    if kind == "id":
        if not _MUXED_ID.fullmatch(memo) or int(memo) > _MAX_UINT64:
            raise Unreadable("its id memo is malformed")
        return "id", str(int(memo))
    if kind == "text":
        # Horizon's `memo` replaces bytes that are not UTF-8; `memo_bytes` is exact.
        exact = transaction.get("memo_bytes")
        raw = memo.encode(errors="surrogatepass") if exact is None else _decode_base64(exact)
        return _read_text_memo(raw)
    if kind in ("hash", "return"):
        raw = _decode_base64(memo)
        if len(raw) != 32:
            raise Unreadable(f"its {kind} memo is malformed")
        return kind, raw.hex()
    raise Unreadable("the type of its memo is unknown")


def _read_text_memo(raw: bytes) -> tuple[str, str]:
    if len(raw) > 28:
        raise Unreadable("its text memo is too long")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "bytes", raw.hex()
    return ("bytes", raw.hex()) if "\x00" in text else ("text", text)


def _decode_base64(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True)  # type: ignore[arg-type]
    except (binascii.Error, TypeError, ValueError) as error:
        raise Unreadable("its memo is not base64") from error


def read_time(value: object) -> datetime:
    """Read Horizon's time ("2026-11-23T01:02:03Z"). Raises `Unreadable`."""
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise Unreadable("its time is malformed") from error
    if moment.tzinfo is None:
        raise Unreadable("its time has no time zone")
    return moment
