"""Runs as rows: each function runs inside a transaction that its caller opened."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from torchglass.store.engine import Connection
from torchglass.store.records import Run, RunStatus
from torchglass.store.writing import put_heartbeat, to_json

LOST_AFTER_SECONDS = 15.0  # a running run beats once a second; so many missed beats mean its process is gone
SHORTEST_UID = 6  # characters; fewer may be the beginning of many

_SELECT = (
    "SELECT id, uid, name, status, created_at, "
    "coalesce((SELECT max(heartbeat_at) FROM ranks WHERE run_id = runs.id), created_at), "
    "ended_at, host, pid, config, error, tags, note, archived_at, deleted_at, parent_uid, parent_step FROM runs"
)


def select(
    connection: Connection,
    now: float,
    condition: str = "",
    parameters: Sequence[Any] = (),
    *,
    limit: int | None = None,
    offset: int = 0,
) -> list[Run]:
    """Runs that meet a condition such as `WHERE name = ?`; newest first."""
    page, places = ("", ()) if limit is None else (" LIMIT ? OFFSET ?", (limit, offset))
    rows = connection.execute(f"{_SELECT} {condition} ORDER BY id DESC{page}", (*parameters, *places)).fetchall()
    return [_to_run(row, now) for row in rows]


def names(connection: Connection, condition: str) -> list[str]:
    """Names of the runs that meet a condition; newest first."""
    return [name for (name,) in connection.execute(f"SELECT name FROM runs {condition} ORDER BY id DESC").fetchall()]


def ids(connection: Connection, condition: str) -> list[int]:
    """Ids of the runs that meet a condition; newest first."""
    return [run_id for (run_id,) in connection.execute(f"SELECT id FROM runs {condition} ORDER BY id DESC").fetchall()]


def count(connection: Connection, condition: str) -> int:
    """How many runs meet a condition."""
    return int(connection.execute(f"SELECT count(*) FROM runs {condition}").fetchone()[0])


def find(connection: Connection, now: float, name: str, *, deleted: bool) -> Run | None:
    """The run of that name or beginning of its uid, among the deleted or the others; of several so called the last."""
    there = "deleted_at IS NOT NULL" if deleted else "deleted_at IS NULL"
    found = select(connection, now, f"WHERE name = ? AND {there}", (name,))
    if found:
        return max(found, key=lambda run: run.deleted_at or 0.0)
    if len(name) >= SHORTEST_UID and name.isalnum():
        found = select(connection, now, f"WHERE uid LIKE ? AND {there}", (f"{name.lower()}%",))
    return found[0] if len(found) == 1 else None


def newest_names(connection: Connection, *, deleted: bool) -> list[str]:
    """Names of the newest runs, for a message."""
    there = "deleted_at IS NOT NULL" if deleted else "deleted_at IS NULL"
    rows = connection.execute(f"SELECT name FROM runs WHERE {there} ORDER BY id DESC LIMIT 5").fetchall()
    return [name for (name,) in rows]


def _to_run(row: Sequence[Any], now: float) -> Run:
    run_id, uid, name, status, created_at, heartbeat_at, ended_at, host, pid, config, error, tags, *rest = row
    silent = now - heartbeat_at > LOST_AFTER_SECONDS
    told: RunStatus = "lost" if status == "running" and silent else status
    known = (run_id, uid, name, told, created_at, heartbeat_at, ended_at, host, pid, json.loads(config), error)
    return Run(*known, tuple(json.loads(tags)), *rest)


def start(
    connection: Connection, name: str, config: Mapping[str, Any], *, host: str, pid: int, launch_id: str | None,
    now: float,
) -> int:  # fmt: skip
    """Register a run under the first free one of `name`, `name-2`, ...; ranks of one launch share one run."""
    # Of ranks that start at once, the first makes the row and the others find it: no look before the leap.
    row = connection.execute(
        "INSERT INTO runs (uid, name, launch_id, status, created_at, host, pid, config) "
        "VALUES (?, ?, ?, 'running', ?, ?, ?, ?) ON CONFLICT (launch_id) DO NOTHING RETURNING id",
        (uuid.uuid4().hex, free_name(connection, name), launch_id, now, host, pid, to_json(dict(config))),
    ).fetchone()
    if row is None:
        row = connection.execute("SELECT id FROM runs WHERE launch_id = ?", (launch_id,)).fetchone()
    return int(row[0])


def free_name(connection: Connection, wanted: str) -> str:
    """`wanted`, or with the first number behind it that makes a name nobody has."""
    name, number = wanted, 1
    while connection.execute("SELECT 1 FROM runs WHERE name = ? AND deleted_at IS NULL", (name,)).fetchone():
        number += 1
        name = f"{wanted}-{number}"
    return name


def end(connection: Connection, run_id: int, status: RunStatus, error: str | None, now: float) -> None:
    """Close a run; of several ranks that close it, the first that did not finish says how it ended."""
    connection.execute(
        "UPDATE runs SET status = ?, error = ?, ended_at = ? WHERE id = ? AND status NOT IN ('failed', 'interrupted')",
        (status, error, now, run_id),
    )
    ranks = connection.execute("SELECT rank FROM ranks WHERE run_id = ?", (run_id,)).fetchall()
    for (rank,) in ranks:
        put_heartbeat(connection, run_id, rank, now)
