"""Making instances of models for what each request reads and inserts.

A model's own `__init__` looks for each column's default, sets each through a descriptor and asks
who listens; nobody does here, and it takes five to ten times as long as making the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.base import ModelState

M = TypeVar("M", bound=models.Model)


def new_instance(model: type[M], **values: Any) -> M:
    """`model(**values)`, not in the database yet, with the defaults of what is not given.

    Names are those in the database ("payout_id"). Raises `TypeError` for one that is not there.
    """
    constant, made = _defaults(model)
    attributes = {**constant, **values}
    for name, make in made.items():
        if name not in values:
            attributes[name] = make()
    if len(attributes) > len(constant) + len(made):
        raise TypeError(f"{model.__name__} has other columns than {sorted(values)}")
    return _make(model, ModelState(), attributes)


def read_instance(model: type[models.Model], values: Iterable[tuple[str, Any]]) -> models.Model:
    """The row of `model` with these columns, by their names in the database, as `from_db` makes
    it: other columns are read if somebody asks for them."""
    state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    return _make(model, state, dict(values))


def _make(model: type[M], state: ModelState, attributes: dict[str, Any]) -> M:
    row = model.__new__(model)
    row.__dict__ = attributes
    row._state = state
    return row


@lru_cache(maxsize=64)
def _defaults(
    model: type[models.Model],
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Those that are always the same, and those that are made for each row, by column."""
    constant, made = {}, {}
    for field in model._meta.concrete_fields:
        if field.has_default() and callable(field.default):
            made[field.attname] = cast(Callable[[], Any], field.default)
        else:
            constant[field.attname] = field.get_default()
    return constant, made
