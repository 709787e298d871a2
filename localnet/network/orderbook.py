"""The order book: exact integer crossing of offers, in stroops.

Words: a resting offer sells *wheat* and asks *sheep* for it, ``n/d`` sheep a wheat. Each rounding
favours the side whose offer stays in the book, as on the real network, so that no sequence of
crossings can drain a resting offer below its price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .genesis import MAX_INT64
from .state import (
    AUTHORIZED,
    MAINTAIN,
    Books,
    Draft,
    Offer,
    all_offers_of,
    can_receive,
    can_send,
    move,
    promise,
)

NORMAL, STRICT_SEND, STRICT_RECEIVE = range(3)
MAX_CROSSINGS = 1000


class CrossedSelf(Exception):
    """The taker met an offer of its own."""


@dataclass(frozen=True)
class Claim:
    """One crossing, as seen from the resting offer."""

    offer: Offer
    sold: int
    bought: int


@dataclass(frozen=True)
class Limits:
    """How far a taker goes in one pair: the most sheep to send, the most wheat to receive."""

    send: int = MAX_INT64
    receive: int = MAX_INT64
    mode: int = NORMAL
    worst: tuple[int, int] | None = None  # sheep a wheat, at most (n, d)
    passive: bool = False

    def accepts(self, offer: Offer) -> bool:
        """Say whether the price is good enough; a passive taker leaves an equal price alone."""
        if self.worst is None:
            return True
        n, d = self.worst
        ours, theirs = n * offer.d, offer.n * d
        if self.passive or offer.passive:
            return theirs < ours
        return theirs <= ours


def _up(value: int, by: int) -> int:
    return -(-value // by)


def liabilities(offer: Offer) -> tuple[int, int]:
    """Return what an offer binds: (of what it sells, of what it buys; rounded up)."""
    return offer.amount, _up(offer.amount * offer.n, offer.d)


def exchange(
    offer: Offer, wheat: int, sheep_room: int, send: int, receive: int, mode: int
) -> tuple[int, int, bool]:
    """Return (wheat moved, sheep moved, whether the resting offer stays).

    ``wheat`` and ``sheep_room`` bound the resting side, ``send`` and ``receive`` the taker.
    """
    n, d = offer.n, offer.d
    resting = min(wheat * n, sheep_room * d)
    taking = min(send * d, receive * n)
    if resting > taking:
        if mode == STRICT_SEND:
            # All that was to be sent is sent; the rounding is the resting side's gain.
            return taking // n, min(send, sheep_room), True
        if n > d or mode == STRICT_RECEIVE:
            got = taking // n
            return got, _up(got * n, d), True  # the taker pays the rounding
        paid = taking // d
        return paid * d // n, paid, True
    if n > d:
        got = resting // n
        return got, got * n // d, False  # the offer goes away and bears the rounding
    paid = resting // d
    return _up(paid * d, n), paid, False


def best_first(books: Books, wheat: str, sheep: str) -> list[Offer]:
    """Return the offers that sell wheat for sheep, cheapest and then oldest first."""
    return sorted(books.offers_between(wheat, sheep).values(), key=lambda o: (o.price, o.id))


def release(draft: Draft, offer: Offer) -> None:
    """Free what a resting offer binds."""
    selling, buying = liabilities(offer)
    promise(draft, offer.seller, offer.selling, -selling, 0)
    promise(draft, offer.seller, offer.buying, 0, -buying)


def bind(draft: Draft, offer: Offer) -> None:
    """Bind what a resting offer promises."""
    selling, buying = liabilities(offer)
    promise(draft, offer.seller, offer.selling, selling, 0)
    promise(draft, offer.seller, offer.buying, 0, buying)


def remove_offer(draft: Draft, offer: Offer) -> None:
    """Take an offer out of the book, with its liabilities and its subentry."""
    release(draft, offer)
    draft.put_offer(offer.id, None)
    draft.change(offer.seller).offers -= 1


def drop_offers(draft: Draft, seller: str, asset: str) -> None:
    """Remove every offer of an account in an asset it may no longer trade."""
    for offer in list(all_offers_of(draft, seller, asset)):
        remove_offer(draft, offer)


def fitted(books: Books, offer: Offer) -> Offer:
    """Return the offer cut to what its owner can send and has room to receive."""
    room = can_receive(books, offer.seller, offer.buying)
    amount = min(
        offer.amount, can_send(books, offer.seller, offer.selling), room * offer.d // offer.n
    )
    if _up(amount * offer.n, offer.d) > room or amount * offer.n < offer.d:
        # Too small to be worth one stroop of the other asset: nothing is left to trade.
        amount = 0 if amount * offer.n < offer.d else amount - 1
    return replace(offer, amount=max(amount, 0))


def cross(
    draft: Draft, taker: str, wheat: str, sheep: str, limits: Limits, settle_taker: bool
) -> Iterator[Claim]:
    """Take offers that sell ``wheat`` for ``sheep`` until a limit is reached.

    Moves the resting side's balances, and the taker's too when ``settle_taker``. Raises
    ``CrossedSelf`` before an own offer would be taken.
    """
    send, receive = limits.send, limits.receive
    for count, offer in enumerate(best_first(draft, wheat, sheep)):
        if send <= 0 or receive <= 0 or not limits.accepts(offer) or count >= MAX_CROSSINGS:
            return
        if offer.seller == taker:
            raise CrossedSelf
        claim = _take(draft, offer, send, receive, limits.mode)
        if claim is None:
            return
        if settle_taker:
            move(draft, taker, sheep, -claim.bought)
            move(draft, taker, wheat, claim.sold)
        send -= claim.bought
        receive -= claim.sold
        yield claim


def _take(draft: Draft, offer: Offer, send: int, receive: int, mode: int) -> Claim | None:
    """Cross one offer; None when the rest is too small to move a stroop of both assets."""
    release(draft, offer)
    wheat = min(offer.amount, can_send(draft, offer.seller, offer.selling))
    room = can_receive(draft, offer.seller, offer.buying)
    sold, bought, stays = exchange(offer, wheat, room, send, receive, mode)
    sold = min(sold, wheat)
    if stays and (sold == 0 or bought == 0):
        bind(draft, offer)
        return None
    move(draft, offer.seller, offer.selling, -sold)
    move(draft, offer.seller, offer.buying, bought)
    rest = fitted(draft, replace(offer, amount=offer.amount - sold)) if stays else None
    if rest is not None and rest.amount > 0:
        draft.put_offer(offer.id, rest)
        bind(draft, rest)
    else:
        draft.put_offer(offer.id, None)
        draft.change(offer.seller).offers -= 1
    return Claim(offer, sold, bought)


def may_trade(flags: int) -> bool:
    """Say whether a trust line with these flags may keep resting offers."""
    return bool(flags & (AUTHORIZED | MAINTAIN))
