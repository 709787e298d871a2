"""Inserting rows where Django's own way does not tell, or costs more than the insert itself; and
deleting many.

`bulk_create` compiles each statement anew and, with `ignore_conflicts`, keeps to itself which rows
were there; `save` inside a savepoint costs two more round trips to get over a conflict.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from kernel.statements import Statement

# Each number of rows is a statement of its own, so only those of small numbers are worth keeping.
_FEW = 20


def insert_rows(rows: Sequence[models.Model], *, unless_there: bool = False) -> int:
    """Insert new rows of one model in one statement, in the open transaction if there is one.

    With `unless_there` a row that meets a unique constraint is left out, once whoever holds the
    other one has committed. Returns how many were inserted. Keys that the database gives are not
    read back. Raises what the database raises, such as `IntegrityError`.
    """
    if not rows:
        return 0
    text = _insert(type(rows[0]), len(rows), unless_there)
    with _execute(text, _values(rows), few=len(rows) <= _FEW) as cursor:
        return int(cursor.rowcount)


def insert_with_rows(row: models.Model, rows: Sequence[models.Model]) -> bool:
    """Insert `row`, and with it `rows` of one other model, in one statement; all or none of them.

    None, and False, if `row` meets a unique constraint: see `insert_rows`. One statement needs no
    transaction around it, so this is one round trip where two inserts take four.
    """
    if not rows:
        return insert_rows([row], unless_there=True) == 1
    text, values = _insert_both(type(row), type(rows[0]), len(rows)), _values([row])
    with _execute(text, values + _values(rows), few=len(rows) <= _FEW) as cursor:
        return bool(cursor.fetchone()[0])


def delete_in_batches(rows: models.QuerySet[Any], *, oldest: str, batch: int) -> int:
    """Delete `rows`, `batch` at a time in the order of the column `oldest`, each batch in a
    transaction of its own; how many."""
    total = 0
    while True:
        deleted, _ = rows.model._default_manager.filter(
            pk__in=rows.order_by(oldest).values("pk")[:batch]
        ).delete()
        total += deleted
        if deleted < batch:
            return total


@contextmanager
def _execute(text: str, values: list[Any], *, few: bool) -> Iterator[Any]:
    if few:
        with _statement(text).execute(values) as cursor:
            yield cursor
    else:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(text, values)
            yield cursor


@cache
def _statement(text: str) -> Statement:
    return Statement(text)


def _values(rows: Sequence[models.Model]) -> list[Any]:
    database = connections[DEFAULT_DB_ALIAS]  # itself: the proxy is looked through at each use
    columns = _columns(type(rows[0]))
    values = []
    for row in rows:
        for field, sets_itself, is_plain in columns:
            value = field.pre_save(row, add=True) if sets_itself else getattr(row, field.attname)
            if not (is_plain and type(value) in _PLAIN):
                value = field.get_db_prep_save(value, database)
            values.append(value)
    for row in rows:
        row._state.adding = False
        row._state.db = DEFAULT_DB_ALIAS
    return values


# Django leaves a value of these types as it is for a column of one of its simple fields, after
# many calls that find nothing to do.
_PLAIN = frozenset({type(None), str, int, bool, Decimal, datetime, uuid.UUID})
_SIMPLE = (
    *(models.CharField, models.TextField, models.IntegerField, models.BooleanField),
    *(models.DecimalField, models.DateTimeField, models.UUIDField),
)


@lru_cache(maxsize=64)
def _columns(model: type[models.Model]) -> list[tuple[models.Field[Any, Any], bool, bool]]:
    """Each field, whether it sets its value itself (`auto_now`), and whether it is a simple one."""
    return [
        (
            field,
            type(field).pre_save is not models.Field.pre_save,
            _is_simple(field.target_field if isinstance(field, models.ForeignKey) else field),
        )
        for field in _fields(model)
    ]


def _is_simple(field: models.Field[Any, Any]) -> bool:
    # Subclasses of others, such as those that seal, may do more.
    return isinstance(field, _SIMPLE) and type(field).__module__.startswith("django.db.models.")


@lru_cache(maxsize=64)
def _fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    return [
        field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)
    ]


# Only names of our own models stand in these statements; PostgreSQL gets the values apart.
@lru_cache(maxsize=256)
def _insert(model: type[models.Model], count: int, unless_there: bool) -> str:
    conflict = " ON CONFLICT DO NOTHING" if unless_there else ""
    return f"INSERT INTO {_target(model)} {_rows(model, count)}{conflict}"


@lru_cache(maxsize=256)
def _insert_both(first: type[models.Model], second: type[models.Model], count: int) -> str:
    rows = f"SELECT * FROM ({_rows(second, count)}) AS rows WHERE EXISTS (SELECT FROM first)"  # noqa: S608
    first_row = f"first AS ({_insert(first, 1, True)} RETURNING 1)"
    others = f"others AS (INSERT INTO {_target(second)} {rows})"
    return f"WITH {first_row}, {others} SELECT EXISTS (SELECT FROM first)"  # noqa: S608


def _target(model: type[models.Model]) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in _fields(model))
    return f"{quote(model._meta.db_table)} ({columns})"


def _rows(model: type[models.Model], count: int) -> str:
    # Types are spelt out, since an array that is empty, or a JSON document, would else be of none;
    # without their lengths, since a cast cuts off what a column would refuse.
    types = [re.sub(r"\([^)]*\)", "", str(field.db_type(connection))) for field in _fields(model)]
    row = ", ".join(f"%s::{name}" for name in types)
    return f"VALUES {', '.join([f'({row})'] * count)}"
