"""The backend that `DATABASES` names."""

from __future__ import annotations

import select
from typing import Any

import psycopg2
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Remembers what its connection has prepared (`kernel.statements`): statement -> what executes
    it there.

    Asks the socket, before it asks PostgreSQL, whether a kept connection is still good.

    PostgreSQL says nothing by itself between two statements of ours. When it ends a session, or
    ends itself, its last words or the end of the stream lie in the socket; so a silent socket is
    all that Django's `SELECT 1` would tell, at no cost to each request. A machine that vanished
    without a word is silent too, and `SELECT 1` would wait for it just as the request would.
    """

    prepared_statements: dict[Any, str]
    _socket: select.poll
    _kept_cursor: Any

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        self.prepared_statements, self._kept_cursor = {}, None
        self._socket = select.poll()
        self._socket.register(connection.fileno(), select.POLLIN)
        return connection

    def cursor_for_prepared(self) -> Any:
        """One cursor for all of them, since to make one takes as long as to use it. To be read
        before it is used again."""
        self.close_if_health_check_failed()
        if self.connection is None or self.queries_logged:  # what logs them is a cursor of its own
            return self.cursor()
        if self._kept_cursor is None:
            self._kept_cursor = self.cursor()
        return self._kept_cursor

    def is_usable(self) -> bool:
        if not self.errors_occurred and self.connection is not None and self._is_silent():
            return True
        return super().is_usable()

    def _is_silent(self) -> bool:
        try:
            # What psycopg2 closed may have left its number to another socket.
            return not self.connection.closed and not self._socket.poll(0)
        except (psycopg2.Error, OSError, ValueError):
            return False
