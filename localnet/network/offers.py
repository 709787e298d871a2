"""Offers: place, change, delete, and cross what the book already holds."""

from __future__ import annotations

from dataclasses import dataclass

from stellar_sdk import xdr

from .assets import NATIVE, account_xdr, asset_of, asset_xdr, is_valid, issuer_of
from .operations import Context
from .orderbook import (
    Claim,
    CrossedSelf,
    Limits,
    bind,
    cross,
    fitted,
    liabilities,
    remove_offer,
)
from .payments import claim_atom, note_trade
from .state import AUTHORIZED, Offer, can_receive, can_send


@dataclass(frozen=True)
class Wanted:
    """What an offer operation asks for, whichever of the three kinds it is.

    ``n/d`` is units of ``buying`` for one of ``selling``. ``buy`` is set when the amount is
    bounded by what is bought.
    """

    offer: int
    selling: str
    buying: str
    n: int
    d: int
    sell: int
    buy: int | None = None
    passive: bool = False

    @property
    def deletes(self) -> bool:
        """Whether the amount is zero."""
        return self.sell == 0 if self.buy is None else self.buy == 0


def wanted_sell(op: xdr.ManageSellOfferOp) -> Wanted:
    """Read a manage-sell-offer operation."""
    return Wanted(
        op.offer_id.int64,
        asset_of(op.selling),
        asset_of(op.buying),
        op.price.n.int32,
        op.price.d.int32,
        op.amount.int64,
    )


def wanted_passive(op: xdr.CreatePassiveSellOfferOp) -> Wanted:
    """Read a create-passive-sell-offer operation."""
    return Wanted(
        0,
        asset_of(op.selling),
        asset_of(op.buying),
        op.price.n.int32,
        op.price.d.int32,
        op.amount.int64,
        passive=True,
    )


def wanted_buy(op: xdr.ManageBuyOfferOp) -> Wanted:
    """Read a manage-buy-offer operation; its price is turned round (selling a unit bought)."""
    n, d, buy = op.price.n.int32, op.price.d.int32, op.buy_amount.int64
    return Wanted(
        op.offer_id.int64,
        asset_of(op.selling),
        asset_of(op.buying),
        d,
        n,
        buy * n // d if d > 0 and n > 0 else 0,
        buy=buy,
    )


def check_offer(ctx: Context, want: Wanted) -> None:
    """Refuse bad assets, prices, amounts and ids."""
    ctx.need(is_valid(want.selling) and is_valid(want.buying), "MALFORMED")
    ctx.need(want.selling != want.buying, "MALFORMED")
    ctx.need(want.n > 0 and want.d > 0 and want.sell >= 0, "MALFORMED")
    ctx.need(want.buy is None or want.buy >= 0, "MALFORMED")
    ctx.need(want.offer >= 0, "MALFORMED")
    if want.deletes:
        if want.passive:
            ctx.fail("MALFORMED")
        ctx.need(want.offer > 0, "MALFORMED" if want.passive else "NOT_FOUND")


def manage_offer(ctx: Context, want: Wanted) -> None:
    """Place, change or delete an offer; a better one in the book is taken first."""
    old = ctx.draft.offer(want.offer) if want.offer else None
    if want.offer and (old is None or old.seller != ctx.source):
        ctx.fail("NOT_FOUND")
    if not want.deletes:
        _need_trust(ctx, want)
    if old is not None:
        remove_offer(ctx.draft, old)
    if want.deletes:
        _answer(ctx, [], None, created=False)
        return
    _need_funds(ctx, want, new=old is None)
    claims = _take_from_book(ctx, want)
    rest = _rest(ctx, want, claims)
    if rest is not None:
        ctx.draft.put_offer(rest.id, rest)
        bind(ctx.draft, rest)
        ctx.owner().offers += 1
    _answer(ctx, claims, rest, created=old is None)


def _need_trust(ctx: Context, want: Wanted) -> None:
    owner = ctx.owner()
    for asset, side in ((want.selling, "SELL"), (want.buying, "BUY")):
        if asset == NATIVE or issuer_of(asset) == ctx.source:
            continue
        line = owner.lines.get(asset)
        if line is None:
            ctx.fail(f"{side}_NO_TRUST")
        if side == "SELL":
            ctx.need(line.balance > 0, "UNDERFUNDED")
        ctx.need(bool(line.flags & AUTHORIZED), f"{side}_NOT_AUTHORIZED")


def _need_funds(ctx: Context, want: Wanted, new: bool) -> None:
    """Refuse an offer that its owner could not honour whole."""
    owner = ctx.owner()
    if new:
        ctx.room_for_entry(owner)
    owner.offers += 1  # its own entry binds a reserve too; counted while we look
    whole = Offer(0, ctx.source, want.selling, want.buying, want.sell, want.n, want.d)
    selling, buying = liabilities(whole)
    funded = can_send(ctx.draft, ctx.source, want.selling) >= selling
    room = can_receive(ctx.draft, ctx.source, want.buying) >= buying
    owner.offers -= 1
    ctx.need(room, "LINE_FULL")
    ctx.need(funded, "UNDERFUNDED")


def _take_from_book(ctx: Context, want: Wanted) -> list[Claim]:
    send = min(want.sell, can_send(ctx.draft, ctx.source, want.selling))
    receive = can_receive(ctx.draft, ctx.source, want.buying)
    if want.buy is not None:
        receive = min(want.buy, receive)
        send = can_send(ctx.draft, ctx.source, want.selling)
    limits = Limits(send, receive, worst=(want.d, want.n), passive=want.passive)
    try:
        claims = list(
            cross(ctx.draft, ctx.source, want.buying, want.selling, limits, settle_taker=True)
        )
    except CrossedSelf:
        ctx.fail("CROSS_SELF")
    for claim in claims:
        note_trade(ctx, claim)
    return claims


def _rest(ctx: Context, want: Wanted, claims: list[Claim]) -> Offer | None:
    """Return what is left to rest in the book, or None."""
    amount = want.sell - sum(claim.bought for claim in claims)
    if want.buy is not None:
        left = want.buy - sum(claim.sold for claim in claims)
        amount = left * want.d // want.n
    if amount <= 0:
        return None
    key = want.offer
    if not key:
        ctx.draft.last_offer += 1
        key = ctx.draft.last_offer
    owner = ctx.owner()
    owner.offers += 1
    rest = fitted(
        ctx.draft,
        Offer(
            key,
            ctx.source,
            want.selling,
            want.buying,
            amount,
            want.n,
            want.d,
            want.passive,
            ctx.ledger,
        ),
    )
    owner.offers -= 1
    return rest if rest.amount > 0 else None


def _answer(ctx: Context, claims: list[Claim], rest: Offer | None, created: bool) -> None:
    effect = xdr.ManageOfferEffect
    if rest is None:
        body = xdr.ManageOfferSuccessResultOffer(effect.MANAGE_OFFER_DELETED)
    else:
        kind = effect.MANAGE_OFFER_CREATED if created else effect.MANAGE_OFFER_UPDATED
        body = xdr.ManageOfferSuccessResultOffer(kind, _offer_xdr(rest))
    atoms = [claim_atom(claim) for claim in claims]
    ctx.result["success"] = xdr.ManageOfferSuccessResult(atoms, body)


def _offer_xdr(offer: Offer) -> xdr.OfferEntry:
    return xdr.OfferEntry(
        account_xdr(offer.seller),
        xdr.Int64(offer.id),
        asset_xdr(offer.selling),
        asset_xdr(offer.buying),
        xdr.Int64(offer.amount),
        xdr.Price(xdr.Int32(offer.n), xdr.Int32(offer.d)),
        xdr.Uint32(1 if offer.passive else 0),
        xdr.OfferEntryExt(0),
    )
