"""Which engine keeps a store, by its location."""

from __future__ import annotations

from torchglass.errors import MissingExtraError
from torchglass.store.engine import Engine
from torchglass.store.location import FileLocation, Location
from torchglass.store.sqlite import SqliteEngine


def open_engine(location: Location, *, create: bool, read_only: bool) -> Engine:
    """Open the database that a location names.

    Raises:
        StoreError: it cannot be opened, or is no store of ours.
        MissingExtraError: PostgreSQL's driver is not installed.
    """
    if isinstance(location, FileLocation):
        return SqliteEngine(location.path, create=create, read_only=read_only)
    try:
        # Here, because its driver is an extra that most training machines do not have.
        from torchglass.store.postgresql import PostgresqlEngine
    except ImportError as missing:
        raise MissingExtraError("psycopg", "postgres") from missing
    return PostgresqlEngine(location, create=create, read_only=read_only)
