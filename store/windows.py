"""Profiler windows with their rows and tables; each function runs inside a transaction that its caller opened."""

from __future__ import annotations

import json
from collections.abc import Iterable

from torchglass.store.arrays import decode_arrays, encode_arrays
from torchglass.store.engine import Connection
from torchglass.store.records import Fact, ProfileRequest, ProfilerRow, ProfilerWindow, Table
from torchglass.store.writing import put_facts, to_json

_REQUEST = "requests/profile"
_HEAD = "rank, step, time, step_count, wall_seconds, facts"


def put_window(connection: Connection, run_id: int, rank: int, window: ProfilerWindow) -> None:
    """Add a profiler window with its rows and tables."""
    cursor = connection.execute(
        f"INSERT INTO profiler_windows (run_id, {_HEAD}) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (run_id, rank, window.step, window.time, window.step_count, window.wall_seconds, to_json(dict(window.facts))),
    )
    window_id = cursor.fetchone()[0]
    connection.executemany(
        "INSERT INTO profiler_rows (window_id, kind, name, calls, self_seconds, total_seconds) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(window_id, *row) for row in window.rows],
    )
    connection.executemany(
        "INSERT INTO profiler_tables (window_id, name, payload) VALUES (?, ?, ?)",
        [(window_id, name, encode_arrays(table)) for name, table in window.tables.items()],
    )


def windows_of(connection: Connection, run_id: int, rank: int | None, *, rows: bool) -> list[ProfilerWindow]:
    """Windows without their tables, in order of step."""
    heads = connection.execute(
        f"SELECT id, {_HEAD} FROM profiler_windows WHERE run_id = ? AND rank = coalesce(?, rank) AND rewound = 0 "
        "ORDER BY step, rank",
        (run_id, rank),
    ).fetchall()
    return [
        ProfilerWindow(
            step=step,
            time=when,
            step_count=step_count,
            wall_seconds=wall_seconds,
            facts=json.loads(facts),
            rows=_rows_of(connection, window_id) if rows else (),
            id=window_id,
            rank=window_rank,
        )
        for window_id, window_rank, step, when, step_count, wall_seconds, facts in heads
    ]


def tables_of(connection: Connection, window_id: int, names: Iterable[str] | None) -> dict[str, Table]:
    """Tables of a window by name; those of `names` alone, where given, as far as the window has them."""
    wanted = None if names is None else set(names)
    present = connection.execute("SELECT name FROM profiler_tables WHERE window_id = ?", (window_id,)).fetchall()
    found: dict[str, Table] = {}
    for (name,) in present:
        if wanted is None or name in wanted:
            row = connection.execute(
                "SELECT payload FROM profiler_tables WHERE window_id = ? AND name = ?", (window_id, name)
            ).fetchone()
            found[name] = decode_arrays(bytes(row[0]))
    return found


def copy_windows(connection: Connection, parent_id: int, run_id: int, step: int) -> None:
    """Copy a run's windows before a step to another run."""
    rows = connection.execute(
        "SELECT id FROM profiler_windows WHERE run_id = ? AND rewound = 0 AND step < ? ORDER BY id", (parent_id, step)
    ).fetchall()
    for (window_id,) in rows:
        copied = connection.execute(
            f"INSERT INTO profiler_windows (run_id, {_HEAD}) SELECT ?, {_HEAD} FROM profiler_windows "
            "WHERE id = ? RETURNING id",
            (run_id, window_id),
        ).fetchone()
        for table, columns in (
            ("profiler_rows", "kind, name, calls, self_seconds, total_seconds"),
            ("profiler_tables", "name, payload"),
        ):
            connection.execute(
                f"INSERT INTO {table} (window_id, {columns}) SELECT ?, {columns} FROM {table} WHERE window_id = ?",
                (int(copied[0]), window_id),
            )


def destroy_windows(connection: Connection, run_id: int) -> None:
    """Remove the rows and tables of a run's windows; the windows themselves go with the run."""
    for table in ("profiler_rows", "profiler_tables"):
        connection.execute(
            f"DELETE FROM {table} WHERE window_id IN (SELECT id FROM profiler_windows WHERE run_id = ?)", (run_id,)
        )


def put_request(connection: Connection, run_id: int, steps: int, now: float) -> ProfileRequest:
    """Count and keep a request for a window."""
    # Written to before it is read: of two pages that ask at once, the second waits here for the first.
    connection.execute("UPDATE runs SET config = config WHERE id = ?", (run_id,))
    request = ProfileRequest(request_of(connection, run_id).number + 1, steps)
    put_facts(connection, run_id, [Fact(0, _REQUEST, request._asdict(), now)])
    return request


def request_of(connection: Connection, run_id: int) -> ProfileRequest:
    """The newest request; number 0 where nobody has asked."""
    row = connection.execute(
        "SELECT value FROM facts WHERE run_id = ? AND rank = 0 AND key = ?", (run_id, _REQUEST)
    ).fetchone()
    return ProfileRequest(**json.loads(row[0])) if row is not None else ProfileRequest(0, 0)


def _rows_of(connection: Connection, window_id: int) -> tuple[ProfilerRow, ...]:
    rows = connection.execute(
        "SELECT kind, name, calls, self_seconds, total_seconds FROM profiler_rows WHERE window_id = ? "
        "ORDER BY self_seconds DESC",
        (window_id,),
    ).fetchall()
    return tuple(ProfilerRow(*row) for row in rows)
