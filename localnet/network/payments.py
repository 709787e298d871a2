"""Payments: straight ones, and path payments that convert over the order book."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from stellar_sdk import xdr

from .assets import (
    NATIVE,
    account_xdr,
    amount_text,
    asset_fields,
    asset_of,
    asset_xdr,
    is_valid,
    issuer_of,
    unmux,
)
from .operations import Context, credit, debit
from .orderbook import STRICT_RECEIVE, STRICT_SEND, Claim, CrossedSelf, Limits, cross


def check_payment(ctx: Context, op: xdr.PaymentOp) -> None:
    """Refuse a bad asset and an amount that is not positive."""
    ctx.need(op.amount.int64 > 0 and is_valid(asset_of(op.asset)), "MALFORMED")


def payment(ctx: Context, op: xdr.PaymentOp) -> None:
    """Send an amount of one asset; an issuer mints by sending and burns by receiving."""
    target, asset, stroops = unmux(op.destination), asset_of(op.asset), op.amount.int64
    if ctx.draft.account(target) is None:
        ctx.fail("NO_DESTINATION")
    if target == ctx.source and asset == NATIVE:
        return  # the real network answers success without looking at the balance
    credit(ctx, target, asset, stroops)
    debit(ctx, ctx.source, asset, stroops)


def check_strict_receive(ctx: Context, op: xdr.PathPaymentStrictReceiveOp) -> None:
    """Refuse bad assets and amounts that are not positive."""
    ctx.need(op.dest_amount.int64 > 0 and op.send_max.int64 > 0, "MALFORMED")
    _check_assets(ctx, [op.send_asset, op.dest_asset, *op.path])


def check_strict_send(ctx: Context, op: xdr.PathPaymentStrictSendOp) -> None:
    """Refuse bad assets and amounts that are not positive."""
    ctx.need(op.send_amount.int64 > 0 and op.dest_min.int64 > 0, "MALFORMED")
    _check_assets(ctx, [op.send_asset, op.dest_asset, *op.path])


def _check_assets(ctx: Context, listed: Iterable[xdr.Asset]) -> None:
    ctx.need(all(is_valid(asset_of(asset)) for asset in listed), "MALFORMED")


def strict_receive(ctx: Context, op: xdr.PathPaymentStrictReceiveOp) -> None:
    """Deliver an exact amount; convert backwards from it to what the source must send."""
    target, amount = unmux(op.destination), op.dest_amount.int64
    assets = [asset_of(asset) for asset in (op.send_asset, *op.path, op.dest_asset)]
    _need_destination(ctx, target, assets)
    credit(ctx, target, assets[-1], amount)
    claims: list[Claim] = []
    for wheat, sheep in pairwise(reversed(assets)):
        hop = _convert(ctx, wheat, sheep, Limits(receive=amount, mode=STRICT_RECEIVE))
        if wheat != sheep:
            ctx.need(sum(claim.sold for claim in hop) == amount, "TOO_FEW_OFFERS")
            amount = sum(claim.bought for claim in hop)
        claims = hop + claims
    ctx.need(amount <= op.send_max.int64, "OVER_SENDMAX")
    debit(ctx, ctx.source, assets[0], amount)
    ctx.facts["source_amount"] = amount_text(amount)
    last = _last(target, assets[-1], op.dest_amount.int64)
    ctx.result["success"] = xdr.PathPaymentStrictReceiveResultSuccess(_atoms(claims), last)


def strict_send(ctx: Context, op: xdr.PathPaymentStrictSendOp) -> None:
    """Send an exact amount; convert forwards to what the destination gets."""
    target, amount = unmux(op.destination), op.send_amount.int64
    assets = [asset_of(asset) for asset in (op.send_asset, *op.path, op.dest_asset)]
    _need_destination(ctx, target, assets)
    debit(ctx, ctx.source, assets[0], amount)
    claims: list[Claim] = []
    for sheep, wheat in pairwise(assets):
        hop = _convert(ctx, wheat, sheep, Limits(send=amount, mode=STRICT_SEND))
        if wheat != sheep:
            ctx.need(sum(claim.bought for claim in hop) == amount, "TOO_FEW_OFFERS")
            amount = sum(claim.sold for claim in hop)
        claims += hop
    ctx.need(amount >= op.dest_min.int64, "UNDER_DESTMIN")
    credit(ctx, target, assets[-1], amount)
    ctx.facts["amount"] = amount_text(amount)
    last = _last(target, assets[-1], amount)
    ctx.result["success"] = xdr.PathPaymentStrictSendResultSuccess(_atoms(claims), last)


def _need_destination(ctx: Context, target: str, assets: list[str]) -> None:
    """Refuse an unknown destination, unless the issuer's own asset only comes home to it."""
    home = len(set(assets)) == 1 and issuer_of(assets[0]) == target
    ctx.need(home or ctx.draft.account(target) is not None, "NO_DESTINATION")
    # Without its account an issuer has nowhere to burn into here: refuse that corner plainly.
    ctx.need(ctx.draft.account(target) is not None, "NO_DESTINATION")


def _convert(ctx: Context, wheat: str, sheep: str, limits: Limits) -> list[Claim]:
    """Take offers for one hop and note the trades; nothing to do between equal assets."""
    if wheat == sheep:
        return []
    try:
        claims = list(cross(ctx.draft, ctx.source, wheat, sheep, limits, settle_taker=False))
    except CrossedSelf:
        ctx.fail("OFFER_CROSS_SELF")
    for claim in claims:
        note_trade(ctx, claim)
    return claims


def note_trade(ctx: Context, claim: Claim) -> None:
    """Note one crossing as a trade effect of the taker and of the maker."""
    offer = claim.offer
    sold = {**asset_fields(offer.selling, "sold_"), "sold_amount": amount_text(claim.sold)}
    bought = {
        **asset_fields(offer.buying, "bought_"),
        "bought_amount": amount_text(claim.bought),
    }
    theirs = {
        **asset_fields(offer.buying, "sold_"),
        "sold_amount": amount_text(claim.bought),
        **asset_fields(offer.selling, "bought_"),
        "bought_amount": amount_text(claim.sold),
    }
    offer_id = str(offer.id)
    ctx.effect("trade", ctx.source, seller=offer.seller, offer_id=offer_id, **theirs)
    ctx.effect("trade", offer.seller, seller=ctx.source, offer_id=offer_id, **sold, **bought)


def _last(target: str, asset: str, amount: int) -> xdr.SimplePaymentResult:
    return xdr.SimplePaymentResult(account_xdr(target), asset_xdr(asset), xdr.Int64(amount))


def _atoms(claims: list[Claim]) -> list[xdr.ClaimAtom]:
    return [claim_atom(claim) for claim in claims]


def claim_atom(claim: Claim) -> xdr.ClaimAtom:
    """Return the XDR of one crossing."""
    offer = claim.offer
    atom = xdr.ClaimOfferAtom(
        account_xdr(offer.seller),
        xdr.Int64(offer.id),
        asset_xdr(offer.selling),
        xdr.Int64(claim.sold),
        asset_xdr(offer.buying),
        xdr.Int64(claim.bought),
    )
    return xdr.ClaimAtom(xdr.ClaimAtomType.CLAIM_ATOM_TYPE_ORDER_BOOK, order_book=atom)
