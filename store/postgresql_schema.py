"""The tables of a store in a schema of a PostgreSQL database: found, made, brought up to date, or refused."""

from __future__ import annotations

import re
import uuid
from typing import NamedTuple

from torchglass.errors import NoStoreError, StoreError
from torchglass.store.location import ServerLocation
from torchglass.store.postgresql_connections import Connection, Connections, quoted
from torchglass.store.schema import APPLICATION_ID, POSTGRESQL, SCHEMA_VERSION, migrations_after

OLDEST_SERVER = 12

_IS_THERE = "to_regclass(quote_ident(current_schema()) || '.{}') IS NOT NULL"
_WHAT_IS_THERE = f"SELECT version(), current_setting('server_encoding'), {_IS_THERE.format('torchglass_store')}"


class Found(NamedTuple):
    """A store that is there: `uid` tells it from another that takes its place."""

    uid: str
    version: int


def open_schema(connections: Connections, location: ServerLocation, *, create: bool) -> str:
    """Find the store, or make it, and return its uid.

    Raises:
        NoStoreError: there is none, and none shall be made.
        StoreError: the server, the database or the schema is none that a store can be in.
    """
    with connections.begun("READ ONLY", _WHAT_IS_THERE) as (connection, (server, encoding, is_there)):
        _refuse_strange_servers(connection, location, server, encoding)
        found = _found(connection) if is_there else None
        connection.execute("COMMIT")
    if found is None and not create:
        raise NoStoreError(
            f"no store at {location}: train with torchglass attached, or give another place with --store"
        )
    if found is None or found.version != SCHEMA_VERSION:
        found = _migrate(connections, location)
    return found.uid


def _refuse_strange_servers(connection: Connection, location: ServerLocation, server: str, encoding: str) -> None:
    if connection.info.server_version < OLDEST_SERVER * 10000 or not server.startswith("PostgreSQL"):
        name = " ".join(server.split()[:2])
        raise StoreError(f"{location} is served by {name}: torchglass needs PostgreSQL {OLDEST_SERVER} or later")
    if encoding != "UTF8":
        raise StoreError(
            f"the database {location} is encoded in {encoding}, which lacks characters: make one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _migrate(connections: Connections, location: ServerLocation) -> Found:
    """Run what is missing in one transaction; a second process that waited for the lock finds nothing to do."""
    with connections.begun("ISOLATION LEVEL READ COMMITTED") as (connection, _):
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
        _make_schema(connection, location)
        before = _found(connection) if _is_there(connection, "torchglass_store") else None
        if before is None:
            _refuse_strangers(connection, location)
            connection.execute(b"CREATE TABLE torchglass_store (uid TEXT NOT NULL, schema_version BIGINT NOT NULL)")
            connection.execute("INSERT INTO torchglass_store VALUES (%s, 0)", (uuid.uuid4().hex,))
            before = _found(connection)
        if before.version > SCHEMA_VERSION:
            raise StoreError(
                f"{location} was written by a newer torchglass (schema {before.version}, this one reads up to "
                f"{SCHEMA_VERSION}): upgrade torchglass"
            )
        for statement in migrations_after(before.version, POSTGRESQL):
            connection.execute(statement.encode())
        _keep_packed_bytes_as_they_are(connection)
        connection.execute("UPDATE torchglass_store SET schema_version = %s", (SCHEMA_VERSION,))
        connection.execute("COMMIT")
    return before


def _make_schema(connection: Connection, location: ServerLocation) -> None:
    if location.schema:
        query = "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s"
        usable = connection.execute(query, (location.schema,)).fetchone()
        if usable is None:
            connection.execute(f"CREATE SCHEMA {quoted(location.schema)}".encode())
        elif usable == (False,):
            raise StoreError(
                f"the user of {location} may not use its schema: GRANT USAGE, CREATE ON SCHEMA to that user"
            )
    elif connection.execute(b"SELECT current_schema()").fetchone() == (None,):
        raise StoreError(f"no schema that the search_path for {location} names exists: create one")


def _refuse_strangers(connection: Connection, location: ServerLocation) -> None:
    ours = re.findall(r"CREATE TABLE (\w+)", "".join(migrations_after(0, POSTGRESQL)))
    taken = [table for table in ours if _is_there(connection, table)]
    if taken:
        raise StoreError(
            f"the schema of {location} holds a table {taken[0]!r} that is not torchglass's: name another schema with "
            "?schema=..."
        )


def _is_there(connection: Connection, table: str) -> bool:
    return connection.execute(f"SELECT {_IS_THERE.format(table)}".encode()).fetchone() == (True,)


def _found(connection: Connection) -> Found:
    return Found(*connection.execute(b"SELECT uid, schema_version FROM torchglass_store").fetchall()[0])


def _keep_packed_bytes_as_they_are(connection: Connection) -> None:
    """Spare the server from trying to compress what is compressed already."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND data_type = 'bytea'"
    ).fetchall()
    for table, column in rows:
        connection.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL".encode())
