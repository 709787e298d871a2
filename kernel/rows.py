"""Inserting rows where Django's own way does not tell, or costs more than the insert itself; and
deleting many.

`bulk_create` compiles each statement anew and, with `ignore_conflicts`, keeps to itself which rows
were there; `save` inside a savepoint costs two more round trips to get over a conflict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, models

from kernel.statements import Statement

# Each number of rows is a statement of its own, so only those of small numbers are worth keeping.
_FEW = 20


def insert_rows(rows: Sequence[models.Model], *, unless_there: bool = False) -> int:
    """Insert new rows of one model in one statement, in the open transaction if there is one.
    Not for values of megabytes, which `Statement` would have PostgreSQL read several times.

    With `unless_there` a row that meets a unique constraint is left out, once whoever holds the
    other one has committed. Returns how many were inserted. Keys that the database gives are not
    read back. Raises what the database raises, such as `IntegrityError`.
    """
    if not rows:
        return 0
    text = _insert(type(rows[0]), len(rows), unless_there)
    values = _values(rows)
    if len(rows) <= _FEW:
        return _statement(text).execute(values)
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return int(cursor.rowcount)


@dataclass(frozen=True)
class Condition:
    """A condition in SQL, and its values in the order of their `%s`."""

    text: str
    params: Sequence[Any]


@dataclass(frozen=True)
class Given:
    """A SELECT of one value, in one row or none, that decides on an insert: the row comes if there
    is one, with the value in `column`, whatever it has there itself. It ends with its WHERE."""

    column: str
    text: str
    params: Sequence[Any]

    def only_if(self, condition: Condition) -> Given:
        """The same, if `condition` holds too, which may name the tables of the SELECT."""
        text = f"{self.text} AND ({condition.text})"
        return Given(self.column, text, [*self.params, *condition.params])


def insert_with_rows(
    row: models.Model, rows: Sequence[models.Model], *, given: Given | None = None
) -> bool:
    """Insert `row`, and with it `rows` of one other model, in one statement; all or none of them.

    None, and False, if `row` meets a unique constraint (see `insert_rows`), or is not `given`; what
    `given` put into a column is read from there if somebody asks for it. One statement needs no
    transaction around it, so this is one round trip where two inserts take four.
    """
    values = _values([row])
    if given is not None:
        del values[_place(type(row), given.column)]
        values += given.params
    values += _values(rows) if rows else []
    text = _insert_both(
        type(row),
        type(rows[0]) if rows else None,
        len(rows),
        (given.column, given.text) if given else None,
    )
    if len(rows) <= _FEW:
        [(inserted,)] = _statement(text).fetch(values)
    else:
        with connection.cursor() as cursor:
            cursor.execute(text, values)
            (inserted,) = cursor.fetchone()
    if inserted and given is not None:
        del row.__dict__[given.column]
    return bool(inserted)


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


@cache
def _statement(text: str) -> Statement:
    return Statement(text)


def _values(rows: Sequence[models.Model]) -> list[Any]:
    """What PostgreSQL gets, row by row. The rows count as inserted from now on."""
    columns = _columns(type(rows[0]))
    values: list[Any] = []
    for row in rows:
        of_row = list(columns.read(row))
        for place, field in columns.set_themselves:
            of_row[place] = field.pre_save(row, add=True)
        for place, convert in columns.convert:
            of_row[place] = convert(of_row[place])
        values += of_row
        row._state.adding = False
        row._state.db = DEFAULT_DB_ALIAS
    return values


@dataclass(frozen=True)
class _Columns:
    """How the values of a model's columns are read from a row, and what becomes of some, each with
    its place."""

    read: Callable[[models.Model], tuple[Any, ...]]
    set_themselves: list[tuple[int, models.Field[Any, Any]]]  # `auto_now`
    convert: list[tuple[int, Callable[[Any], Any]]]


# Values of these go as they are, if they are of the type of their column. Django would make many
# calls that find nothing to do.
_SIMPLE = (
    *(models.CharField, models.TextField, models.IntegerField, models.BooleanField),
    *(models.DecimalField, models.DateTimeField, models.UUIDField),
)


@lru_cache(maxsize=64)
def _columns(model: type[models.Model]) -> _Columns:
    fields = _fields(model)
    return _Columns(
        read=attrgetter(*(field.attname for field in fields)),
        set_themselves=[
            (place, field) for place, field in enumerate(fields) if _sets_itself(field)
        ],
        convert=[
            (place, _converter(field))
            for place, field in enumerate(fields)
            if not _is_simple(field)
        ],
    )


def _sets_itself(field: models.Field[Any, Any]) -> bool:
    if isinstance(field, models.DateField):
        return field.auto_now or field.auto_now_add
    return type(field).pre_save is not models.Field.pre_save


def _is_simple(field: models.Field[Any, Any]) -> bool:
    if isinstance(field, models.ForeignKey):
        return _is_simple(field.target_field)
    # Subclasses of others, such as those that seal, may do more.
    return isinstance(field, _SIMPLE) and type(field).__module__.startswith("django.db.models.")


def _converter(field: models.Field[Any, Any]) -> Callable[[Any], Any]:
    if type(field) is not models.JSONField:
        return lambda value: field.get_db_prep_save(value, connection)
    encode = (field.encoder or json.JSONEncoder)().encode
    return lambda value: None if value is None else encode(value)


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
def _insert_both(
    first: type[models.Model],
    second: type[models.Model] | None,
    count: int,
    given: tuple[str, str] | None,
) -> str:
    insert = _insert_given(first, *given) if given else _insert(first, 1, True)
    parts = [f"first AS ({insert} RETURNING 1)"]
    if second is not None:
        rows = f"SELECT * FROM ({_rows(second, count)}) AS rows WHERE EXISTS (SELECT FROM first)"  # noqa: S608
        parts.append(f"others AS (INSERT INTO {_target(second)} {rows})")
    return f"WITH {', '.join(parts)} SELECT EXISTS (SELECT FROM first)"  # noqa: S608


def _insert_given(model: type[models.Model], column: str, text: str) -> str:
    values = [f"%s::{name}" for name in _types(model)]
    values[_place(model, column)] = "given.value"
    select = f"SELECT {', '.join(values)} FROM ({text}) AS given (value)"  # noqa: S608
    return f"INSERT INTO {_target(model)} {select} ON CONFLICT DO NOTHING"


def _place(model: type[models.Model], column: str) -> int:
    return [field.column for field in _fields(model)].index(column)


def _target(model: type[models.Model]) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in _fields(model))
    return f"{quote(model._meta.db_table)} ({columns})"


def _rows(model: type[models.Model], count: int) -> str:
    row = ", ".join(f"%s::{name}" for name in _types(model))
    return f"VALUES {', '.join([f'({row})'] * count)}"


def _types(model: type[models.Model]) -> list[str]:
    # Spelt out, since an array that is empty, or a JSON document, would else be of none; without
    # their lengths, since a cast cuts off what a column would refuse.
    return [re.sub(r"\([^)]*\)", "", str(field.db_type(connection))) for field in _fields(model)]
