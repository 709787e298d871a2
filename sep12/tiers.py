"""Which type of customer a payment asks for: by role, asset, funding method and amount. Pure.

SEP-31, POST Transactions, "Customer Info Needed": "the Receiving Anchor requires additional KYC
information after `amount`"; SEP-12, "Type Specification".

For one role, asset and method the types of one kind (persons, organizations) are a ladder: a
payment asks for the highest whose `from_amount` it reaches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import zip_longest

from kernel.assets import AssetName
from sep1.assets import ReceivedAsset
from sep12.types import KINDS, CustomerType, CustomerTypes, customer_types


@dataclass(frozen=True)
class Step:
    """The payments that ask for one type: by one method, of `lowest` up to less than `below`.

    Amounts are in units of the Stellar asset. `lowest` is None on the lowest step, `below` on the
    highest.
    """

    customer_type: CustomerType
    funding_method: str
    lowest: Decimal | None
    below: Decimal | None


def ladders(
    role: str, asset: ReceivedAsset, funding_method: str
) -> dict[str, tuple[CustomerType, ...]]:
    """The types of that role for these payments, by kind, lowest first."""
    return _ladders(customer_types(), role, asset.name, funding_method)


@lru_cache(maxsize=256)
def _ladders(
    types: CustomerTypes, role: str, asset: AssetName, funding_method: str
) -> dict[str, tuple[CustomerType, ...]]:
    fitting = [
        one for one in types.values() if one.role == role and one.covers(asset, funding_method)
    ]
    fitting.sort(key=lambda one: one.from_amount)
    return {kind: tuple(one for one in fitting if one.kind == kind) for kind in KINDS}


def types_for(
    role: str, asset: ReceivedAsset, funding_method: str, amount: Decimal
) -> tuple[CustomerType, ...]:
    """The types, one of each kind at most, of which a payment's `role` must be accepted for one;
    () if nothing must be known of it."""
    steps_by_kind = ladders(role, asset, funding_method).values()
    return tuple(_highest(steps, amount) for steps in steps_by_kind if steps)


def _highest(steps: Sequence[CustomerType], amount: Decimal) -> CustomerType:
    # Below the lowest step too much is asked rather than nothing.
    return ([one for one in steps if one.from_amount <= amount] or steps[:1])[-1]


def choose_type(types: Sequence[CustomerType], registered: str) -> CustomerType | None:
    """The one of `types` for a customer last registered for the type `registered` ("": unknown).

    The kind is what counts: who was registered as an organization stays one in the other role and
    for larger amounts. Else the first; None of none.
    """
    known = customer_types().get(registered)
    same_kind = [one for one in types if known is not None and one.kind == known.kind]
    return next(iter([*same_kind, *types]), None)


def steps_of(role: str, asset: ReceivedAsset) -> Iterator[Step]:
    """All that payments in `asset`, within its limits, can ask of their senders or receivers."""
    for method in asset.funding_methods:
        for types in ladders(role, asset, method).values():
            for index, (one, higher) in enumerate(zip_longest(types, types[1:])):
                below = higher.from_amount if higher else None
                if _is_reached(one.from_amount, below, asset):
                    yield Step(one, method, one.from_amount if index else None, below)


def _is_reached(lowest: Decimal, below: Decimal | None, asset: ReceivedAsset) -> bool:
    smallest = max(lowest, asset.min_amount or Decimal(0))
    fits = asset.max_amount is None or smallest <= asset.max_amount
    return fits and (below is None or smallest < below)
