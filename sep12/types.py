"""Types of customers, from `[customer_types.*]` of the anchor's configuration.

SEP-12, "Type Specification": what a customer must tell depends on what they are there for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from kernel.errors import BadRequest
from sep12.sep9 import FIELDS, find_field


@dataclass(frozen=True)
class CustomerType:
    """What we must (`required`) and may (`optional`) know of customers of one type.

    Names are SEP-9's. `choices` narrows a field to some values. `of_others` are the fields that
    only other types list, and which say nothing about a customer as one of this type.
    """

    name: str
    description: str = ""
    role: str = ""  # "sender" or "receiver" of SEP-31, "" for either
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    of_others: frozenset[str] = frozenset()

    @property
    def listed(self) -> tuple[str, ...]:
        return self.required + self.optional

    def choices_of(self, field_name: str) -> tuple[str, ...]:
        return self.choices.get(field_name) or FIELDS[field_name].choices


def _field_names(type_name: str, names: list[str]) -> tuple[str, ...]:
    fields = {name: find_field(name) for name in names}
    unknown = [name for name, found in fields.items() if found is None]
    if unknown:
        raise ImproperlyConfigured(
            f"customer_types.{type_name} of the anchor's configuration names {unknown[0]!r}, "
            "which SEP-9 does not know"
        )
    return tuple(found.name for found in fields.values() if found is not None)


def _read_type(name: str, entry: dict[str, Any]) -> CustomerType:
    choices = entry.get("choices", {})
    return CustomerType(
        name=name,
        description=entry.get("description", ""),
        role=entry.get("role", ""),
        required=_field_names(name, entry.get("required", [])),
        optional=_field_names(name, entry.get("optional", [])),
        choices=dict(
            zip(_field_names(name, list(choices)), map(tuple, choices.values()), strict=True)
        ),
    )


@lru_cache(maxsize=1)
def customer_types() -> dict[str, CustomerType]:
    """All types by name, in the order of the configuration. Raises `ImproperlyConfigured`."""
    types = [
        _read_type(name, entry) for name, entry in settings.ANCHOR.get("customer_types", {}).items()
    ]
    everywhere = frozenset(name for one in types for name in one.listed)
    return {one.name: replace(one, of_others=everywhere - set(one.listed)) for one in types}


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
