"""SQLite in WAL mode: one file, one connection per thread and process."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from torchglass.errors import NoStoreError, StoreError
from torchglass.store.location import DEFAULT_PATH
from torchglass.store.network import refuse_network_file_system
from torchglass.store.schema import APPLICATION_ID, FIRST_SCHEMA, SCHEMA_VERSION, SQLITE, migrations_after

BUSY_TIMEOUT_SECONDS = 30.0  # writers queue here; long enough for a peer's compaction on a slow disk
# The driver's own, and how it declines a number beyond 64 bits and a lone surrogate.
_REFUSALS = (sqlite3.Error, OverflowError, UnicodeEncodeError)
PAGES_AT_A_TIME = 2000  # 8 MB: some ten milliseconds of the write lock


class _Opened(NamedTuple):
    pid: int
    thread: threading.Thread
    connection: sqlite3.Connection


class SqliteEngine:
    """Hands each thread its own connection; after a fork the child opens new ones and leaves the parent's alone."""

    def __init__(self, path: Path, *, create: bool, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._busy_seconds = BUSY_TIMEOUT_SECONDS
        self._local = threading.local()
        self._lock = threading.Lock()
        self._opened: list[_Opened] = []
        if not create and not path.exists():
            raise NoStoreError(f"no store at {path}: train with torchglass attached, or give another path with --store")
        if path.is_dir():
            raise StoreError(f"{path} is a folder: give the path of a store file, such as {path / DEFAULT_PATH}")
        if not path.parent.is_dir():
            raise StoreError(f"the folder {path.parent} does not exist: create it, or give another path")
        refuse_network_file_system(path)
        self._check_and_migrate(create=create)
        self._identity = _identity(path)

    @property
    def shown(self) -> str:
        """The file's path."""
        return str(self._path)

    def get(self) -> sqlite3.Connection:
        """Return this thread's connection, opening it on first use."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.connection = self._open()
            self._local.pid = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Use the connection for queries on one snapshot; database failures arrive as StoreError."""
        try:
            connection = self.get()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()
        except _REFUSALS as error:
            raise self._failure("read", error) from error

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[sqlite3.Connection]:
        """Use the connection in one transaction, which is always alone: all of it is stored, or nothing."""
        if _identity(self._path) != self._identity:
            # SQLite would go on writing into a file that nobody can open any more.
            raise StoreError(f"the store {self._path} was deleted or replaced while in use: put it back", may_pass=True)
        try:
            connection = self.get()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        except _REFUSALS as error:
            raise self._failure("write to", error) from error

    def reclaim(self) -> int:
        """Move what is at the end of the file into its holes, a little at a time; writers hardly wait.

        Return how many bytes the file loses, at the latest when its write-ahead log is next folded into it.
        """
        try:
            connection = self.get()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
            before = holes = _free_pages(connection)
            while holes:
                connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_A_TIME})").fetchall()
                left = _free_pages(connection)
                if left >= holes:  # others delete as fast as this one moves
                    break
                holes = left
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise self._failure("shrink", error) from error
        return int(page_bytes * (before - holes))

    def limit_waiting(self, seconds: float) -> None:
        """Wait no longer than this for a lock, in connections opened from now on and in this thread's."""
        self._busy_seconds = seconds
        try:
            self.get().execute(f"PRAGMA busy_timeout={int(1000 * seconds)}")
        except sqlite3.Error as error:
            raise self._failure("open", error) from error

    def close(self) -> None:
        """Close every connection that this process opened."""
        with self._lock:
            opened, self._opened = self._opened, []
        for each in opened:
            if each.pid == os.getpid():
                each.connection.close()
        self._local = threading.local()

    def _failure(self, verb: str, error: Exception) -> StoreError:
        # Locked, full, away or damaged may pass; a value that does not fit its column does not.
        may_pass = isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
        return StoreError(f"cannot {verb} the store {self._path}: {error}", may_pass=may_pass)

    def _open(self) -> sqlite3.Connection:
        self._close_those_of_ended_threads()
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw",  # never makes the file anew
            uri=True, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        # NORMAL loses nothing when the process dies; only a power cut can cost the last transactions.
        connection.execute("PRAGMA synchronous=NORMAL")
        # As on PostgreSQL: whoever goes on recording into a run that was purged is told, and leaves no rows of nothing.
        connection.execute("PRAGMA foreign_keys=ON")
        if self._read_only:
            connection.execute("PRAGMA query_only=ON")
        with self._lock:
            self._opened.append(_Opened(os.getpid(), threading.current_thread(), connection))
        return connection

    def _close_those_of_ended_threads(self) -> None:
        """Close what ended threads left open: a page runs each of its scripts in a new thread."""
        with self._lock:
            ended = [each for each in self._opened if each.pid == os.getpid() and _has_ended(each.thread)]
            self._opened = [each for each in self._opened if each not in ended]
        for each in ended:
            each.connection.close()

    def _check_and_migrate(self, *, create: bool) -> None:
        try:
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failure("open", error) from error
        try:
            self._refuse_strangers(connection, create=create)
            if _version(connection) < SCHEMA_VERSION:
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                _switch_to_wal(connection)
                _migrate(connection)
        except sqlite3.OperationalError as error:
            reason = str(error)
            if "readonly" in reason:
                reason = "its folder cannot be written, and even a reader keeps files beside it: copy it elsewhere"
            raise StoreError(f"cannot open the store {self._path}: {reason}") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path} is not a torchglass store or is damaged: {error}") from error
        finally:
            connection.close()

    def _refuse_strangers(self, connection: sqlite3.Connection, *, create: bool) -> None:
        connection.execute("BEGIN")  # one snapshot: another process may be making the tables right now
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = _version(connection)
        connection.rollback()
        empty = tables == 0 and application == 0
        if application != APPLICATION_ID and not (empty and create):
            what = "an empty file" if empty else "a SQLite database, but not a torchglass store"
            raise StoreError(f"{self._path} is {what}: give the path of a store that torchglass wrote")
        if 0 < version < FIRST_SCHEMA:
            raise StoreError(
                f"{self._path} was written before torchglass 0.1 was released: record into a new store, or give "
                "the path of another"
            )
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} was written by a newer torchglass (schema {version}, this one reads up to "
                f"{SCHEMA_VERSION}): upgrade torchglass"
            )


def _has_ended(thread: threading.Thread) -> bool:
    # Python calls the main thread ended while it still runs what was registered to run at exit.
    return thread is not threading.main_thread() and not thread.is_alive()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path names; None when it names none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Have readers not wait for writers; unlike other statements this one does not queue for the lock by itself."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def _migrate(connection: sqlite3.Connection) -> None:
    """Run what is missing in one transaction; a second process that waited for the lock finds nothing to do."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in migrations_after(_version(connection), SQLITE):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.commit()
