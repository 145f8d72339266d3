"""Trials of sweeps: Optuna's own tables, in the database of the store, so that whoever reaches it can share a sweep.

Optuna says who is alive (a heartbeat) and keeps the trials; this file says how it reaches the database beside our
writer, and lets no more trials begin than were ordered, however many processes ask at once.
"""

from __future__ import annotations

import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.distributions import json_to_distribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from torchglass.errors import MissingExtraError, StoreError
from torchglass.store.location import FileLocation, Location, ServerLocation
from torchglass.store.schema import APPLICATION_ID
from torchglass.store.sqlite import BUSY_TIMEOUT_SECONDS
from torchglass.store.trial_order import Attempt, Retry, next_trial

HEARTBEAT_SECONDS = 10
BEATS_UNTIL_LOST = 3
MAKING_SECONDS = 30.0  # that processes which make the tables at once wait for each other
LAST_TABLE = "alembic_version"  # Optuna makes it when all others are there
ERROR, RETRIES, INTERRUPTED = "error", "retries", "interrupted"  # a trial's user attributes, by which the order goes

_BEGUN = """
    SELECT t.number, t.state, a.key, a.value_json FROM trials t
    LEFT JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key IN ('error', 'retries', 'interrupted')
    WHERE t.study_id = :study"""
_VALUES = """
    SELECT p.param_name, p.param_value, p.distribution_json FROM trial_params p
    JOIN trials t ON t.trial_id = p.trial_id WHERE t.study_id = :study AND t.number = :number"""


class NoTrialLeft(Exception):
    """Every trial of the sweep has begun; some may still run, or be lost later."""


class Trials(RDBStorage):  # type: ignore[misc]  # Optuna is not read by the type checker
    """Optuna's storage, of which a study begins at most `total` trials, and those of dead processes anew.

    `defaults` are the values of the first trial.
    """

    total = 0
    defaults: dict[str, Any] | None = None

    def record_heartbeat(self, trial_id: int) -> None:
        """Tell that the trial is alive; a beat that the database could not take is made up by the next one."""
        with suppress(StorageInternalError):
            super().record_heartbeat(trial_id)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """Begin the trial whose turn it is.

        The study is locked first. Optuna's own session of this thread goes on in the same transaction, so that what
        was counted is still so when the trial is written.
        """
        if template_trial is not None:
            return super()._create_new_trial(study_id, template_trial)
        session = self.scoped_session()
        try:
            lock = "" if self.engine.dialect.name == "sqlite" else " FOR UPDATE"  # SQLite has locked the whole file
            study = {"study": study_id}
            session.execute(sqlalchemy.text(f"SELECT study_id FROM studies WHERE study_id = :study{lock}"), study)
            order = next_trial(_attempts(session.execute(sqlalchemy.text(_BEGUN), study)), self.total)
            if order is None:
                raise NoTrialLeft
            told: dict[str, Any] = {}
            values = None
            if isinstance(order, Retry):
                told = {RETRIES: order.number}
                rows = session.execute(sqlalchemy.text(_VALUES), study | {"number": order.number})
                values = {name: json_to_distribution(kind).to_external_repr(value) for name, value, kind in rows}
            elif order.is_first:
                values = self.defaults
            fixed = {} if values is None else {"fixed_params": values}  # as `Study.enqueue_trial` writes it
            begun = super()._create_new_trial(
                study_id, create_trial(state=TrialState.RUNNING, user_attrs=told, system_attrs=fixed)
            )
        finally:
            session.close()
        self.record_heartbeat(begun._trial_id)
        return begun


@contextmanager
def open_trials(
    location: Location, *, read_only: bool = False, heartbeat_seconds: int = HEARTBEAT_SECONDS
) -> Iterator[Trials | None]:
    """Open the trials in a store that exists; their tables are made on first use, or None is given to who only reads.

    Raises:
        StoreError: the database cannot be reached or used; also for what goes wrong in the block.
        MissingExtraError: PostgreSQL's driver is not installed.
    """
    with _told(location):
        door = _door(location, read_only=read_only)
        options = {"creator": door.connect, "poolclass": door.pool}
        if not _has_tables(door.url, options):
            if read_only:
                yield None
                return
            with door.making_tables():
                _open_patiently(partial(_open, door.url, options, heartbeat_seconds)).engine.dispose()
        trials = _open(door.url, options, heartbeat_seconds)
        door.lock_while_looking()
        try:
            yield trials
        finally:
            trials.remove_session()
            trials.engine.dispose()


def _open(url: str, options: dict[str, Any], heartbeat_seconds: int) -> Trials:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of the heartbeat, which the tests watch over
        return Trials(
            url,
            engine_kwargs=dict(options),
            skip_table_creation=_has_tables(url, options),
            heartbeat_interval=heartbeat_seconds,
            grace_period=BEATS_UNTIL_LOST * heartbeat_seconds,
        )


def _open_patiently(open_once: Callable[[], Trials]) -> Trials:
    """Have another process that makes the same tables at this moment finish first."""
    give_up_at = time.monotonic() + MAKING_SECONDS
    while True:
        try:
            return open_once()
        except (SQLAlchemyError, StorageInternalError):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)


def _attempts(rows: Any) -> list[Attempt]:
    found: dict[int, dict[str, str]] = {}
    for number, state, key, value in rows:
        found.setdefault(number, {"state": state})[key] = value
    return [
        Attempt(
            number,
            is_lost=told["state"] == TrialState.FAIL.name and ERROR not in told,
            by_hand=INTERRUPTED in told,
            retries=int(told[RETRIES]) if RETRIES in told else None,
        )
        for number, told in found.items()
    ]


def _has_tables(url: str, options: dict[str, Any]) -> bool:
    engine = sqlalchemy.create_engine(url, **options)
    try:
        return sqlalchemy.inspect(engine).has_table(LAST_TABLE)
    finally:
        engine.dispose()


def _door(location: Location, *, read_only: bool) -> _FileDoor | _ServerDoor:
    if isinstance(location, FileLocation):
        return _FileDoor(location.path, read_only=read_only)
    return _ServerDoor(location, read_only=read_only)


class _FileDoor:
    """Opens an SQLite store for SQLAlchemy; for each transaction anew, so that a forked worker inherits nothing."""

    url = "sqlite://"
    pool = sqlalchemy.pool.NullPool

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._begin = "BEGIN"

    def connect(self) -> sqlite3.Connection:
        """Open the file, which is never made anew."""
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        for setting in ("synchronous=NORMAL", f"query_only={self._read_only:d}"):
            sqlite3.Connection.cursor(connection).execute(f"PRAGMA {setting}").close()
        connection.begin = self._begin
        return connection

    def lock_while_looking(self) -> None:
        """Take the write lock with each transaction from now on.

        Optuna looks and then writes: two processes must not both see a trial free. And what began by reading could
        not write any more once another process has. Not from the start, as Optuna opens its tables twice at a time.
        """
        self._begin = "BEGIN" if self._read_only else "BEGIN IMMEDIATE"

    @contextmanager
    def making_tables(self) -> Iterator[None]:
        """Change nothing: the file is locked by the making itself."""
        yield


class _Connection(sqlite3.Connection):
    """Begins a transaction with its first statement: one snapshot for all that Optuna asks in a session."""

    begin = "BEGIN"

    def cursor(self, *arguments: Any, **named: Any) -> Any:
        cursor = super().cursor(*arguments, **named)
        if not self.in_transaction:
            cursor.execute(self.begin)
        return cursor


class _ServerDoor:
    """Opens a PostgreSQL store for SQLAlchemy, whose address then holds neither a name nor a password."""

    url = "postgresql+psycopg://"
    pool = sqlalchemy.pool.QueuePool

    def __init__(self, location: ServerLocation, *, read_only: bool) -> None:
        from torchglass.store.postgresql_connections import Connections

        self._location = location
        self._read_only = read_only
        self._connections = Connections(location, read_only=read_only)

    def connect(self) -> Any:
        """Connect; the schema holds for the session, so a pooler in between must keep sessions."""
        from torchglass.store.postgresql_connections import quoted

        connection = self._connections.connect()
        if self._location.schema:
            connection.execute(f"SET search_path TO {quoted(self._location.schema)}".encode())
        connection.autocommit = False
        connection.read_only = self._read_only
        return connection

    def lock_while_looking(self) -> None:
        """Change nothing: Optuna locks rows by itself."""

    @contextmanager
    def making_tables(self) -> Iterator[None]:
        """Keep other processes from making the same tables."""
        with self._connections.begun("READ WRITE") as (connection, _):
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
            yield
            connection.execute("COMMIT")


@contextmanager
def _told(location: Location) -> Iterator[None]:
    """Turn the database's errors into ours, without what opens it."""
    errors: tuple[type[Exception], ...] = (SQLAlchemyError, StorageInternalError, sqlite3.Error)
    if not isinstance(location, FileLocation):
        try:
            import psycopg
        except ImportError as missing:
            raise MissingExtraError("psycopg", "postgres") from missing
        errors = (*errors, psycopg.Error)
    try:
        yield
    except errors as error:
        said = str(error.__cause__ or error).strip()
        told = location.without_secrets(said)
        raise StoreError(
            f"cannot use the trials in the store {location}: {' '.join(told.split())}", may_pass=True
        ) from (error if told == said else None)
