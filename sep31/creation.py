"""POST /transactions: hold a request against what we know, and write the transaction."""

from __future__ import annotations

import secrets
import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from kernel.errors import BadRequest, NotFound
from kernel.instances import new_instance
from kernel.languages import Phrase
from kernel.money import format_amount
from kernel.rows import Condition, Given, insert_with_rows
from sep10.authentication import Caller
from sep10.models import SendingAnchor
from sep12.accepted import accepted_beyond_doubt
from sep12.cases import ask_for_decision
from sep12.dossiers import Dossier
from sep12.finding import read_owned_dossiers
from sep12.tiers import choose_type, types_for
from sep12.types import CustomerType
from sep31.amounts import split_one_to_one
from sep31.facts import customers_of
from sep31.machine import Reason, Status
from sep31.models import Event, Transaction
from sep31.requests import Request
from sep38.models import Quote
from sep38.services import get_owned_quote, price_now

MEMO_TRIES = 5
DAY = timedelta(days=1)


def create_transaction(caller: Caller, request: Request) -> Transaction:
    """Create a transaction (SEP-31, POST Transactions) and return it as it was written.

    Ready to be paid (`pending_sender`) if both customers are accepted; `pending_receiver`, with
    the memo kept back, while one is not registered yet or still being checked.

    Raises `BadRequest`, with SEP-31's `customer_info_needed` body where a customer named in the
    request lacks something.
    """
    now = timezone.now()
    row = _new_transaction(caller, request, now)
    if not _insert_at_once(caller, request, row):
        _insert_step_by_step(caller, request, row)
    return row


def _new_transaction(caller: Caller, request: Request, now: datetime) -> Transaction:
    """All of it that depends neither on the customers nor on what was agreed with the caller."""
    quote = _redeemable_quote(caller, request, now)
    row = new_instance(
        Transaction,
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
        started_at=now,
        updated_at=now,
    )
    _set_amounts(caller, row, request, quote)
    return row


def _start(row: Transaction, *, ready: bool) -> Event:
    """Give it the status that it begins with, of which this is the event."""
    now = row.started_at
    row.status = Status.PENDING_SENDER if ready else Status.PENDING_RECEIVER
    row.reason = Reason.CREATED_READY if ready else Reason.CREATED_CHECKING
    row.ready_at = now if ready else None
    # Checks that were outstanding are looked at soon; a payment wakes the rest.
    row.look_at = min(now + timedelta(minutes=10), row.deadline) if ready else now
    return new_instance(
        Event,
        transaction_id=row.pk,
        to_status=row.status,
        reason=row.reason,
        actor=row.account,
        at=now,
    )


def _insert_at_once(caller: Caller, request: Request, row: Transaction) -> bool:
    """Insert a transaction that is ready to be paid, if the database can tell that by itself, in
    the one statement that inserts it and admits the caller. Most are of this kind.

    False, and nothing was written, where there is anything to find out, to refuse or to lock.
    """
    conditions = [_may_send(request)]
    for role, customer_id in request.customers.items():
        types = _types_for(role, request)
        if customer_id is not None and types:
            conditions.append(accepted_beyond_doubt(customer_id, caller.account, types))
        elif customer_id is not None or types:
            return False
        _set_customer(row, role, customer_id, types[0] if types else None)
    created = _start(row, ready=True)
    row.memo = _new_memo(row.memo_type)

    def insert(given: Given) -> bool:
        for condition in conditions:
            given = given.only_if(condition)
        return insert_with_rows(row, [created], given=given)

    return caller.admission_to(insert)


def _insert_step_by_step(caller: Caller, request: Request, row: Transaction) -> None:
    """Read all that counts, refuse what has to be refused, and insert the rest."""
    dossiers = _read_customers(caller, request)
    anchor = caller.sending_anchor
    _check_may_send(anchor, request)
    row.sending_anchor_id = anchor.pk
    ready = _set_customers(row, dossiers, request)
    created = _start(row, ready=ready)
    if ready and anchor.max_daily_amount is None:
        _insert_with_memo(row, created)  # one statement: all of it or nothing
        return
    with transaction.atomic():
        _check_daily_limit(anchor, request, row.started_at)
        _insert_with_memo(row, created)
        if not ready:
            _ask_for_decisions(row)


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


def _may_send(request: Request) -> Condition:
    """That `_check_may_send` and `_check_daily_limit` would find nothing to refuse, the second
    because no limit was agreed. `anchor` is the sending anchor."""
    return Condition(
        """
        (cardinality(anchor.allowed_assets) = 0 OR %s = ANY (anchor.allowed_assets))
        AND (anchor.max_transaction_amount IS NULL OR anchor.max_transaction_amount >= %s::numeric)
        AND anchor.max_daily_amount IS NULL
        """,
        [str(request.asset.name), request.amount],
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
    if request.quote_id is None and not request.asset.quotes_required:
        return None
    quote = None
    if request.quote_id is not None and request.asset.quotes_supported:
        with suppress(NotFound):
            quote = get_owned_quote(caller, request.quote_id)
    # Before anything is said of the quote: what was not agreed at all, no other quote mends.
    _check_may_send(caller.sending_anchor, request)
    if request.quote_id is None:
        raise BadRequest("quote_id is required for this asset; see POST /quote (SEP-38)")
    if not request.asset.quotes_supported:
        raise BadRequest("quote_id can't be given for this asset; see GET /info")
    if quote is None:
        raise BadRequest("quote_id must be the id of a quote that you were given")
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


def _set_amounts(caller: Caller, row: Transaction, request: Request, quote: Quote | None) -> None:
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
    _check_may_send(caller.sending_anchor, request)  # nobody else has rates looked up
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
    named = {customer_id for customer_id in request.customers.values() if customer_id}
    return read_owned_dossiers(caller, named) if named else {}


def _set_customers(row: Transaction, dossiers: dict[uuid.UUID, Dossier], request: Request) -> bool:
    """Put the customers on the transaction; whether all that we must know is known."""
    ready = True
    for role, customer_id in request.customers.items():
        dossier = dossiers.get(customer_id) if customer_id else None
        if customer_id and dossier is None:
            raise BadRequest(
                Phrase(
                    "{field} must be the id of a customer that you registered", field=f"{role}_id"
                )
            )
        registered = dossier.customer.type if dossier else ""
        asked = choose_type(_types_for(role, request), registered)
        _set_customer(row, role, customer_id, asked)
        if asked is not None:
            ready = _is_accepted(dossier, asked) and ready
    return ready


def _set_customer(
    row: Transaction, role: str, customer_id: uuid.UUID | None, asked: CustomerType | None
) -> None:
    """`asked` is the SEP-12 type that the customer must be accepted for, if any. It stays the
    transaction's, so that a change of the configuration changes no agreement."""
    setattr(row, f"{role}_id", customer_id)
    setattr(row, f"{role}_type", asked.name if asked else "")


def _types_for(role: str, request: Request) -> tuple[CustomerType, ...]:
    return types_for(role, request.asset, request.funding_method, request.amount)


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
