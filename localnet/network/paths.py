"""Path finding: which assets reach which, over how many hops, and for how much.

A breadth-first search over the order book's pairs, five intermediate assets at most. Amounts are
what crossing the offers would give now; nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from .orderbook import (
    STRICT_RECEIVE,
    STRICT_SEND,
    CrossedSelf,
    Limits,
    cross,
)
from .state import Draft, World

MAX_HOPS = 6  # five intermediate assets at most
MAX_BRANCHES = 2000
NOBODY = ""


@dataclass(frozen=True)
class Found:
    """One path: every asset from source to destination, and the amounts at its ends."""

    assets: tuple[str, ...]
    source_amount: int
    destination_amount: int


def _sold_for(world: World) -> dict[str, list[str]]:
    """Return, for each asset that offers ask for, what can be bought with it."""
    reachable: dict[str, list[str]] = {}
    for selling, buying in world.book:
        reachable.setdefault(buying, []).append(selling)
    return reachable


def _bought_with(world: World) -> dict[str, list[str]]:
    """Return, for each asset that offers sell, what it can be bought with."""
    reachable: dict[str, list[str]] = {}
    for selling, buying in world.book:
        reachable.setdefault(selling, []).append(buying)
    return reachable


def find_strict_send(world: World, source: str, amount: int, targets: set[str]) -> list[Found]:
    """Return for each target its best paths from ``amount`` of ``source``, most first."""
    found: list[Found] = []
    edges = _sold_for(world)
    level: list[tuple[tuple[str, ...], int]] = [((source,), amount)]
    for hop in range(MAX_HOPS + 1):
        found += [Found(p, amount, got) for p, got in level if p[-1] in targets]
        if hop < MAX_HOPS:
            level = _spread_forward(world, edges, level)
    return sorted(found, key=lambda f: (f.assets[-1], -f.destination_amount, len(f.assets)))


def _spread_forward(
    world: World, edges: dict[str, list[str]], level: list[tuple[tuple[str, ...], int]]
) -> list[tuple[tuple[str, ...], int]]:
    spread: list[tuple[tuple[str, ...], int]] = []
    for path, amount in level:
        for asset in edges.get(path[-1], []):
            if asset in path or len(spread) >= MAX_BRANCHES:
                continue
            got = quote_send(world, path[-1], asset, amount)
            if got:
                spread.append(((*path, asset), got))
    return spread


def find_strict_receive(
    world: World, sources: dict[str, int | None], target: str, amount: int
) -> list[Found]:
    """Return for each source (with its balance, or None) its paths to ``amount``, least first."""
    found: list[Found] = []
    edges = _bought_with(world)
    level: list[tuple[tuple[str, ...], int]] = [((target,), amount)]
    for hop in range(MAX_HOPS + 1):
        for path, cost in level:
            balance = sources.get(path[0], 0)
            if balance is None or cost <= balance:
                found.append(Found(path, cost, amount))
        if hop < MAX_HOPS:
            level = _spread_back(world, edges, level)
    return sorted(found, key=lambda f: (f.assets[0], f.source_amount, len(f.assets)))


def _spread_back(
    world: World, edges: dict[str, list[str]], level: list[tuple[tuple[str, ...], int]]
) -> list[tuple[tuple[str, ...], int]]:
    spread: list[tuple[tuple[str, ...], int]] = []
    for path, amount in level:
        for asset in edges.get(path[0], []):
            if asset in path or len(spread) >= MAX_BRANCHES:
                continue
            cost = quote_receive(world, asset, path[0], amount)
            if cost:
                spread.append(((asset, *path), cost))
    return spread


def quote_send(world: World, sheep: str, wheat: str, amount: int) -> int:
    """Return how much wheat ``amount`` of sheep buys now, or 0 if the book is too thin."""
    limits = Limits(send=amount, mode=STRICT_SEND)
    sent, got = _try(world, wheat, sheep, limits)
    return got if sent == amount else 0


def quote_receive(world: World, sheep: str, wheat: str, amount: int) -> int:
    """Return how much sheep ``amount`` of wheat costs now, or 0 if the book is too thin."""
    limits = Limits(receive=amount, mode=STRICT_RECEIVE)
    sent, got = _try(world, wheat, sheep, limits)
    return sent if got == amount else 0


def _try(world: World, wheat: str, sheep: str, limits: Limits) -> tuple[int, int]:
    """Cross on a draft that is thrown away, and return (sheep sent, wheat got)."""
    try:
        claims = list(cross(Draft(world), NOBODY, wheat, sheep, limits, settle_taker=False))
    except CrossedSelf:
        return 0, 0
    return sum(c.bought for c in claims), sum(c.sold for c in claims)
