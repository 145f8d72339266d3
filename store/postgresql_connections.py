"""Connections to a PostgreSQL server: taken for one transaction and given back, so that a process needs few.

Nothing here needs a session: settings live in the transaction (`SET LOCAL`) and so do locks, so that a pooler such as
PgBouncer may stand in between.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import pq

from torchglass.errors import StoreError
from torchglass.store.location import ServerLocation

LOCK_SECONDS = 30.0  # as long as a writer queues for a SQLite file
SHORTEST_CONNECTING_SECONDS = 2  # the driver's own
ABANDONED_SECONDS = 60  # a process that is stopped inside a transaction must not hold up the others for ever
MOST_IDLE = 4  # connections kept by a process; a server has a hundred for everybody

_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "fallback_application_name": "torchglass",
}
Connection = psycopg.Connection[Any]


class Idle:
    """Connections of one process that no transaction uses now."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.connections: deque[Connection] = deque()  # no lock, which a fork might find taken

    def close(self) -> None:
        """Close them, unless they are the parent's."""
        with suppress(IndexError):
            while self.pid == os.getpid():
                self.connections.pop().close()


# A page opens a store for each of its requests: its readers leave connections for each other, by what they connect to.
_left_by_readers: dict[tuple[Any, ...], Idle] = {}


class Connections:
    """Those of one store; after a fork the child connects anew and leaves the parent's alone."""

    def __init__(self, location: ServerLocation, *, read_only: bool) -> None:
        _refuse_unknown_parameters(location)
        self._location = location
        self._read_only = read_only
        self._of_parents: list[Idle] = []  # kept, so that nobody closes what the parent uses
        self._idle = self._find_idle()
        self.wait_seconds = LOCK_SECONDS

    def close(self) -> None:
        """Close those that no transaction uses; a reader leaves its own to the next one."""
        if not self._read_only:
            self._own().close()

    def connect(self) -> Connection:
        """Open one more."""
        defaults = dict(_DEFAULTS)
        if self.wait_seconds < LOCK_SECONDS:
            defaults["connect_timeout"] = str(max(SHORTEST_CONNECTING_SECONDS, int(self.wait_seconds)))
        defaults["connect_timeout"] = os.environ.get("PGCONNECT_TIMEOUT", defaults["connect_timeout"])
        # Prepared statements would outlive the transaction.
        return psycopg.connect(
            **{**defaults, **self._location.parameters, "client_encoding": "UTF8"},  # type: ignore[arg-type]
            autocommit=True,
            prepare_threshold=None,
        )

    @contextmanager
    def begun(self, mode: str, query: str = "SELECT 0") -> Iterator[tuple[Connection, Any]]:
        """Begin a transaction and answer a query in it, all in one message; whoever uses it ends it.

        A connection that broke while it was idle is replaced without a word.
        """
        idle = self._own()
        connection, row = self._first_answer(idle, f"BEGIN {mode}; {self._settings()}; {query}".encode())
        try:
            yield connection, row
        except BaseException:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        finally:
            has_ended = connection.info.transaction_status == pq.TransactionStatus.IDLE
            if has_ended and len(idle.connections) < MOST_IDLE:
                idle.connections.append(connection)
            else:
                connection.close()

    def _first_answer(self, idle: Idle, script: bytes) -> tuple[Connection, Any]:
        with suppress(IndexError):
            connection = idle.connections.pop()
            try:
                return connection, _last_row(connection, script)
            except psycopg.OperationalError:
                # It waited too long, or the server was restarted, which its neighbours did not survive either.
                connection.close()
                idle.close()
            except BaseException:
                connection.close()
                raise
        connection = self.connect()
        try:
            return connection, _last_row(connection, script)
        except BaseException:
            connection.close()
            raise

    def _settings(self) -> str:
        milliseconds = int(1000 * self.wait_seconds)
        settings = {
            "lock_timeout": str(milliseconds),
            "idle_in_transaction_session_timeout": str(1000 * ABANDONED_SECONDS),
        }
        if self.wait_seconds < LOCK_SECONDS:
            settings["statement_timeout"] = str(2 * milliseconds)  # a lock's own limit says more when it is reached
        if self._location.schema:
            settings["search_path"] = quoted(self._location.schema)
        return "; ".join(f"SET LOCAL {name} TO {value}" for name, value in settings.items())

    def _own(self) -> Idle:
        if self._idle.pid != os.getpid():
            self._of_parents.append(self._idle)
            self._idle = self._find_idle()
        return self._idle

    def _find_idle(self) -> Idle:
        if self._read_only:
            from_outside = sorted((name, value) for name, value in os.environ.items() if name.startswith("PG"))
            key = (os.getpid(), *sorted(self._location.parameters.items()), *from_outside)
            if key not in _left_by_readers:
                _left_by_readers[key] = Idle()
                atexit.register(_left_by_readers[key].close)
            return _left_by_readers[key]
        made = Idle()
        weakref.finalize(self, made.close)
        return made


def quoted(name: str) -> str:
    """A name as an identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def _last_row(connection: Connection, script: bytes) -> Any:
    """First row of the last of several statements; only numbers and texts, in their usual form."""
    cursor = connection.execute(script)
    while cursor.nextset():
        pass
    return cursor.fetchone()


def _refuse_unknown_parameters(location: ServerLocation) -> None:
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    if not set(location.parameters) <= known:
        # Not quoted: it may be a piece of a password in which an & was not encoded.
        raise StoreError(f"the URL of {location} has a parameter that PostgreSQL's library does not know")
