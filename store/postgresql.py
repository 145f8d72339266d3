"""PostgreSQL: one schema of a database, for runs on many machines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import numpy as np
import psycopg

from torchglass.errors import StoreError
from torchglass.store.location import ServerLocation
from torchglass.store.postgresql_connections import Connection, Connections
from torchglass.store.postgresql_schema import open_schema
from torchglass.store.schema import APPLICATION_ID

RETRY_SECONDS = 0.1
NUL = "\N{SYMBOL FOR NULL}"  # stands for the one character that the server refuses in a text

# Connection lost, rolled back for another's sake, out of resources, in use, told to stop, input or output, defects of
# the server itself, wrong password (it may be being changed): https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING_CLASSES = ("08", "40", "53", "55", "57", "58", "XX", "28")
_PASSING = ("25P03", "25006", "42501", "3D000")  # silent for too long, a standby for now, no right to, no database
_DROPPED = ("42P01", "3F000")


class _Statements:
    """What the store asks of a connection, on PostgreSQL's terms."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> psycopg.RawCursor[Any]:
        cursor = psycopg.RawCursor(self._connection)
        return cursor.execute(_numbered(statement), _acceptable(parameters), binary=True)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        psycopg.RawCursor(self._connection).executemany(_numbered(statement), [_acceptable(row) for row in rows])


class PostgresqlEngine:
    """Transactions on a server; safe to share between threads, and usable in a forked child."""

    def __init__(self, location: ServerLocation, *, create: bool, read_only: bool) -> None:
        self._location = location
        self._read_only = read_only
        self._connections = Connections(location, read_only=read_only)
        with self._told("open"):
            self._uid = open_schema(self._connections, location, create=create)

    @property
    def shown(self) -> str:
        """Host, database and schema."""
        return self._location.shown

    @contextmanager
    def reading(self) -> Iterator[_Statements]:
        """Queries on one snapshot; failures of the database arrive as StoreError."""
        mode = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
        with self._told("read"), self._connections.begun(mode) as (connection, _):
            yield _Statements(connection)
            connection.execute("COMMIT")

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[_Statements]:
        """One transaction: all of it is stored, or nothing; `alone` while nobody else has one that is."""
        mode = f"ISOLATION LEVEL READ COMMITTED{' READ ONLY' if self._read_only else ''}"
        begun = self._connections.begun(mode, "SELECT uid, txid_current() FROM torchglass_store")
        with self._told("write to"), begun as (connection, (uid, transaction)):
            if uid != self._uid:
                raise _gone(self.shown)
            if alone:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
            yield _Statements(connection)
            self._commit(connection, transaction)

    def reclaim(self) -> None:
        """Leave it to the server's own vacuuming, which lets later rows use the space of deleted ones."""

    def limit_waiting(self, seconds: float) -> None:
        """Wait no longer than this for a lock, for a statement, or for a connection (2 s at least) from now on."""
        self._connections.wait_seconds = seconds

    def close(self) -> None:
        """Close this process's connections that no transaction uses."""
        self._connections.close()

    def _commit(self, connection: Connection, transaction: int) -> None:
        """Commit; where the connection breaks at that moment, find out what became of it instead of guessing."""
        try:
            done = connection.execute("COMMIT").statusmessage
        except psycopg.OperationalError:
            connection.close()
            if self._was_committed(transaction):
                return
            raise
        if done != "COMMIT":
            raise StoreError(f"cannot write to the store {self.shown}: a statement of the transaction had failed")

    def _was_committed(self, transaction: int) -> bool:
        give_up_at = time.monotonic() + self._connections.wait_seconds
        while True:
            with suppress(psycopg.OperationalError), self._connections.connect() as connection:
                row = connection.execute("SELECT txid_status(%s)", (transaction,)).fetchone()
                if row != ("in progress",):
                    return row == ("committed",)
            if time.monotonic() > give_up_at:
                return False  # in doubt, and stored twice at worst: of two points at one step the last one counts
            time.sleep(RETRY_SECONDS)

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        """Turn a driver's error into ours, without what opens the database."""
        try:
            yield
        except UnicodeEncodeError as error:  # a lone surrogate
            raise StoreError(f"cannot {verb} the store {self.shown}: {error}") from error
        except psycopg.Error as error:
            said = str(error).strip()
            told = self._location.without_secrets(said)
            cause = error if told == said else None
            if error.sqlstate in _DROPPED:
                raise _gone(self.shown) from cause
            reason = " ".join(told.split("\n")[0].split())
            raise StoreError(f"cannot {verb} the store {self.shown}: {reason}", may_pass=_may_pass(error)) from cause


def _numbered_uncached(statement: str) -> bytes:
    numbers = iter(range(1, statement.count("?") + 1))
    return re.sub(r"'[^']*'|\?", lambda match: f"${next(numbers)}" if match[0] == "?" else match[0], statement).encode()


_numbered = lru_cache(maxsize=512)(_numbered_uncached)


def _acceptable(parameters: Sequence[Any]) -> list[Any]:
    """What SQLite takes and PostgreSQL does not, as what it does take: truth in a column of numbers, NUL in a text."""
    return [_acceptable_value(value) for value in parameters]


def _acceptable_value(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", NUL)
    return int(value) if isinstance(value, bool | np.bool_) else value


def _may_pass(error: psycopg.Error) -> bool:
    """Tell a server that is away, busy, full or not itself from a record that no server would take."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in _PASSING_CLASSES or error.sqlstate in _PASSING


def _gone(shown: str) -> StoreError:
    return StoreError(f"the store {shown} was deleted or replaced while in use: put it back", may_pass=True)
