"""Prices and firm quotes."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from kernel.assets import AssetName
from kernel.errors import ApiError, BadRequest, NotFound
from kernel.instances import new_instance
from kernel.languages import Phrase
from kernel.money import format_amount
from kernel.rows import insert_rows
from sep1.assets import received_assets
from sep10.authentication import Caller
from sep10.models import SendingAnchor
from sep38.models import Quote, Rate
from sep38.pairs import Pair, find_pair
from sep38.pricing import Price, Terms, price_by_buy_amount, price_by_sell_amount
from sep38.rates import NoFreshRate, fresh_rate, fresh_rates
from sep38.serializers import PriceRequest, PricesRequest

logger = logging.getLogger(__name__)

_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def list_prices(
    request: PricesRequest, anchor: SendingAnchor | None = None
) -> list[tuple[Pair, Price]]:
    """What each pair asks for the amount (GET /prices); pairs that can't serve it, or not this
    sending anchor, are left out.

    If that leaves none, raises why: `NoFreshRate`, or the `BadRequest` of the asset or amount.
    """
    rates = fresh_rates(request.pairs)
    priced: list[tuple[Pair, Price]] = []
    obstacle: ApiError | None = None
    for pair in request.pairs:
        rate = rates.get(pair.names)
        if rate is None:
            logger.warning("no current rate of %s: it is not offered", pair)
            obstacle = NoFreshRate(pair)
            continue
        try:
            price = _price(request.of_pair(pair), rate, anchor)
        except BadRequest as error:
            obstacle = obstacle or error
        else:
            priced.append((pair, price))
    if obstacle is not None and not priced:
        raise obstacle
    return priced


def price_request(request: PriceRequest, anchor: SendingAnchor | None = None) -> Price:
    """The indicative price of GET /price. Raises `BadRequest` or `NoFreshRate`."""
    return _price(request, fresh_rate(request.pair), anchor)


def price_now(
    sell: AssetName, buy: AssetName, *, sell_amount: Decimal, delivery_method: str | None
) -> Price:
    """What `sell_amount` buys at the rate of this moment, whatever limits requests have.

    Raises `BadRequest` for what is no pair, no method of it, or too little; `NoFreshRate`.
    """
    pair = find_pair(sell, buy)
    if delivery_method and delivery_method not in pair.method_names:
        raise BadRequest(
            Phrase("{asset} can't be delivered by {method}", asset=str(buy), method=delivery_method)
        )
    terms = _terms(pair, fresh_rate(pair), delivery_method or "")
    return price_by_sell_amount(terms, sell_amount)


def create_quote(caller: Caller, request: PriceRequest, expire_after: datetime | None) -> Quote:
    """Give a firm quote (POST /quote). Raises `BadRequest` or `NoFreshRate`."""
    pair = request.pair
    now = timezone.now().replace(microsecond=0)
    if expire_after is not None and expire_after > now + pair.max_quote_lifetime:
        raise BadRequest(
            "expire_after must be at most "
            f"{int(pair.max_quote_lifetime.total_seconds())} seconds from now"
        )
    expires_at = now + pair.quote_lifetime
    rate = fresh_rate(pair)
    price = _price(request, rate, caller.sending_anchor)
    quote = new_instance(
        Quote,
        sending_anchor_id=caller.sending_anchor.pk,
        account=caller.account,
        sell_asset=str(pair.sell),
        sell_amount=price.sell_amount,
        buy_asset=str(pair.buy),
        buy_amount=price.buy_amount,
        price=format_amount(price.price),
        total_price=format_amount(price.total_price),
        fee=price.fee.as_json(),
        fee_total=price.fee.total,
        fee_asset=str(price.fee.asset),
        context=request.context,
        buy_delivery_method=request.buy_delivery_method,
        country_code=request.country_code,
        rate_id=rate.pk,
        expires_at=expires_at if expire_after is None else max(expires_at, expire_after),
    )
    insert_rows([quote])
    return quote


def get_owned_quote(caller: Caller, quote_id: object) -> Quote:
    """A quote of the caller's account, expired or not. One query, which admits the caller too.

    Raises `BadRequest` for what is not text, `NotFound` for an unknown or someone else's quote.
    """
    if not isinstance(quote_id, str):
        raise BadRequest("quote_id must be text")
    quote = None
    if _UUID.fullmatch(quote_id.lower()):
        anchor, quote = Quote.objects.read_owned(quote_id, caller.account)
        caller.admit(anchor)
    if quote is None:
        raise NotFound("There is no quote with this id")
    return quote


def parse_rate(text: str) -> Decimal:
    """Read a rate that an operator wrote, digit for digit. Raises `ValueError`."""
    if not _RATE.fullmatch(text) or Decimal(text) == 0:
        raise ValueError("must be a positive number in plain digits with up to 12 decimals")
    return Decimal(text)


def set_rate(sell: AssetName, buy: AssetName, rate: str, *, source: str = "operator") -> Rate:
    """Put a new rate of a pair in force. Raises `BadRequest`."""
    pair = find_pair(sell, buy)
    try:
        parsed = parse_rate(rate)
    except ValueError as error:
        raise BadRequest(f"rate {error}") from error
    return Rate.objects.create(
        sell_asset=str(pair.sell), buy_asset=str(pair.buy), rate=parsed, source=source
    )


def purge_expired_quotes(limit: int = 1000, batches: int = 100) -> int:
    """Delete quotes that expired over `settings.QUOTE_KEEP_DAYS` ago and that nothing points at;
    how many. The redeemed ones stay. At most `limit` a transaction, `batches` a call.
    """
    before = timezone.now() - timedelta(days=settings.QUOTE_KEEP_DAYS)
    deleted = 0
    for _ in range(batches):
        with transaction.atomic():
            expired = [quote.pk for quote in Quote.objects.lock_expired(before, limit)]
            redeemed = _pointed_at(expired)
            Quote.objects.filter(pk__in=redeemed).update(kept=True)
            count, _rows = Quote.objects.filter(pk__in=set(expired) - redeemed).delete()
        deleted += count
        if len(expired) < limit:
            break
    return deleted


def _pointed_at(quote_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Which of the quotes a row of any other table points at; who redeems them is not ours to
    know."""
    found: set[uuid.UUID] = set()
    for relation in Quote._meta.related_objects:
        rows = relation.related_model._default_manager.filter(
            **{f"{relation.field.name}__in": quote_ids}
        )
        found.update(rows.values_list(relation.field.attname, flat=True))
    return found


def _terms(pair: Pair, rate: Rate, method: str) -> Terms:
    return Terms(
        sell=pair.sell,
        buy=pair.buy,
        rate=rate.rate,
        spread_percent=pair.spread_percent,
        fees=pair.schedule_for(method),
    )


def _price(request: PriceRequest, rate: Rate, anchor: SendingAnchor | None) -> Price:
    """The price that `anchor`, if we know who asks, would pay. Raises `BadRequest`."""
    pair = request.pair
    if anchor is not None and not anchor.allows_asset(pair.names[0]):
        raise BadRequest("sell_asset names an asset that was not agreed with you")
    terms = _terms(pair, rate, request.buy_delivery_method)
    if request.sell_amount is not None:
        price = price_by_sell_amount(terms, request.sell_amount)
    else:
        assert request.buy_amount is not None
        price = price_by_buy_amount(terms, request.buy_amount)
    _check_limits(request, price, anchor)
    return price


def _check_limits(request: PriceRequest, price: Price, anchor: SendingAnchor | None) -> None:
    """SEP-31's min_amount and max_amount of the asset that we would receive, and what was agreed
    with the sending anchor."""
    named, of_what = "sell_amount", ""
    if request.sell_amount is None:
        named, of_what = "buy_amount", f" (it takes {format_amount(price.sell_amount)})"
    code = request.pair.sell.code
    asset = received_assets().get(request.pair.sell)
    if asset and asset.min_amount is not None and price.sell_amount < asset.min_amount:
        raise BadRequest(
            f"{named} is too small{of_what}: we take at least "
            f"{format_amount(asset.min_amount)} {code}"
        )
    if asset and asset.max_amount is not None and price.sell_amount > asset.max_amount:
        raise BadRequest(
            f"{named} is too large{of_what}: we take at most "
            f"{format_amount(asset.max_amount)} {code}"
        )
    agreed = anchor.max_transaction_amount if anchor else None
    if agreed is not None and price.sell_amount > agreed:
        raise BadRequest(
            f"{named} is too large{of_what}: at most {format_amount(agreed)} {code} was agreed "
            "with you"
        )
