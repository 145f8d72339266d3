"""What the store asks of a database: two engines keep it, SQLite (`sqlite.py`) and PostgreSQL (`postgresql.py`).

Every statement of the store is written once, in what both speak: `?` for a parameter, `ON CONFLICT`, `RETURNING`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Cursor(Protocol):
    """Rows of one statement."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A transaction's statements."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...
    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Any: ...


class Engine(Protocol):
    """Transactions on one database; safe to share between threads, and usable in a forked child."""

    @property
    def shown(self) -> str:
        """Where the store is, for messages; without a password."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Queries on one snapshot; failures of the database arrive as StoreError."""

    def writing(self, *, alone: bool = False) -> AbstractContextManager[Connection]:
        """One transaction: all of it is stored, or nothing; `alone` while nobody else has one that is."""

    def reclaim(self) -> int | None:
        """Give the space of deleted rows back; return how many bytes, None where the engine does so in its own time."""

    def limit_waiting(self, seconds: float) -> None:
        """Wait no longer than this for a lock from now on."""

    def close(self) -> None:
        """Close every connection that this process opened."""
