"""The world of the network: accounts with their trust lines, and offers.

``World`` is the committed state. A ``Draft`` lies over it (or over another draft): it copies what
it is asked to change, so that a transaction and each of its operations commits whole or not at
all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any

from .assets import NATIVE, issuer_of
from .genesis import BASE_RESERVE, MAX_INT64

AUTH_REQUIRED, AUTH_REVOCABLE, AUTH_IMMUTABLE, AUTH_CLAWBACK = 1, 2, 4, 8
AUTHORIZED, MAINTAIN, CLAWBACK = 1, 2, 4


@dataclass(frozen=True)
class Line:
    """One trust line. Amounts in stroops; flags are AUTHORIZED, MAINTAIN and CLAWBACK."""

    limit: int
    flags: int
    balance: int = 0
    selling: int = 0
    buying: int = 0
    modified: int = 0


@dataclass(frozen=True)
class Offer:
    """A resting offer: ``amount`` of ``selling`` at ``n/d`` of ``buying`` a unit."""

    id: int
    seller: str
    selling: str
    buying: str
    amount: int
    n: int
    d: int
    passive: bool = False
    modified: int = 0

    @property
    def price(self) -> Fraction:
        """Units of ``buying`` asked for one of ``selling``."""
        return Fraction(self.n, self.d)


@dataclass
class Account:
    """One account. Thresholds are (master weight, low, medium, high)."""

    id: str
    balance: int
    sequence: int
    flags: int = 0
    home_domain: str = ""
    inflation: str = ""
    thresholds: tuple[int, int, int, int] = (1, 0, 0, 0)
    signers: dict[str, int] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    offers: int = 0
    selling: int = 0
    buying: int = 0
    sequence_ledger: int = 0
    sequence_time: int = 0
    modified: int = 0

    @property
    def subentries(self) -> int:
        """Everything that each keeps one base reserve bound."""
        return len(self.lines) + len(self.signers) + len(self.data) + self.offers

    @property
    def reserve(self) -> int:
        """Stroops that may not be spent."""
        return (2 + self.subentries) * BASE_RESERVE

    @property
    def spendable(self) -> int:
        """Lumens free to leave: neither reserve nor promised to the account's own offers."""
        return self.balance - self.reserve - self.selling

    def copy(self) -> Account:
        """Return a copy whose collections are its own (lines are immutable)."""
        return replace(
            self, signers=dict(self.signers), data=dict(self.data), lines=dict(self.lines)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the account as plain JSON values, for the store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Account:
        """Build an account from what ``to_dict`` wrote."""
        lines = {asset: Line(**line) for asset, line in body["lines"].items()}
        low, *rest = body["thresholds"]
        thresholds = (low, rest[0], rest[1], rest[2])
        return cls(**{**body, "lines": lines, "thresholds": thresholds})


class World:
    """The committed state, and the book's index of offers by (selling, buying)."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.offers: dict[int, Offer] = {}
        self.book: dict[tuple[str, str], set[int]] = {}
        self.fee_pool = 0
        self.last_offer = 0
        self.changed_accounts: set[str] = set()
        self.changed_offers: set[int] = set()

    def account(self, account: str) -> Account | None:
        """Return an account for reading."""
        return self.accounts.get(account)

    def offer(self, offer: int) -> Offer | None:
        """Return an offer."""
        return self.offers.get(offer)

    def offers_between(self, selling: str, buying: str) -> dict[int, Offer]:
        """Return the offers of one side of one pair, unsorted."""
        return {key: self.offers[key] for key in self.book.get((selling, buying), ())}

    def put_account(self, account: str, value: Account | None) -> None:
        """Store or (None) delete an account, and note it for the next write."""
        self.changed_accounts.add(account)
        if value is None:
            self.accounts.pop(account, None)
        else:
            self.accounts[account] = value

    def put_offer(self, key: int, value: Offer | None) -> None:
        """Store or (None) delete an offer, keep the index, and note it for the next write."""
        self.changed_offers.add(key)
        old = self.offers.pop(key, None)
        if old is not None:
            pair = (old.selling, old.buying)
            self.book[pair].discard(key)
            if not self.book[pair]:
                del self.book[pair]
        if value is not None:
            self.offers[key] = value
            self.book.setdefault((value.selling, value.buying), set()).add(key)


class Draft:
    """Changes over a world or over another draft; nothing shows below until ``commit``."""

    def __init__(self, below: World | Draft) -> None:
        self.below = below
        self.accounts: dict[str, Account | None] = {}
        self.offers: dict[int, Offer | None] = {}
        self.fee_pool: int = below.fee_pool
        self.last_offer: int = below.last_offer

    def account(self, account: str) -> Account | None:
        """Return an account for reading only."""
        if account in self.accounts:
            return self.accounts[account]
        return self.below.account(account)

    def change(self, account: str) -> Account:
        """Return an existing account for writing."""
        if account not in self.accounts:
            found = self.below.account(account)
            assert found is not None, "the caller has checked that the account exists"
            self.accounts[account] = found.copy()
        mine = self.accounts[account]
        assert mine is not None, "the caller has checked that the account exists"
        return mine

    def put_account(self, account: str, value: Account | None) -> None:
        """Create, replace or (None) delete an account."""
        self.accounts[account] = value

    def offer(self, offer: int) -> Offer | None:
        """Return an offer."""
        if offer in self.offers:
            return self.offers[offer]
        return self.below.offer(offer)

    def put_offer(self, key: int, value: Offer | None) -> None:
        """Create, replace or (None) delete an offer."""
        self.offers[key] = value

    def offers_between(self, selling: str, buying: str) -> dict[int, Offer]:
        """Return the offers of one side of one pair, unsorted."""
        found = self.below.offers_between(selling, buying)
        for key, offer in self.offers.items():
            if offer is None:
                found.pop(key, None)
            elif (offer.selling, offer.buying) == (selling, buying):
                found[key] = offer
        return found

    def commit(self) -> None:
        """Move every change one level down."""
        for account, value in self.accounts.items():
            self.below.put_account(account, value)
        for key, offer in self.offers.items():
            self.below.put_offer(key, offer)
        self.below.fee_pool = self.fee_pool
        self.below.last_offer = self.last_offer


Books = World | Draft


def all_offers_of(books: Draft, seller: str, asset: str) -> Iterator[Offer]:
    """Yield an account's offers that sell or buy ``asset``."""
    merged: dict[int, Offer | None] = {}
    layers: list[Books] = [books]
    while isinstance(layers[-1], Draft):
        layers.append(layers[-1].below)
    for layer in reversed(layers):
        merged.update(layer.offers)
    for offer in merged.values():
        if offer is not None and offer.seller == seller and asset in (offer.selling, offer.buying):
            yield offer


def can_send(books: Books, account: str, asset: str) -> int:
    """Return how much of ``asset`` an account may part with (an issuer: without bound)."""
    holder = books.account(account)
    if holder is None:
        return 0
    if asset == NATIVE:
        return max(holder.spendable, 0)
    if issuer_of(asset) == account:
        return MAX_INT64
    line = holder.lines.get(asset)
    return max(line.balance - line.selling, 0) if line else 0


def can_receive(books: Books, account: str, asset: str) -> int:
    """Return how much of ``asset`` an account has room for (an issuer: without bound)."""
    holder = books.account(account)
    if holder is None:
        return 0
    if asset == NATIVE:
        return MAX_INT64 - holder.balance - holder.buying
    if issuer_of(asset) == account:
        return MAX_INT64
    line = holder.lines.get(asset)
    return max(line.limit - line.balance - line.buying, 0) if line else 0


def move(draft: Draft, account: str, asset: str, stroops: int) -> None:
    """Add ``stroops`` (or take them, if negative); an issuer's own asset has no balance."""
    if asset != NATIVE and issuer_of(asset) == account:
        return
    holder = draft.change(account)
    if asset == NATIVE:
        holder.balance += stroops
    else:
        line = holder.lines[asset]
        holder.lines[asset] = replace(line, balance=line.balance + stroops)


def promise(draft: Draft, account: str, asset: str, selling: int, buying: int) -> None:
    """Add to what an account's offers bind: selling and buying liabilities."""
    if asset != NATIVE and issuer_of(asset) == account:
        return
    holder = draft.change(account)
    if asset == NATIVE:
        holder.selling += selling
        holder.buying += buying
    else:
        line = holder.lines[asset]
        holder.lines[asset] = replace(
            line, selling=line.selling + selling, buying=line.buying + buying
        )
