"""Statements that are written out by hand, for what is asked in each request.

Django compiles a queryset anew each time, and PostgreSQL parses and plans the text anew; both take
longer than what most of them do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from kernel.instances import read_instance
from kernel.postgresql.base import DatabaseWrapper

_numbers = itertools.count(1)


class Statement:
    """One statement with at least one `%s`, which each connection prepares when it first needs it.

    `text` is as for a cursor's `execute`; the types of its values must be plain from where they
    stand.
    """

    def __init__(self, text: str) -> None:
        first, *others = text.split("%s")
        self._body = first + "".join(f"${n}{part}" for n, part in enumerate(others, start=1))
        self._values = f"({', '.join(['%s'] * len(others))})"

    def fetch(self, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Execute it, in the open transaction if there is one; the rows that it gives.

        One round trip, also the first time. Raises what the database raises, such as
        `IntegrityError`.
        """
        rows: list[tuple[Any, ...]] = self._execute(params).fetchall()
        return rows

    def execute(self, params: Sequence[Any]) -> int:
        """As `fetch`, for one that gives no rows; how many it wrote."""
        return int(self._execute(params).rowcount)

    def _execute(self, params: Sequence[Any]) -> Any:
        database = cast(DatabaseWrapper, connections[DEFAULT_DB_ALIAS])
        cursor = database.cursor_for_prepared()
        prepared = database.prepared_statements
        execute = prepared.get(self)
        if execute is not None:
            cursor.execute(execute, params)
        else:
            # Numbered, since what is left of one that failed keeps its name.
            name = f"landfall_{next(_numbers)}"
            execute = f"EXECUTE {name} {self._values}"
            cursor.execute(f"PREPARE {name} AS {self._body}; {execute}", params)
            prepared[self] = execute
        return cursor


def as_array(values: Iterable[object]) -> str:
    """The value of a parameter that is an array, of UUIDs for example: no element may hold what
    means something in PostgreSQL's arrays. psycopg2 would ask each element how it is written."""
    return "{" + ",".join(map(str, values)) + "}"


class Select:
    """A SELECT that is written out by hand, for what is asked in each request.

    In `text`, `{name}` stands for the columns of the table that it calls by that `name`: those of
    the model's `parts[name]`, or only some of them, `(model, field, ...)`; the others are then read
    if somebody asks for them. What else it selects comes after these. Names of fields are those in
    the database ("payout_id").
    """

    def __init__(
        self, text: str, parts: Mapping[str, type[models.Model] | tuple[Any, ...]]
    ) -> None:
        self._text = text
        self._parts = parts

    def fetch(self, params: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """For each row an instance of each of `parts`, or None where the row has none of it (LEFT
        JOIN), and then what else was selected."""
        statement, readers = self._ready
        for row in statement.fetch(params):
            start, found = 0, []
            for reader in readers:
                found.append(reader.read(row[start : start + reader.width]))
                start += reader.width
            yield (*found, *row[start:])

    @cached_property
    def _ready(self) -> tuple[Statement, list[_Reader]]:
        # Not at once: models are not loaded yet when the modules are.
        readers = {
            name: _Reader(*part) if isinstance(part, tuple) else _Reader(part)
            for name, part in self._parts.items()
        }
        columns = {name: reader.columns(name) for name, reader in readers.items()}
        return Statement(self._text.format(**columns)), list(readers.values())


class _Reader:
    """Makes instances of one model from the values of all or some of its columns."""

    def __init__(self, model: type[models.Model], *names: str) -> None:
        self._fields = [
            field
            for field in model._meta.concrete_fields
            if not names or field.primary_key or field.attname in names
        ]
        self._model = model
        self._names = [field.attname for field in self._fields]
        self._key = [field.primary_key for field in self._fields].index(True)
        self._converters = [
            (place, field.from_db_value)
            for place, field in enumerate(self._fields)
            if hasattr(field, "from_db_value")
        ]
        self.width = len(self._fields)

    def columns(self, table: str) -> str:
        quote = connection.ops.quote_name
        return ", ".join(f"{quote(table)}.{quote(str(field.column))}" for field in self._fields)

    def read(self, values: Sequence[Any]) -> models.Model | None:
        if values[self._key] is None:
            return None
        if self._converters:
            values = list(values)
            for place, convert in self._converters:
                values[place] = convert(values[place], None, connection)
        return read_instance(self._model, zip(self._names, values, strict=True))
