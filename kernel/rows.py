"""Inserting rows where Django's own way does not tell, or costs more than the insert itself.

`bulk_create` compiles each statement anew and, with `ignore_conflicts`, keeps to itself which rows
were there; `save` inside a savepoint costs two more round trips to get over a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections, models


def insert_rows(rows: Sequence[models.Model], *, unless_there: bool = False) -> int:
    """Insert new rows of one model in one statement, in the open transaction if there is one.

    With `unless_there` a row that meets a unique constraint is left out, once whoever holds the
    other one has committed. Returns how many were inserted. Keys that the database gives are not
    read back. Raises what the database raises, such as `IntegrityError`.
    """
    if not rows:
        return 0
    model = type(rows[0])
    fields = _fields(model)
    database = connections[DEFAULT_DB_ALIAS]  # itself: the proxy is looked through at each use
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), database)
        for row in rows
        for field in fields
    ]
    with database.cursor() as cursor:
        cursor.execute(_statement(model, len(rows), unless_there), values)
        count = int(cursor.rowcount)
    for row in rows:
        row._state.adding = False
        row._state.db = DEFAULT_DB_ALIAS
    return count


@lru_cache(maxsize=64)
def _fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    return [
        field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)
    ]


@lru_cache(maxsize=256)
def _statement(model: type[models.Model], count: int, unless_there: bool) -> str:
    quote, fields = connection.ops.quote_name, _fields(model)
    columns = ", ".join(quote(str(field.column)) for field in fields)
    # Spelt out, since an array that is empty, or a JSON document, would else be of unknown type.
    row = ", ".join(f"%s::{field.db_type(connection)}" for field in fields)
    marks = ", ".join([f"({row})"] * count)
    conflict = " ON CONFLICT DO NOTHING" if unless_there else ""
    # Only names of our own models stand in it; PostgreSQL gets the values apart.
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES {marks}{conflict}"  # noqa: S608
