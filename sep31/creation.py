"""POST /transactions: read the request, hold it against what we offer, write the transaction."""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from kernel.api import require_text
from kernel.assets import AssetName, parse_asset_name
from kernel.errors import BadRequest, NotFound
from kernel.instances import new_instance
from kernel.languages import ENGLISH, Phrase
from kernel.money import format_amount, parse_amount
from kernel.rows import insert_with_rows
from sep1.assets import ReceivedAsset, find_received_asset
from sep10.authentication import Caller
from sep10.models import SendingAnchor
from sep12.cases import ask_for_decision
from sep12.dossiers import Dossier
from sep12.finding import read_owned_dossiers
from sep12.models import Customer
from sep12.tiers import choose_type, types_for
from sep12.types import CustomerType
from sep31.amounts import split_one_to_one
from sep31.facts import customers_of
from sep31.info import describe_fields
from sep31.machine import Reason, Status
from sep31.models import Event, Transaction
from sep38.models import Quote
from sep38.services import get_owned_quote, price_now

MEMO_TRIES = 5
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Request:
    """A well-formed POST /transactions; nothing in it was checked against our tables yet."""

    asset: ReceivedAsset
    amount: Decimal
    destination: AssetName | None
    quote_id: str | None
    sender_id: str | None
    receiver_id: str | None
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
        sender_id=require_text(data, "sender_id", max_length=36, required=False),
        receiver_id=require_text(data, "receiver_id", max_length=36, required=False),
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


def create_transaction(caller: Caller, request: Request) -> Transaction:
    """Create a transaction (SEP-31, POST Transactions) and return it as it was written.

    Ready to be paid (`pending_sender`) if both customers are accepted; `pending_receiver`, with
    the memo kept back, while one is not registered yet or still being checked.

    Raises `BadRequest`, with SEP-31's `customer_info_needed` body where a customer named in the
    request lacks something.
    """
    now = timezone.now()
    customers = _read_customers(caller, request)
    _check_may_send(caller.sending_anchor, request)
    quote = _redeemable_quote(caller, request, now)
    row = new_instance(
        Transaction,
        sending_anchor_id=caller.sending_anchor.pk,
        account=caller.account,
        amount_in=request.amount,
        amount_in_asset=str(request.asset.name),
        quote_id=quote.pk if quote else None,
        funding_method=request.funding_method,
        fields=request.fields,
        lang=request.lang,
        refund_memo_type=request.refund_memo_type,
        refund_memo=request.refund_memo,
        stellar_account=settings.DISTRIBUTION_ACCOUNT,
        memo_type="id" if request.is_muxed else request.asset.memo_type,
        is_muxed=request.is_muxed,
        deadline=quote.expires_at
        if quote
        else now + timedelta(seconds=request.asset.payment_deadline_seconds),
        look_at=now,
        started_at=now,
        updated_at=now,
    )
    _set_amounts(row, request, quote)
    ready = _set_customers(row, customers, request)
    row.status = Status.PENDING_SENDER if ready else Status.PENDING_RECEIVER
    row.reason = Reason.CREATED_READY if ready else Reason.CREATED_CHECKING
    row.ready_at = now if ready else None
    # Checks that were outstanding are looked at soon; a payment wakes the rest.
    row.look_at = min(now + timedelta(minutes=10), row.deadline) if ready else now
    created = new_instance(
        Event,
        transaction_id=row.pk,
        to_status=row.status,
        reason=row.reason,
        actor=caller.account,
        at=now,
    )
    if ready and caller.sending_anchor.max_daily_amount is None:
        _insert_with_memo(row, created)  # one statement: all of it or nothing
        return row
    with transaction.atomic():
        _check_daily_limit(caller.sending_anchor, request, now)
        _insert_with_memo(row, created)
        if not ready:
            _ask_for_decisions(row)
    return row


def _ask_for_decisions(row: Transaction) -> None:
    """Who is `PROCESSING` may have been registered, and decided on, for other types only."""
    known = [(pk, kind) for pk, kind in customers_of(row) if pk is not None]
    for customer_id, kind in sorted(known):
        ask_for_decision(customer_id, kind)


def _check_may_send(anchor: SendingAnchor, request: Request) -> None:
    if not anchor.allows_asset(str(request.asset.name)):
        raise BadRequest("asset_code names an asset that was not agreed with you")
    limit = anchor.max_transaction_amount
    if limit is not None and request.amount > limit:
        raise BadRequest(
            Phrase(
                "amount must be at most {amount}, as agreed with you", amount=format_amount(limit)
            )
        )


def _check_daily_limit(anchor: SendingAnchor, request: Request, now: datetime) -> None:
    """The sum of a sliding day, expired transactions left out. Locks the sending anchor, so that
    two requests at once can't both fit under the limit."""
    if anchor.max_daily_amount is None:
        return
    SendingAnchor.objects.lock_for_limits(anchor.pk)
    spent = (
        Transaction.objects.filter(
            sending_anchor=anchor,
            amount_in_asset=str(request.asset.name),
            started_at__gt=now - DAY,
        )
        .exclude(status=Status.EXPIRED)
        .aggregate(total=Sum("amount_in"))["total"]
    ) or Decimal(0)
    left = max(anchor.max_daily_amount - spent, Decimal(0))
    if request.amount > left:
        raise BadRequest(
            Phrase(
                "amount is over the daily limit agreed with you; of the last 24 hours "
                "{amount} is left",
                amount=format_amount(left),
            )
        )


def _redeemable_quote(caller: Caller, request: Request, now: datetime) -> Quote | None:
    """The firm quote that the request redeems, which must say the same as the request."""
    if request.quote_id is None:
        if request.asset.quotes_required:
            raise BadRequest("quote_id is required for this asset; see POST /quote (SEP-38)")
        return None
    if not request.asset.quotes_supported:
        raise BadRequest("quote_id can't be given for this asset; see GET /info")
    try:
        quote = get_owned_quote(caller, request.quote_id)
    except NotFound as error:
        raise BadRequest("quote_id must be the id of a quote that you were given") from error
    if quote.expires_at <= now:
        raise BadRequest("quote_id names a quote that has expired")
    if quote.context != "sep31":
        raise BadRequest("quote_id names a quote that was not made for SEP-31")
    if quote.sell_asset != str(request.asset.name):
        raise BadRequest("asset_code and asset_issuer must be the quote's sell_asset")
    if quote.sell_amount != request.amount:
        raise BadRequest("amount must be the quote's sell_amount")
    if request.destination is not None and str(request.destination) != quote.buy_asset:
        raise BadRequest("destination_asset must be the quote's buy_asset")
    if quote.buy_delivery_method and quote.buy_delivery_method != request.funding_method:
        raise BadRequest("funding_method must be the quote's buy_delivery_method")
    return quote


def _set_amounts(row: Transaction, request: Request, quote: Quote | None) -> None:
    if quote is not None:
        row.amount_out, row.amount_out_asset = quote.buy_amount, quote.buy_asset
        row.amount_fee, row.fee_details = quote.fee_total, quote.fee
        row.amount_fee_asset = quote.fee_asset
        return
    destination = request.destination
    if destination is None or destination == request.asset.counterpart:
        amounts = split_one_to_one(request.amount, request.asset)
        row.amount_out, row.amount_out_asset = amounts.amount_out, str(request.asset.counterpart)
        row.amount_fee, row.fee_details = amounts.fee, amounts.fee_details
        row.amount_fee_asset = str(request.asset.name)
        return
    # Priced when the money arrives; asked for now only to refuse at once what we can't deliver,
    # and to tell what the fee will be in.
    try:
        price = price_now(
            request.asset.name,
            destination,
            sell_amount=request.amount,
            delivery_method=request.funding_method,
        )
    except BadRequest as error:
        raise BadRequest(
            Phrase("destination_asset can't be delivered: {reason}", reason=error.message)
        ) from error
    row.amount_out_asset, row.amount_fee_asset = str(destination), str(price.fee.asset)


def _read_customers(caller: Caller, request: Request) -> dict[uuid.UUID, Dossier]:
    """What we know of the customers named in the request, of those that are the caller's."""
    ids = set()
    for text in (request.sender_id, request.receiver_id):
        with suppress(ValueError):  # what is no id is told of in its turn
            ids |= {uuid.UUID(text)} if text else set()
    return read_owned_dossiers(caller, ids) if ids else {}


def _set_customers(row: Transaction, dossiers: dict[uuid.UUID, Dossier], request: Request) -> bool:
    """Put the customers on the transaction; whether all that we must know is known."""
    ids = {
        "sender": _read_id(request.sender_id, "sender_id"),
        "receiver": _read_id(request.receiver_id, "receiver_id"),
    }
    ready = True
    for role, customer_id in ids.items():
        dossier = dossiers.get(customer_id) if customer_id else None
        if customer_id and dossier is None:
            raise _unknown_customer(f"{role}_id")
        asked = _type_asked(role, request, dossier.customer if dossier else None)
        setattr(row, f"{role}_id", customer_id)
        setattr(row, f"{role}_type", asked.name if asked else "")
        if asked is not None:
            ready = _is_accepted(dossier, asked) and ready
    return ready


def _is_accepted(dossier: Dossier | None, asked: CustomerType) -> bool:
    """Whether the customer may take part. Raises `BadRequest` where the sending anchor has to
    mend something first, or can't."""
    if dossier is None:
        return False  # may be registered later (SEP-31, POST Transactions: "can be omitted")
    status = dossier.assess(asked).status
    if status == "NEEDS_INFO":
        raise BadRequest("customer_info_needed", extra={"type": asked.name})
    if status == "REJECTED":
        raise BadRequest(Phrase("We can't serve the customer given as {type}", type=asked.name))
    return status == "ACCEPTED"


def _type_asked(role: str, request: Request, customer: Customer | None) -> CustomerType | None:
    """The SEP-12 type that the customer must be accepted for, if any.

    It stays the transaction's, so that a change of the configuration changes no agreement.
    """
    types = types_for(role, request.asset, request.funding_method, request.amount)
    return choose_type(types, customer.type if customer else "")


def _read_id(customer_id: str | None, field: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(customer_id) if customer_id else None
    except ValueError as error:
        raise _unknown_customer(field) from error


def _unknown_customer(field: str) -> BadRequest:
    return BadRequest(
        Phrase("{field} must be the id of a customer that you registered", field=field)
    )


def _insert_with_memo(row: Transaction, event: Event) -> None:
    """Insert both under a memo that was never used; the unique constraints are the referees."""
    for _ in range(MEMO_TRIES):
        row.memo = _new_memo(row.memo_type)
        if insert_with_rows(row, [event]):
            return
        if row.quote_id and Transaction.objects.filter(quote=row.quote_id).exists():
            raise BadRequest("quote_id names a quote that was already used")
    raise RuntimeError("no free memo found")


def _new_memo(memo_type: str) -> str:
    """A random memo, so that nobody can guess that of another transaction. 63 bits, because some
    wallets read an id as a signed number."""
    if memo_type == "hash":
        return secrets.token_hex(32)
    if memo_type == "text":
        return secrets.token_urlsafe(20)[:28]
    return str(secrets.randbelow(2**63 - 1) + 1)
