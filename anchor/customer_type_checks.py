"""What is wrong with `[customer_types.*]`: a mistake there means that too little is asked, or that
a sending anchor is asked for what it can't give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import pairwise, permutations, product

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from kernel.money import format_amount
from payouts.rails.registry import rail_for
from sep1.assets import ReceivedAsset
from sep12.tiers import ladders, steps_of
from sep12.types import KEYS, ROLES, CustomerType, asset_spellings, customer_types, read_type


def check_types_read() -> Iterator[CheckMessage]:
    """Each type can be read."""
    configured = settings.ANCHOR.get("customer_types", {})
    if not isinstance(configured, dict):
        yield _wrong("customer_types of the anchor's configuration: tables of types are expected")
        return
    for name, entry in configured.items():
        try:
            read_type(name, entry)
        except ImproperlyConfigured as error:
            yield _wrong(str(error))


def _wrong(words: str) -> Error:
    return Error(
        f"{words}.",
        hint=f"Mend it in {settings.ANCHOR_CONFIG}. The keys of a type are {', '.join(KEYS)}; "
        "docs/configuration.md has what each of them may be.",
        id="landfall.E014",
    )


def check_types_asked(assets: Iterable[ReceivedAsset]) -> Iterator[CheckMessage]:
    """Every payment asks for exactly one type of each role and kind, and every type is asked for
    by some payment. The types must have been read without a fault."""
    known = tuple(assets)
    types = customer_types().values()
    for one in types:
        yield from _check_names(one, known)
    for asset in known:
        for role in ROLES:
            yield from _check_steps(role, asset)
    asked = {
        step.customer_type.name
        for asset, role in product(known, ROLES)
        for step in steps_of(role, asset)
    }
    for one in types:
        if one.role and one.name not in asked:
            yield _never_asked(one)
    yield from _check_choices()


def _check_names(one: CustomerType, assets: tuple[ReceivedAsset, ...]) -> Iterator[CheckMessage]:
    for key, words in (("role", one.role), ("description", one.description)):
        if not words:
            yield _wrong(
                f"customer_types.{one.name} of the anchor's configuration: {key} is required"
            )
    spellings = {spelling for asset in assets for spelling in asset_spellings(asset.name)}
    methods = {method for asset in assets for method in asset.funding_methods}
    for key, names, there in (
        ("assets", one.assets, spellings),
        ("funding_methods", one.funding_methods, methods),
    ):
        for name in sorted(set(names or ()) - there):
            yield Error(
                f"customer_types.{one.name} has {name} in {key}, which no [[assets]] entry has.",
                hint=f"Write it as in [[assets]] of {settings.ANCHOR_CONFIG}, or leave {key} out "
                f"for all; an asset is CODE or CODE:ISSUER.",
                id="landfall.E015",
            )


def _check_steps(role: str, asset: ReceivedAsset) -> Iterator[CheckMessage]:
    if not any(one.role == role for one in customer_types().values()):
        return  # nothing is asked of anyone in this role
    for method in asset.funding_methods:
        by_kind = ladders(role, asset, method)
        where = f"{role}s of {asset.name.code} paid out by {method}"
        if not any(by_kind.values()):
            yield _gap(f"No customer type is for {where}.")
        for kind, types in by_kind.items():
            start = types[0].from_amount if types else Decimal(0)
            if start > (asset.min_amount or 0):
                yield _gap(
                    f"No customer type is for {where} if the {kind} sends less than "
                    f"{format_amount(start)}."
                )
            yield from _check_ladder(types, where)


def _gap(words: str) -> Error:
    return Error(
        words,
        hint="Add a type, or let one cover more: without assets, funding_methods or from_amount it "
        "covers all. One that requires no fields says that nothing must be known.",
        id="landfall.E007",
    )


def _check_ladder(types: tuple[CustomerType, ...], where: str) -> Iterator[CheckMessage]:
    for lower, higher in pairwise(types):
        if lower.from_amount == higher.from_amount:
            yield Error(
                f"{lower.name} and {higher.name} are both for {where}, from the same amount.",
                hint="Give one of them another from_amount, kind, assets or funding_methods.",
                id="landfall.E016",
            )
        elif missing := sorted(set(lower.required) - set(higher.required)):
            yield Warning(
                f"{higher.name} does not require {', '.join(missing)}, which {lower.name} requires "
                f"for smaller amounts ({where}).",
                hint="Repeat in a type for larger amounts what the one for smaller amounts asks.",
                id="landfall.W002",
            )


def _never_asked(one: CustomerType) -> Error:
    return Error(
        f"No payment asks for customers of type {one.name}.",
        hint="Its from_amount may be above max_amount of its assets, or another type may take all "
        f"its payments. Mend or remove it in {settings.ANCHOR_CONFIG}.",
        id="landfall.E017",
    )


def _check_choices() -> Iterator[CheckMessage]:
    """A customer has one value of a field for all types, which is held against the choices of the
    type that it is PUT for."""
    for narrow, wide in permutations(customer_types().values(), 2):
        for name in sorted(narrow.choices.keys() & set(wide.listed)):
            if not wide.choices_of(name) or set(wide.choices_of(name)) - set(narrow.choices[name]):
                yield Warning(
                    f"{wide.name} takes more values of {name} than {narrow.name}, which has to "
                    "take those too where a customer is known as both.",
                    hint=f"Give customer_types.{wide.name}.choices the same values of {name}.",
                    id="landfall.W003",
                )


def check_rail_fields(asset: ReceivedAsset, method: str) -> Iterator[CheckMessage]:
    """Receiving clients are asked for what the rail of `method` needs, whatever the amount."""
    needed = rail_for(method).required_fields(method)
    types = [
        step.customer_type for step in steps_of("receiver", asset) if step.funding_method == method
    ]
    for one in types or [CustomerType("(none)")]:
        if missing := sorted(needed - set(one.required)):
            yield Error(
                f"The rail for {method} needs {', '.join(missing)}, which customers of type "
                f"{one.name} are not asked for.",
                hint=f"Add it to `required` of each receiver type for {method} in "
                f"{settings.ANCHOR_CONFIG}.",
                id="landfall.E012",
            )
