"""A new run that begins as another did: everything before a step is copied, a stretch at a time."""

from __future__ import annotations

import uuid

import numpy as np

from torchglass.store.compaction import put_points, put_summaries
from torchglass.store.digest import Summary, joined, summarize
from torchglass.store.engine import Connection
from torchglass.store.points import SeriesReader
from torchglass.store.records import Run
from torchglass.store.runs import free_name
from torchglass.store.windows import copy_windows
from torchglass.store.writing import to_json

_HISTOGRAM = (
    "step, time, zero_count, nan_count, positive_infinity_count, negative_infinity_count, minimum, maximum, payload"
)


def begin(connection: Connection, parent: Run, step: int, name: str, now: float) -> int:
    """Register a fork that is deleted until it is complete, so that nobody takes one half-made for a whole."""
    row = connection.execute(
        "INSERT INTO runs (uid, name, status, created_at, host, pid, config, deleted_at, parent_uid, "
        "parent_step) VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (uuid.uuid4().hex, name, now, parent.host, parent.pid, to_json(dict(parent.config)), now, parent.uid, step),
    ).fetchone()
    return int(row[0])


def complete(connection: Connection, fork: Run, now: float) -> None:
    """Show a fork that is whole now, under the first name that is free."""
    connection.execute(
        "UPDATE runs SET deleted_at = NULL, status = 'finished', ended_at = ?, name = ? WHERE id = ?",
        (now, free_name(connection, fork.name), fork.id),
    )


def series_of(connection: Connection, parent_id: int) -> list[int]:
    """Ids of the series to copy."""
    rows = connection.execute("SELECT id FROM series WHERE run_id = ? ORDER BY id", (parent_id,)).fetchall()
    return [series_id for (series_id,) in rows]


def copy_series(connection: Connection, series_id: int, run_id: int, step: int) -> None:
    """Copy the points before a step, in the order written; a series without any is left out."""
    copied, summary = None, Summary()
    for steps, times, values in SeriesReader(connection, series_id).stretches():
        early = np.flatnonzero(steps < step)
        if not early.size:
            continue
        if copied is None:
            row = connection.execute(
                "INSERT INTO series (run_id, rank, key, kind, unit) "
                "SELECT ?, rank, key, kind, unit FROM series WHERE id = ? RETURNING id",
                (run_id, series_id),
            ).fetchone()
            copied = int(row[0])
        put_points(connection, copied, summary.point_count, steps[early], times[early], values[early])
        summary = joined(summary, summarize(steps[early], values[early, None])[0])
    if copied is not None:
        put_summaries(connection, {copied: summary})


def copy_others(connection: Connection, parent_id: int, run_id: int, step: int) -> None:
    """Copy histograms, profiler windows and artifacts before a step, and all facts."""
    connection.execute(
        "INSERT INTO histogram_series (run_id, rank, key) SELECT ?, rank, key FROM histogram_series "
        "WHERE run_id = ? ORDER BY id",
        (run_id, parent_id),
    )
    connection.execute(
        f"INSERT INTO histograms (series_id, rewound, {_HISTOGRAM}) "
        f"SELECT mine.id, 0, {', '.join(f'h.{each}' for each in _HISTOGRAM.split(', '))} FROM histograms h "
        "JOIN histogram_series theirs ON theirs.id = h.series_id "
        "JOIN histogram_series mine ON mine.run_id = ? AND mine.rank = theirs.rank AND mine.key = theirs.key "
        "WHERE theirs.run_id = ? AND h.rewound = 0 AND h.step < ?",
        (run_id, parent_id, step),
    )
    copy_windows(connection, parent_id, run_id, step)
    connection.execute(
        "INSERT INTO artifacts (run_id, rank, kind, key, step, time, meta, payload) "
        "SELECT ?, rank, kind, key, step, time, meta, payload FROM artifacts "
        "WHERE run_id = ? AND rewound = 0 AND step < ? ORDER BY id",
        (run_id, parent_id, step),
    )
    connection.execute(
        "INSERT INTO facts (run_id, rank, key, value, time) SELECT ?, rank, key, value, time FROM facts "
        "WHERE run_id = ?",
        (run_id, parent_id),
    )
