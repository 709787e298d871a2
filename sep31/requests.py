"""POST /transactions: the request, read and held against what we offer."""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kernel.api import require_text
from kernel.assets import AssetName, parse_asset_name
from kernel.errors import BadRequest
from kernel.languages import ENGLISH, Phrase
from kernel.money import format_amount, parse_amount
from sep1.assets import ReceivedAsset, find_received_asset
from sep31.info import describe_fields

# Whom an id means that is none. Refused in its turn, like any other of an unknown customer.
_NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True)
class Request:
    """A well-formed POST /transactions; nothing in it was checked against our tables yet."""

    asset: ReceivedAsset
    amount: Decimal
    destination: AssetName | None
    quote_id: str | None
    customers: dict[str, uuid.UUID | None]  # the one named for each role
    funding_method: str
    refund_memo_type: str
    refund_memo: str
    lang: str
    fields: dict[str, str]
    is_muxed: bool = False


def read_request(data: dict[str, Any], language: str = ENGLISH) -> Request:
    """SEP-31, POST Transactions, Request Parameters. Raises `BadRequest` naming the field.

    `language` is the one asked for, by `lang` too.
    """
    require_text(data, "lang", max_length=10, required=False)
    code = require_text(data, "asset_code", max_length=12)
    issuer = require_text(data, "asset_issuer", max_length=56, required=False)
    asset = find_received_asset(str(code), issuer)
    if asset is None:
        raise BadRequest("asset_code and asset_issuer must name an asset listed in GET /info")
    if "amount" not in data:
        raise BadRequest(Phrase("{field} is required", field="amount"))
    amount = parse_amount(data["amount"], field="amount")
    _check_limits(amount, asset)
    memo_type, memo = _read_refund_memo(data)
    return Request(
        asset=asset,
        amount=amount,
        destination=_read_destination(data),
        quote_id=require_text(data, "quote_id", max_length=36, required=False),
        customers={
            "sender": _read_customer_id(data, "sender_id"),
            "receiver": _read_customer_id(data, "receiver_id"),
        },
        funding_method=_read_funding_method(data, asset),
        refund_memo_type=memo_type,
        refund_memo=memo,
        lang=language,
        fields=read_fields(data, asset, language),
        is_muxed=_read_account_type(data),
    )


def _check_limits(amount: Decimal, asset: ReceivedAsset) -> None:
    if asset.min_amount is not None and amount < asset.min_amount:
        raise BadRequest(
            Phrase(
                "{field} must be at least {amount}",
                field="amount",
                amount=format_amount(asset.min_amount),
            )
        )
    if asset.max_amount is not None and amount > asset.max_amount:
        raise BadRequest(
            Phrase(
                "{field} must be at most {amount}",
                field="amount",
                amount=format_amount(asset.max_amount),
            )
        )


def _read_destination(data: dict[str, Any]) -> AssetName | None:
    text = require_text(data, "destination_asset", max_length=80, required=False)
    if text is None:
        return None
    try:
        return parse_asset_name(text)
    except ValueError as error:
        raise BadRequest(
            Phrase("destination_asset is not valid: {reason}", reason=Phrase(str(error)))
        ) from error


def _read_customer_id(data: dict[str, Any], field: str) -> uuid.UUID | None:
    text = require_text(data, field, max_length=36, required=False)
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return _NOBODY


def _read_funding_method(data: dict[str, Any], asset: ReceivedAsset) -> str:
    method = require_text(data, "funding_method", max_length=40, required=False)
    if method is None:
        # Required since SEP-31 3.1; clients of 3.0 do not send it, and one choice is no choice.
        return asset.funding_methods[0]
    if method not in asset.funding_methods:
        raise BadRequest(
            Phrase(
                "{field} must be one of: {choices}",
                field="funding_method",
                choices=", ".join(asset.funding_methods),
            )
        )
    return method


def _read_account_type(data: dict[str, Any]) -> bool:
    """An extension: whether the memo is wanted inside the address (M...), as an id."""
    kind = require_text(data, "stellar_account_type", max_length=20, required=False)
    if kind not in (None, "account", "muxed"):
        raise BadRequest("stellar_account_type must be account or muxed")
    return kind == "muxed"


def _read_refund_memo(data: dict[str, Any]) -> tuple[str, str]:
    """(type, memo) with a hash in hex, as the ledger's memos are stored; ("", "") if absent."""
    memo = data.get("refund_memo")
    memo_type = require_text(data, "refund_memo_type", max_length=4, required=False)
    if memo in (None, "") and memo_type is None:
        return "", ""
    if memo in (None, "") or memo_type is None:
        raise BadRequest("refund_memo and refund_memo_type must be given together")
    if memo_type == "id":
        return "id", _read_id_memo(memo)
    text = require_text(data, "refund_memo", max_length=64)
    assert text is not None
    if memo_type == "text":
        if len(text.encode()) > 28:
            raise BadRequest("refund_memo of type text must be at most 28 bytes long")
        return "text", text
    if memo_type == "hash":
        return "hash", _read_hash_memo(text)
    raise BadRequest("refund_memo_type must be id, text or hash")


def _read_id_memo(memo: object) -> str:
    text = str(memo) if isinstance(memo, str | int) and not isinstance(memo, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 2**64):
        raise BadRequest("refund_memo of type id must be a whole number below 2^64")
    return str(int(text))


def _read_hash_memo(text: str) -> str:
    try:
        raw = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != 32:
        raise BadRequest("refund_memo of type hash must be 32 bytes in base64 or hex")
    return raw.hex()


def read_fields(
    data: dict[str, Any], asset: ReceivedAsset, language: str = ENGLISH
) -> dict[str, str]:
    """The deprecated `fields.transaction`: known names only, all required ones there.

    Raises `BadRequest`; for missing ones with SEP-31's `transaction_info_needed` body.
    """
    given = data.get("fields", {})
    given = {} if given is None else given
    values = given.get("transaction", {}) if isinstance(given, dict) else None
    if not isinstance(values, dict):
        raise BadRequest('fields must be an object like {"transaction": {"name": "value"}}')
    texts = {
        name: str(require_text(values, name, max_length=500))
        for name in values
        if name in asset.fields
    }
    missing = {
        name: about
        for name, about in asset.fields.items()
        if name not in texts and not about.get("optional", False)
    }
    if missing:
        wanted = {"transaction": describe_fields(missing, language)}
        raise BadRequest("transaction_info_needed", extra={"fields": wanted})
    for name, text in texts.items():
        choices = asset.fields[name].get("choices")
        if choices and text not in choices:
            raise BadRequest(
                Phrase(
                    "{field} must be one of: {choices}",
                    field=f"fields.transaction.{name}",
                    choices=", ".join(choices),
                )
            )
    return texts
