"""Types of customers, from `[customer_types.*]` of the anchor's configuration.

SEP-12, "Type Specification": what a customer must tell depends on what they are there for.
Which type a payment asks for is in `sep12.tiers`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from kernel.assets import AssetName
from kernel.errors import BadRequest
from kernel.languages import read_words
from kernel.money import parse_amount
from sep12.sep9 import FIELDS, find_field

ROLES = ("sender", "receiver")
PERSON = "person"
KINDS = (PERSON, "organization")
KEYS = (
    "description",
    "role",
    "kind",
    "assets",
    "funding_methods",
    "from_amount",
    "required",
    "optional",
    "choices",
)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}", re.ASCII)  # as much as the tables hold


@dataclass(frozen=True)
class CustomerType:
    """What we must (`required`) and may (`optional`) know of customers of one type.

    Names are SEP-9's. `choices` narrows a field to some values. `of_others` are the fields that
    only other types list, and which say nothing about a customer as one of this type.

    `role` to `from_amount` say which payments ask for it: None is any asset, any method.
    """

    name: str
    description: str = ""
    role: str = ""  # "sender" or "receiver" of SEP-31, "" if no payment asks for it
    kind: str = PERSON  # or "organization"
    assets: tuple[str, ...] | None = None  # "USDC" or "USDC:G..."
    funding_methods: tuple[str, ...] | None = None
    from_amount: Decimal = Decimal(0)  # in units of the Stellar asset that is sent
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    of_others: frozenset[str] = frozenset()

    @property
    def listed(self) -> tuple[str, ...]:
        return self.required + self.optional

    def choices_of(self, field_name: str) -> tuple[str, ...]:
        return self.choices.get(field_name) or FIELDS[field_name].choices

    def covers(self, asset: AssetName, funding_method: str) -> bool:
        """Whether payments in that asset, paid out by that method, are of its concern."""
        of_asset = self.assets is None or bool(asset_spellings(asset) & set(self.assets))
        return of_asset and (self.funding_methods is None or funding_method in self.funding_methods)


def asset_spellings(asset: AssetName) -> set[str]:
    """How `assets` of a type may name an asset."""
    return {asset.code, f"{asset.code}:{asset.issuer}"}


def read_type(name: str, entry: object) -> CustomerType:
    """Read one `[customer_types.NAME]`.

    Raises `ImproperlyConfigured`, in plain words, for whatever could mean something else than its
    author thinks: a misspelt key is a requirement that nobody is held to.
    """
    if not _NAME.fullmatch(name):
        raise _fault(name, "a name has at most 60 letters, digits, dots, hyphens and underscores")
    if not isinstance(entry, Mapping):
        raise _fault(name, "a table of keys and values is expected")
    if unknown := sorted(set(entry) - set(KEYS)):
        raise _fault(name, f"{unknown[0]!r} is none of its keys, which are {', '.join(KEYS)}")
    required = _field_names(name, "required", entry)
    optional = _field_names(name, "optional", entry)
    if both := sorted(set(required) & set(optional)):
        raise _fault(name, f"{both[0]} is in required and in optional")
    return CustomerType(
        name=name,
        description=_words(name, "description", entry),
        role=_one_of(name, "role", entry, ROLES) if "role" in entry else "",
        kind=_one_of(name, "kind", entry, KINDS) if "kind" in entry else PERSON,
        assets=_names(name, "assets", entry) if "assets" in entry else None,
        funding_methods=(
            _names(name, "funding_methods", entry) if "funding_methods" in entry else None
        ),
        from_amount=_amount(name, entry["from_amount"]) if "from_amount" in entry else Decimal(0),
        required=required,
        optional=optional,
        choices=_choices(name, entry.get("choices", {}), {*required, *optional}),
    )


def _fault(type_name: str, words: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"customer_types.{type_name} of the anchor's configuration: {words}"
    )


def _words(type_name: str, key: str, entry: Mapping[str, Any]) -> str:
    try:
        return read_words(entry.get(key, ""))
    except ValueError as error:
        raise _fault(type_name, f"{key} {error}") from error


def _one_of(type_name: str, key: str, entry: Mapping[str, Any], allowed: tuple[str, ...]) -> str:
    value = entry[key]
    if value not in allowed:
        words = " or ".join(f'"{one}"' for one in allowed)
        raise _fault(type_name, f"{key} must be {words}, not {value!r}")
    return str(value)


def _names(type_name: str, key: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    names = entry.get(key, [])
    if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
        raise _fault(type_name, f"{key} must be a list of names in quotes")
    if len(set(names)) < len(names):
        raise _fault(type_name, f"{key} names something twice")
    return tuple(names)


def _field_names(type_name: str, key: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(_field_name(type_name, name) for name in _names(type_name, key, entry))
    if len(set(names)) < len(names):
        raise _fault(type_name, f"{key} names a field twice, under two of its names")
    return names


def _field_name(type_name: str, name: str) -> str:
    found = find_field(name)
    if found is None:
        raise _fault(type_name, f"{name!r} is no field that SEP-9 knows")
    if not found.stored:
        raise _fault(type_name, f"{name} may not be kept by anybody, so no one can have told it")
    return found.name


def _amount(type_name: str, value: object) -> Decimal:
    try:
        return parse_amount(value, field="from_amount")
    except BadRequest as error:
        raise _fault(type_name, f'{error}; write it in quotes, like "3000"') from error


def _choices(type_name: str, given: object, listed: set[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, Mapping):
        raise _fault(type_name, "choices must be a table of fields and their values")
    found = {}
    for name in given:
        known = FIELDS[_field_name(type_name, name)]
        if known.name not in listed:
            raise _fault(type_name, f"choices has {name}, which is neither required nor optional")
        if known.is_binary:
            raise _fault(type_name, f"choices has {name}, which is a file")
        values = _names(type_name, name, given)
        if not values:
            raise _fault(type_name, f"choices leaves no value for {name}")
        if strange := [one for one in values if known.choices and one not in known.choices]:
            words = ", ".join(known.choices)
            raise _fault(type_name, f"{strange[0]!r} is no choice for {name}; SEP-9 has {words}")
        found[known.name] = values
    return found


class CustomerTypes(dict[str, CustomerType]):
    """Types by name. Hashed by identity, for whoever remembers what follows from it."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@lru_cache(maxsize=1)
def customer_types() -> CustomerTypes:
    """All types by name, in the order of the configuration. Raises `ImproperlyConfigured`."""
    configured = settings.ANCHOR.get("customer_types", {})
    types = [read_type(name, entry) for name, entry in configured.items()]
    everywhere = frozenset(name for one in types for name in one.listed)
    return CustomerTypes(
        {one.name: replace(one, of_others=everywhere - set(one.listed)) for one in types}
    )


def get_customer_type(name: str) -> CustomerType:
    """The type of that name. Raises `BadRequest` (SEP-12, GET "Errors": 400)."""
    try:
        return customer_types()[name]
    except KeyError as error:
        raise BadRequest(
            f"unrecognized 'type' value: it must be one of {', '.join(customer_types())}"
        ) from error


def default_customer_type(remembered: str = "") -> CustomerType:
    """The type that is meant where a request names none: the one that the customer was last
    registered for, else the first of the configuration."""
    types = customer_types()
    return types.get(remembered) or next(iter(types.values()), CustomerType(""))


def allowed_choices(field_name: str, customer_type: CustomerType | None) -> tuple[str, ...]:
    """The values that `field_name` may have, () for any.

    Where a request names no type, what any type allows is allowed.
    """
    if customer_type is not None:
        return customer_type.choices_of(field_name)
    listing = [one for one in customer_types().values() if field_name in one.listed]
    each = [one.choices_of(field_name) for one in listing] or [FIELDS[field_name].choices]
    return tuple(dict.fromkeys(choice for one in each for choice in one)) if all(each) else ()
