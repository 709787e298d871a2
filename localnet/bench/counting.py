"""Counting the statements that code sends to the database."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

from django.db import connection


class CountedQueries:
    """Counts statements while it is entered. `count` stays afterwards."""

    def __init__(self) -> None:
        self.count = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(connection.execute_wrapper(self._count))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _count(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        return execute(sql, params, many, context)
