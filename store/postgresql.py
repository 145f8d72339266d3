"""PostgreSQL: one schema of a database, for runs on many machines; connections are taken and given back by transaction.

Nothing here needs a session: settings live in the transaction (`SET LOCAL`) and so do locks, so that a pooler such as
PgBouncer may stand in between.
"""

from __future__ import annotations

import os
import re
import time
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import numpy as np

from torchglass.errors import MissingExtraError, NoStoreError, StoreError
from torchglass.store.location import ServerLocation
from torchglass.store.schema import APPLICATION_ID, POSTGRESQL, SCHEMA_VERSION, migrations_after

try:
    import psycopg
    from psycopg import pq
except ImportError as missing:
    raise MissingExtraError("psycopg", "postgres") from missing

OLDEST_SERVER = 12
LOCK_SECONDS = 30.0  # as long as a writer queues for a SQLite file
ABANDONED_SECONDS = 60  # a process that is stopped inside a transaction must not hold up the others for ever
MOST_IDLE = 4  # connections kept by a process; a server has a hundred for everybody
RETRY_SECONDS = 0.1
NUL = "\N{SYMBOL FOR NULL}"  # stands for the one character that the server refuses in a text

_CONNECTING = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "fallback_application_name": "torchglass",
}
_IS_THERE = "to_regclass(quote_ident(current_schema()) || '.{}') IS NOT NULL"
_WHAT_IS_THERE = f"SELECT version(), current_setting('server_encoding'), {_IS_THERE.format('torchglass_store')}"
# Connection lost, rolled back for another's sake, out of resources, in use, told to stop, input or output, defects of
# the server itself, wrong password (it may be being changed): https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING_CLASSES = ("08", "40", "53", "55", "57", "58", "XX", "28")
_PASSING = ("25P03", "25006", "42501", "3D000")  # silent for too long, a standby for now, no right to, no database
_DROPPED = ("42P01", "3F000")


class _Connections:
    """Those of one process that no transaction uses now."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.idle: deque[psycopg.Connection[Any]] = deque()  # no lock, which a fork might find taken

    def close(self) -> None:
        """Close them, unless they are the parent's."""
        with suppress(IndexError):
            while self.pid == os.getpid():
                self.idle.pop().close()


class _Statements:
    """What the store asks of a connection, on PostgreSQL's terms."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> psycopg.RawCursor[Any]:
        cursor = psycopg.RawCursor(self._connection)
        return cursor.execute(_numbered(statement), _acceptable(parameters), binary=True)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        psycopg.RawCursor(self._connection).executemany(_numbered(statement), [_acceptable(row) for row in rows])


class PostgresqlEngine:
    """Transactions on a server; after a fork the child connects anew and leaves the parent's connections alone."""

    def __init__(self, location: ServerLocation, *, create: bool, read_only: bool) -> None:
        self._location = location
        self._read_only = read_only
        self._wait_seconds = LOCK_SECONDS
        self._of_parents: list[_Connections] = []  # kept, so that nobody closes what the parent uses
        self._connections = self._new_connections()
        self._check_parameters()
        with self._told("open"):
            self._uid = self._check_and_migrate(create=create)

    @property
    def shown(self) -> str:
        """Host, database and schema."""
        return self._location.shown

    @contextmanager
    def reading(self) -> Iterator[_Statements]:
        """Queries on one snapshot; failures of the database arrive as StoreError."""
        with self._told("read"), self._begun("ISOLATION LEVEL REPEATABLE READ READ ONLY") as (connection, _):
            yield _Statements(connection)
            connection.execute("COMMIT")

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[_Statements]:
        """One transaction: all of it is stored, or nothing; `alone` while nobody else has one that is."""
        mode = "ISOLATION LEVEL READ COMMITTED READ ONLY" if self._read_only else "ISOLATION LEVEL READ COMMITTED"
        with (
            self._told("write to"),
            self._begun(mode, "SELECT uid, txid_current() FROM torchglass_store") as (
                connection,
                (uid, transaction),
            ),
        ):
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
        self._wait_seconds = seconds

    def close(self) -> None:
        """Close this process's connections that no transaction uses."""
        self._own().close()

    # Connections

    def _new_connections(self) -> _Connections:
        made = _Connections()
        weakref.finalize(self, made.close)
        return made

    def _own(self) -> _Connections:
        if self._connections.pid != os.getpid():
            self._of_parents.append(self._connections)
            self._connections = self._new_connections()
        return self._connections

    def _connect(self) -> psycopg.Connection[Any]:
        defaults = dict(_CONNECTING)
        if self._wait_seconds < LOCK_SECONDS or "PGCONNECT_TIMEOUT" in os.environ:
            defaults["connect_timeout"] = os.environ.get("PGCONNECT_TIMEOUT", str(max(2, int(self._wait_seconds))))
        # Prepared statements would outlive the transaction.
        return psycopg.connect(
            **{**defaults, **self._location.parameters, "client_encoding": "UTF8"},  # type: ignore[arg-type]
            autocommit=True,
            prepare_threshold=None,
        )

    @contextmanager
    def _begun(self, mode: str, query: str = "SELECT 0") -> Iterator[tuple[psycopg.Connection[Any], Any]]:
        """Begin a transaction and answer a query in it, all in one message; a connection that is gone is replaced."""
        own = self._own()
        script = f"BEGIN {mode}; {self._settings()}; {query}".encode()
        connection, row = self._first_answer(own, script)
        try:
            yield connection, row
        except BaseException:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        finally:
            if connection.info.transaction_status == pq.TransactionStatus.IDLE and len(own.idle) < MOST_IDLE:
                own.idle.append(connection)
            else:
                connection.close()

    def _first_answer(self, own: _Connections, script: bytes) -> tuple[psycopg.Connection[Any], Any]:
        with suppress(IndexError):
            connection = own.idle.pop()
            try:
                return connection, _last_row(connection, script)
            except psycopg.OperationalError:
                # It waited too long, or the server was restarted, which its neighbours did not survive either.
                connection.close()
                own.close()
            except BaseException:
                connection.close()
                raise
        connection = self._connect()
        try:
            return connection, _last_row(connection, script)
        except BaseException:
            connection.close()
            raise

    def _settings(self) -> str:
        milliseconds = int(1000 * self._wait_seconds)
        settings = {
            "lock_timeout": str(milliseconds),
            "idle_in_transaction_session_timeout": str(1000 * ABANDONED_SECONDS),
        }
        if self._wait_seconds < LOCK_SECONDS:
            settings["statement_timeout"] = str(2 * milliseconds)  # a lock's own limit says more when it is reached
        if self._location.schema:
            settings["search_path"] = _quoted(self._location.schema)
        return "; ".join(f"SET LOCAL {name} TO {value}" for name, value in settings.items())

    def _commit(self, connection: psycopg.Connection[Any], transaction: int) -> None:
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
        give_up_at = time.monotonic() + self._wait_seconds
        while True:
            with suppress(psycopg.OperationalError), self._connect() as connection:
                row = connection.execute("SELECT txid_status(%s)", (transaction,)).fetchone()
                if row != ("in progress",):
                    return row == ("committed",)
            if time.monotonic() > give_up_at:
                return False  # in doubt, and stored twice at worst: of two points at one step the last one counts
            time.sleep(RETRY_SECONDS)

    # Opening

    def _check_parameters(self) -> None:
        known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
        if not set(self._location.parameters) <= known:
            # Not quoted: it may be a piece of a password in which an & was not encoded.
            raise StoreError(f"the URL of {self.shown} has a parameter that PostgreSQL's library does not know")

    def _check_and_migrate(self, *, create: bool) -> str:
        with self._begun("READ ONLY", _WHAT_IS_THERE) as (connection, (server, encoding, is_there)):
            self._refuse_strange_servers(connection, server, encoding)
            found = _uid_and_version(connection) if is_there else None
            connection.execute("COMMIT")
        if found is None and not create:
            raise NoStoreError(
                f"no store at {self.shown}: train with torchglass attached, or give another place with --store"
            )
        if found is None or found[1] != SCHEMA_VERSION:
            found = self._migrate()
        return found[0]

    def _refuse_strange_servers(self, connection: psycopg.Connection[Any], server: str, encoding: str) -> None:
        if connection.info.server_version < OLDEST_SERVER * 10000 or not server.startswith("PostgreSQL"):
            name = " ".join(server.split()[:2])
            raise StoreError(f"{self.shown} is served by {name}: torchglass needs PostgreSQL {OLDEST_SERVER} or later")
        if encoding != "UTF8":
            raise StoreError(
                f"the database {self.shown} is encoded in {encoding}, which lacks characters: make one with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )

    def _migrate(self) -> tuple[str, int]:
        """Run what is missing in one transaction; a second process that waited for the lock finds nothing to do."""
        with self._begun("ISOLATION LEVEL READ COMMITTED") as (connection, _):
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
            self._make_schema(connection)
            found = _uid_and_version(connection) if _is_there(connection, "torchglass_store") else None
            if found is not None and found[1] > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.shown} was written by a newer torchglass (schema {found[1]}, this one reads up to "
                    f"{SCHEMA_VERSION}): upgrade torchglass"
                )
            if found is None:
                self._refuse_strangers(connection)
                connection.execute(b"CREATE TABLE torchglass_store (uid TEXT NOT NULL, schema_version BIGINT NOT NULL)")
                connection.execute("INSERT INTO torchglass_store VALUES (%s, 0)", (uuid.uuid4().hex,))
            for statement in migrations_after(found[1] if found is not None else 0, POSTGRESQL):
                connection.execute(statement.encode())
            _keep_packed_bytes_as_they_are(connection)
            connection.execute("UPDATE torchglass_store SET schema_version = %s", (SCHEMA_VERSION,))
            made = _uid_and_version(connection)
            connection.execute("COMMIT")
        return made

    def _make_schema(self, connection: psycopg.Connection[Any]) -> None:
        schema = self._location.schema
        if schema:
            known = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
            if known is None:
                connection.execute(f"CREATE SCHEMA {_quoted(schema)}".encode())
        elif connection.execute(b"SELECT current_schema()").fetchone() == (None,):
            raise StoreError(f"no schema that the search_path for {self.shown} names exists: create one")

    def _refuse_strangers(self, connection: psycopg.Connection[Any]) -> None:
        ours = re.findall(r"CREATE TABLE (\w+)", "".join(migrations_after(0, POSTGRESQL)))
        taken = [table for table in ours if _is_there(connection, table)]
        if taken:
            raise StoreError(
                f"the schema of {self.shown} holds a table {taken[0]!r} that is not torchglass's: name another schema "
                "with ?schema=..."
            )

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        """Turn a driver's error into ours, without what opens the database."""
        try:
            yield
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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _last_row(connection: psycopg.Connection[Any], script: bytes) -> Any:
    """First row of the last of several statements; only numbers and texts, in their usual form."""
    cursor = connection.execute(script)
    while cursor.nextset():
        pass
    return cursor.fetchone()


def _is_there(connection: psycopg.Connection[Any], table: str) -> bool:
    return connection.execute(f"SELECT {_IS_THERE.format(table)}".encode()).fetchone() == (True,)


def _uid_and_version(connection: psycopg.Connection[Any]) -> tuple[str, int]:
    uid, version = connection.execute(b"SELECT uid, schema_version FROM torchglass_store").fetchall()[0]
    return uid, version


def _keep_packed_bytes_as_they_are(connection: psycopg.Connection[Any]) -> None:
    """Spare the server from trying to compress what is compressed already."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND data_type = 'bytea'"
    ).fetchall()
    for table, column in rows:
        connection.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL".encode())


def _may_pass(error: psycopg.Error) -> bool:
    """Tell a server that is away, busy, full or not itself from a record that no server would take."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in _PASSING_CLASSES or error.sqlstate in _PASSING


def _gone(shown: str) -> StoreError:
    return StoreError(f"the store {shown} was deleted or replaced while in use: put it back", may_pass=True)
