"""Statements that are written out by hand, for what is asked in each request.

Django compiles a queryset anew each time, and PostgreSQL parses and plans the text anew; both take
longer than what most of them do.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

import psycopg2
from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from kernel.instances import read_instance
from kernel.postgresql.base import DatabaseWrapper

_numbers = itertools.count(1)


class Statement:
    """One statement with at least one `%s`, which each connection prepares when it first needs it.

    `text` is as for a cursor's `execute`, but each `%s` is text, wherever it stands: one of another
    type is cast (`%s::uuid`). Values are of the types that columns have, and lists of them;
    any other is a `TypeError`.
    """

    def __init__(self, text: str) -> None:
        first, *others = text.split("%s")
        # All in one parameter: dozens of them take psycopg2 longer to write, and PostgreSQL longer
        # to read, than most statements take.
        self._body = first + "".join(f"($1::text[])[{n}]{s}" for n, s in enumerate(others, 1))

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
        values = [_write_array(params)]
        execute = prepared.get(self)
        if execute is not None:
            cursor.execute(execute, values)
        else:
            # Numbered, since what is left of one that failed keeps its name.
            name = f"landfall_{next(_numbers)}"
            execute = f"EXECUTE {name} (%s)"
            cursor.execute(f"PREPARE {name} AS {self._body}; {execute}", values)
            prepared[self] = execute
        return cursor


def _write_array(values: Iterable[object]) -> str:
    return f"{{{','.join([_WRITERS.get(type(value), _write_other)(value) for value in values])}}}"


def _write_other(value: Any) -> str:
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    raise TypeError(f"a statement can't have a {type(value).__name__}")


def _write_text(value: str) -> str:
    # Of a subclass its text, and not what it says of itself.
    return '"' + str.replace(value, "\\", "\\\\").replace('"', '\\"') + '"'


def _write_bytes(value: bytes | memoryview) -> str:
    return f'"\\\\x{value.hex()}"'


# By type, a value as an element of PostgreSQL's arrays of text, to be cast to what it is.
# Those that are subclasses of others come first.
_WRITERS: dict[type, Callable[[Any], str]] = {
    str: _write_text,
    type(None): lambda value: "NULL",
    bool: lambda value: "t" if value else "f",
    int: int.__repr__,
    float: float.__repr__,
    Decimal: Decimal.__str__,
    uuid.UUID: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
    bytes: _write_bytes,
    memoryview: _write_bytes,
    psycopg2.Binary: lambda value: _write_bytes(value.adapted),
    list: lambda value: _write_text(_write_array(value)),
}


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
