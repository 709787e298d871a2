"""Views over the present: offers, assets, the order book and payment paths."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from stellar_sdk import StrKey

from . import problems
from .assets import (
    NATIVE,
    amount_text,
    asset_fields,
    issuer_of,
    name_asset,
    parse_amount,
    parse_asset,
)
from .ledger import Ledger
from .listings import account_id, ledger_of, number
from .orderbook import best_first
from .pages import HAL, Item, Paging, answer_list, base_url, plain_page
from .paths import Found, find_strict_receive, find_strict_send
from .records import BASE, asset_record, clock, dump, offer_record
from .state import AUTHORIZED, MAINTAIN, Account, Offer, can_send

MAX_ASSETS = 15


def _offer_text(ledger: Ledger, offer: Offer) -> str:
    row = ledger.store.ledger(offer.modified)
    return dump(offer_record(offer, clock(row.closed_at if row else 0)))


def _list_offers(request: Request, seller: str | None) -> Response:
    ledger = ledger_of(request)
    selling = _optional_asset(request, "selling")
    buying = _optional_asset(request, "buying")

    def fetch(paging: Paging) -> Sequence[Item]:
        low, high = paging.window().bounds(0, 2**63 - 1)
        kept = [
            offer
            for offer in ledger.world.offers.values()
            if low < offer.id < high
            and seller in (None, offer.seller)
            and selling in (None, offer.selling)
            and buying in (None, offer.buying)
        ]
        kept.sort(key=lambda offer: offer.id, reverse=not paging.ascending)
        return [(str(o.id), _offer_text(ledger, o)) for o in kept[: paging.limit]]

    return answer_list(request, ledger, fetch)


async def offers(request: Request) -> Response:
    """List resting offers, by seller, selling or buying asset if asked."""
    seller = request.query_params.get("seller")
    if seller is not None and not StrKey.is_valid_ed25519_public_key(seller):
        raise problems.invalid_field("seller", "invalid address")
    return _list_offers(request, seller)


async def account_offers(request: Request) -> Response:
    """List an account's resting offers."""
    return _list_offers(request, account_id(request))


async def offer(request: Request) -> Response:
    """Show one resting offer."""
    ledger = ledger_of(request)
    found = ledger.world.offer(number(request, "id"))
    if found is None:
        raise problems.not_found()
    text = _offer_text(ledger, found)
    return Response(text.replace(BASE, base_url(request)), media_type=HAL)


@dataclass
class _Holdings:
    """Who holds an asset: per authority, the number of lines and the stroops on them."""

    held: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {
            "authorized": (0, 0),
            "authorized_to_maintain_liabilities": (0, 0),
            "unauthorized": (0, 0),
        }
    )

    def add(self, flags: int, balance: int) -> None:
        """Count one trust line."""
        name = "unauthorized"
        if flags & MAINTAIN:
            name = "authorized_to_maintain_liabilities"
        if flags & AUTHORIZED:
            name = "authorized"
        count, total = self.held[name]
        self.held[name] = (count + 1, total + balance)


def _holdings(accounts: Iterable[Account]) -> dict[str, _Holdings]:
    found: dict[str, _Holdings] = {}
    for account in accounts:
        for asset, line in account.lines.items():
            found.setdefault(asset, _Holdings()).add(line.flags, line.balance)
    return found


async def assets(request: Request) -> Response:
    """List the assets that anyone trusts, with who holds how much."""
    ledger = ledger_of(request)
    code = request.query_params.get("asset_code")
    issuer = request.query_params.get("asset_issuer")
    if issuer is not None and not StrKey.is_valid_ed25519_public_key(issuer):
        raise problems.invalid_field("asset_issuer", "invalid address")

    def fetch(paging: Paging) -> Sequence[Item]:
        items = []
        for asset, holdings in _holdings(ledger.world.accounts.values()).items():
            own_code, _, own_issuer = asset.partition(":")
            if code in (None, own_code) and issuer in (None, own_issuer):
                home = ledger.world.account(own_issuer)
                made = asset_record(asset, home, holdings.held)
                items.append((made["paging_token"], dump(made)))
        items.sort(reverse=not paging.ascending)
        if paging.cursor and paging.ascending:
            items = [item for item in items if item[0] > paging.cursor]
        elif paging.cursor:
            items = [item for item in items if item[0] < paging.cursor]
        return items[: paging.limit]

    return answer_list(request, ledger, fetch)


def _optional_asset(request: Request, prefix: str) -> str | None:
    """Read an asset given whole (``selling=CODE:ISSUER``) or in three fields; None if neither."""
    whole = request.query_params.get(prefix)
    if whole is not None:
        asset = parse_asset(whole)
        if asset is None:
            raise problems.invalid_field(prefix, "it must be native or CODE:ISSUER")
        return asset
    if f"{prefix}_asset_type" not in request.query_params:
        return None
    return _asset(request, f"{prefix}_")


def _asset(request: Request, prefix: str) -> str:
    """Read an asset given in three fields; 400 if they do not make one."""
    query = request.query_params
    kind = query.get(f"{prefix}asset_type", "")
    if kind == NATIVE:
        return NATIVE
    if kind not in ("credit_alphanum4", "credit_alphanum12"):
        raise problems.invalid_field(
            f"{prefix}asset_type", "it must be native, credit_alphanum4 or credit_alphanum12"
        )
    named = name_asset(query.get(f"{prefix}asset_code", ""), query.get(f"{prefix}asset_issuer", ""))
    asset = parse_asset(named)
    if asset is None or asset == NATIVE or asset_fields(asset)["asset_type"] != kind:
        raise problems.invalid_field(f"{prefix}asset_code", "the asset's fields do not fit")
    return asset


def _amount(request: Request, name: str) -> int:
    stroops = parse_amount(request.query_params.get(name, ""))
    if not stroops:
        raise problems.invalid_field(name, "it must be a positive amount of seven places at most")
    return stroops


async def order_book(request: Request) -> Response:
    """Show both sides of one pair, summed by price."""
    ledger = ledger_of(request)
    selling, buying = _asset(request, "selling_"), _asset(request, "buying_")
    asks = best_first(ledger.world, selling, buying)
    bids = best_first(ledger.world, buying, selling)
    body = {
        "bids": _levels((o.d, o.n, o.amount) for o in bids),
        "asks": _levels((o.n, o.d, o.amount) for o in asks),
        "base": asset_fields(selling),
        "counter": asset_fields(buying),
    }
    return Response(json.dumps(body), media_type=HAL)


def _levels(offers: Iterable[tuple[int, int, int]]) -> list[dict[str, object]]:
    totals: dict[tuple[int, int], int] = {}
    for n, d, amount in offers:
        totals[n, d] = totals.get((n, d), 0) + amount
    return [
        {
            "price_r": {"n": n, "d": d},
            "price": amount_text(n * 10_000_000 // d),
            "amount": amount_text(total),
        }
        for (n, d), total in totals.items()
    ]


def _asset_list(request: Request, name: str) -> set[str]:
    texts = request.query_params.get(name, "").split(",")
    if len(texts) > MAX_ASSETS:
        raise problems.invalid_field(name, f"list of assets exceeds {MAX_ASSETS}")
    found = {parse_asset(text) for text in texts}
    if None in found:
        raise problems.invalid_field(name, "each must be native or CODE:ISSUER")
    return {asset for asset in found if asset is not None}


def _account_or_assets(request: Request, side: str) -> str | None:
    """Return the account asked for, or None if a list of assets is; both or neither is an error."""
    account = request.query_params.get(f"{side}_account", "")
    listed = request.query_params.get(f"{side}_assets", "")
    if bool(account) == bool(listed):
        raise problems.bad_request(
            f"The request requires either a list of {side} assets or a {side} account, not both."
        )
    if account and not StrKey.is_valid_ed25519_public_key(account):
        raise problems.invalid_field(f"{side}_account", "invalid address")
    return account or None


def _held_by(ledger: Ledger, account: str) -> set[str]:
    found = ledger.world.account(account)
    return {NATIVE, *found.lines} if found else set()


async def strict_send(request: Request) -> Response:
    """Find what an amount of one asset would arrive as."""
    ledger = ledger_of(request)
    account = _account_or_assets(request, "destination")
    source, amount = _asset(request, "source_"), _amount(request, "source_amount")
    targets = _held_by(ledger, account) if account else _asset_list(request, "destination_assets")
    return _found(find_strict_send(ledger.world, source, amount, targets))


async def strict_receive(request: Request) -> Response:
    """Find what an exact amount of one asset would cost."""
    ledger = ledger_of(request)
    account = _account_or_assets(request, "source")
    target = _asset(request, "destination_")
    amount = _amount(request, "destination_amount")
    sources: dict[str, int | None]
    if account:
        held = _held_by(ledger, account)
        sources = {asset: can_send(ledger.world, account, asset) for asset in held}
        if issuer_of(target) == account:
            sources[target] = None  # an issuer sends its own asset without bound
    else:
        sources = dict.fromkeys(_asset_list(request, "source_assets"))
    return _found(find_strict_receive(ledger.world, sources, target, amount))


def _found(paths: list[Found]) -> Response:
    texts = [
        json.dumps(
            {
                **asset_fields(path.assets[0], "source_"),
                "source_amount": amount_text(path.source_amount),
                **asset_fields(path.assets[-1], "destination_"),
                "destination_amount": amount_text(path.destination_amount),
                "path": [asset_fields(asset) for asset in path.assets[1:-1]],
            }
        )
        for path in paths
    ]
    return Response(plain_page(texts), media_type=HAL)
