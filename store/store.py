"""The store: everything that two processes share about a run."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.errors import RunNotFoundError, StoreError
from torchglass.store import writing
from torchglass.store.codec import decode_arrays, decode_chunk, decode_counts
from torchglass.store.connection import Connections, resolve_path
from torchglass.store.downsample import worth_drawing
from torchglass.store.records import (
    TIMED_KINDS,
    Artifact,
    ArtifactBlock,
    Batch,
    Fact,
    Floats,
    Histogram,
    Integers,
    Points,
    ProfilerRow,
    ProfilerWindow,
    RowBlock,
    Run,
    RunStatus,
    Series,
    SeriesBlock,
)

LOST_AFTER_SECONDS = 15.0  # a running run beats once a second; so many missed beats mean its process is gone
_SERIES_COLUMNS = (
    "id, run_id, rank, key, kind, unit, count, nonfinite_count, minimum, minimum_step, maximum, maximum_step, "
    f"CASE WHEN count > nonfinite_count AND abs(total) < {writing.LARGEST!r} "
    "THEN total / (count - nonfinite_count) END, last, last_step"
)
_ARTIFACT_COLUMNS = "id, run_id, rank, kind, key, step, time, meta"


class Store:
    """Runs, their series, histograms, profiler windows, artifacts and facts, in one file.

    Safe to share between threads and processes; a write is all or nothing and readers never wait for writers.
    Every method raises `StoreError` when the file cannot be read or written.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path: Path = resolve_path(location)
        self._connections = Connections(self.path, create=create and not read_only, read_only=read_only)
        self._series_ids = writing.SeriesIds()
        self._merge_turns = writing.MergeTurns()
        self._clock = clock

    def close(self) -> None:
        """Close this process's connections."""
        self._connections.close()

    def limit_waiting(self, seconds: float) -> None:
        """Give up on a file that others keep locked after this long; it is 30 s until this is called."""
        self._connections.limit_waiting(seconds)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Runs

    def start_run(
        self, name: str, config: Mapping[str, Any], *, host: str, pid: int, launch_id: str | None = None
    ) -> Run:
        """Register a run; a name that is taken gets `-2`, `-3`, ...; ranks of one `launch_id` share one run."""
        with self._connections.writing() as connection:
            if launch_id is not None:
                row = connection.execute("SELECT id FROM runs WHERE launch_id = ?", (launch_id,)).fetchone()
                if row is not None:
                    return self._run_where(connection, "id = ?", row[0])
            now = self._clock()
            cursor = connection.execute(
                "INSERT INTO runs (uid, name, launch_id, status, created_at, heartbeat_at, host, pid, config) "
                "VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?)",
                (
                    uuid.uuid4().hex,
                    _free_name(connection, name),
                    launch_id,
                    now,
                    now,
                    host,
                    pid,
                    writing.to_json(dict(config)),
                ),
            )
            return self._run_where(connection, "id = ?", cursor.lastrowid)

    def end_run(self, run_id: int, status: RunStatus, error: str | None = None) -> None:
        """Close a run as finished, failed (with the exception's text) or interrupted.

        Of several ranks that close it, one that did not finish outweighs those that did.
        """
        now = self._clock()
        with self._connections.writing() as connection:
            connection.execute(
                "UPDATE runs SET status = ?, error = ?, ended_at = ?, heartbeat_at = ? WHERE id = ? "
                "AND NOT (? = 'finished' AND status IN ('failed', 'interrupted'))",
                (status, error, now, now, run_id, status),
            )

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        with self._connections.reading() as connection:
            rows = connection.execute(f"{_SELECT_RUN} ORDER BY id DESC").fetchall()
            return [self._to_run(row) for row in rows]

    def run(self, name: str | int) -> Run:
        """The run of that name, id, or beginning of its uid (6 characters or more).

        Raises:
            RunNotFoundError: there is none, or several uids begin so.
        """
        with self._connections.reading() as connection:
            if isinstance(name, int):
                return self._run_where(connection, "id = ?", name)
            if connection.execute("SELECT 1 FROM runs WHERE name = ?", (name,)).fetchone():
                return self._run_where(connection, "name = ?", name)
            matches = []
            if len(name) >= 6 and name.isalnum():
                matches = connection.execute("SELECT id FROM runs WHERE uid LIKE ?", (f"{name}%",)).fetchall()
            if len(matches) == 1:
                return self._run_where(connection, "id = ?", matches[0][0])
            known = [row[0] for row in connection.execute("SELECT name FROM runs ORDER BY id DESC LIMIT 5")]
            hint = f"the newest are {', '.join(known)}" if known else "the store holds none yet"
            raise RunNotFoundError(f"no run {name!r} in {self.path}: {hint}")

    # Writing

    def write(self, run_id: int, rank: int, batch: Batch) -> None:
        """Store a batch in one transaction; it also counts as the run's heartbeat."""
        try:
            with self._connections.writing() as connection:
                series = [*batch.series, *(each for rows in batch.rows for each in _by_series(rows))]
                blocks = [(self._series_id(connection, run_id, rank, block), block) for block in series]
                writing.append_points(connection, blocks, self._merge_turns)
                for histogram in batch.histograms:
                    series_id = self._series_ids.get(connection, "histogram_series", run_id, rank, histogram.key)
                    writing.put_histogram(connection, series_id, histogram)
                for window in batch.windows:
                    writing.put_window(connection, run_id, rank, window)
                for artifact in batch.artifacts:
                    writing.put_artifact(connection, run_id, rank, artifact)
                writing.put_facts(connection, run_id, batch.facts)
                connection.execute("UPDATE runs SET heartbeat_at = ? WHERE id = ?", (self._clock(), run_id))
        except BaseException:
            self._series_ids.forget()
            raise

    def _series_id(self, connection: sqlite3.Connection, run_id: int, rank: int, block: SeriesBlock) -> int:
        return self._series_ids.get(connection, "series", run_id, rank, block.key, kind=block.kind, unit=block.unit)

    def add_artifact(self, run_id: int, block: ArtifactBlock, rank: int = 0) -> int:
        """Store one artifact, of a run that may have ended, and return its id."""
        with self._connections.writing() as connection:
            return writing.put_artifact(connection, run_id, rank, block)

    def state_facts(self, run_id: int, facts: Iterable[Fact]) -> None:
        """State facts about a run that may have ended."""
        with self._connections.writing() as connection:
            writing.put_facts(connection, run_id, facts)

    # Reading

    def series_of(self, run_id: int, *, kind: str | None = None, rank: int | None = None) -> list[Series]:
        """Every series of a run with its summary, by key and rank; no point is read."""
        query = f"SELECT {_SERIES_COLUMNS} FROM series WHERE run_id = ?"
        parameters: list[Any] = [run_id]
        for column, wanted in (("kind", kind), ("rank", rank)):
            if wanted is not None:
                query += f" AND {column} = ?"
                parameters.append(wanted)
        with self._connections.reading() as connection:
            rows = connection.execute(f"{query} ORDER BY key, rank", parameters).fetchall()
        return [Series(*row) for row in rows]

    def series(self, series_id: int) -> Series | None:
        """One series with its summary; None when there is none of that id."""
        with self._connections.reading() as connection:
            row = connection.execute(f"SELECT {_SERIES_COLUMNS} FROM series WHERE id = ?", (series_id,)).fetchone()
        return None if row is None else Series(*row)

    def find_series(self, run_id: int, key: str, rank: int = 0) -> Series | None:
        """The series of that key; None when nothing was recorded under it."""
        return next((series for series in self.series_of(run_id, rank=rank) if series.key == key), None)

    def points(self, series_id: int, *, window: tuple[int, int] | None = None, max_points: int | None = None) -> Points:
        """Points of a series in order of step, the last write of a step winning; of kinds sampled by the clock, each.

        `window` keeps steps from its first to its last, both included. With `max_points` the points are reduced to
        about that many so that every spike and every non-finite stretch stays visible.
        """
        low, high = window if window is not None else (None, None)
        with self._connections.reading() as connection:
            head = connection.execute("SELECT kind, count FROM series WHERE id = ?", (series_id,)).fetchone()
            kind, cursor = head or ("scalar", 0)
            rows = connection.execute(
                "SELECT payload FROM chunks WHERE series_id = ? AND last_step >= coalesce(?, last_step) "
                "AND first_step <= coalesce(?, first_step) ORDER BY first_index",
                (series_id, low, high),
            ).fetchall()
        steps, times, values = _join_chunks([row[0] for row in rows])
        keep = np.arange(len(steps)) if kind in TIMED_KINDS else _last_write_of_each_step(steps)
        if window is not None:
            keep = keep[(steps[keep] >= window[0]) & (steps[keep] <= window[1])]
        total = len(keep)
        if max_points is not None:
            keep = keep[worth_drawing(values[keep], max_points)]
        return Points(steps[keep], times[keep], values[keep], total, cursor)

    def tail(self, series_id: int, cursor: int) -> Points:
        """Points written after `cursor`, in the order they were written; compaction does not disturb a cursor."""
        with self._connections.reading() as connection:
            rows = connection.execute(
                "SELECT first_index, payload FROM chunks WHERE series_id = ? AND first_index + count > ? "
                "ORDER BY first_index",
                (series_id, cursor),
            ).fetchall()
        steps, times, values = _join_chunks([row[1] for row in rows])
        seen = max(cursor - rows[0][0], 0) if rows else 0
        end = rows[0][0] + len(steps) if rows else cursor
        return Points(steps[seen:], times[seen:], values[seen:], len(steps) - seen, end)

    def histogram_keys(self, run_id: int, rank: int = 0) -> list[str]:
        """Keys that have histograms."""
        with self._connections.reading() as connection:
            rows = connection.execute(
                "SELECT key FROM histogram_series WHERE run_id = ? AND rank = ? ORDER BY id", (run_id, rank)
            ).fetchall()
        return [row[0] for row in rows]

    def histograms(self, run_id: int, key: str, rank: int = 0) -> list[Histogram]:
        """Histograms of one key in order of step."""
        with self._connections.reading() as connection:
            rows = connection.execute(
                "SELECT step, time, payload, zero_count, nan_count, positive_infinity_count, negative_infinity_count, "
                "minimum, maximum FROM histograms WHERE series_id = "
                "(SELECT id FROM histogram_series WHERE run_id = ? AND rank = ? AND key = ?) ORDER BY step",
                (run_id, rank, key),
            ).fetchall()
        return [Histogram(step, when, *decode_counts(payload), *rest) for step, when, payload, *rest in rows]

    def windows(self, run_id: int, rank: int | None = None) -> list[ProfilerWindow]:
        """Profiler windows of a run with their rows, in order of step."""
        with self._connections.reading() as connection:
            heads = connection.execute(
                "SELECT id, rank, step, time, step_count, wall_seconds, facts FROM profiler_windows "
                "WHERE run_id = ? AND rank = coalesce(?, rank) ORDER BY step, rank",
                (run_id, rank),
            ).fetchall()
            windows = []
            for window_id, window_rank, step, when, step_count, wall_seconds, facts in heads:
                rows = connection.execute(
                    "SELECT kind, name, calls, self_seconds, total_seconds FROM profiler_rows WHERE window_id = ? "
                    "ORDER BY self_seconds DESC",
                    (window_id,),
                ).fetchall()
                windows.append(
                    ProfilerWindow(
                        step=step,
                        time=when,
                        step_count=step_count,
                        wall_seconds=wall_seconds,
                        facts=json.loads(facts),
                        rows=tuple(ProfilerRow(*row) for row in rows),
                        id=window_id,
                        rank=window_rank,
                    )
                )
        return windows

    def artifacts(self, run_id: int, *, kind: str | None = None, key: str | None = None) -> list[Artifact]:
        """Artifacts of a run without their arrays, in the order they were stored."""
        with self._connections.reading() as connection:
            rows = connection.execute(
                f"SELECT {_ARTIFACT_COLUMNS} FROM artifacts WHERE run_id = ? AND kind = coalesce(?, kind) "
                "AND key = coalesce(?, key) ORDER BY id",
                (run_id, kind, key),
            ).fetchall()
        return [_to_artifact(row) for row in rows]

    def arrays(self, artifact_id: int) -> dict[str, npt.NDArray[Any]]:
        """Arrays of one artifact by name; read without pickle."""
        with self._connections.reading() as connection:
            row = connection.execute("SELECT payload FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()
        if row is None:
            raise RunNotFoundError(f"no artifact {artifact_id} in {self.path}")
        try:
            return decode_arrays(row[0])
        except StoreError as error:
            raise StoreError(f"cannot read artifact {artifact_id} in {self.path}: {error}") from error

    def facts(self, run_id: int) -> list[Fact]:
        """What was stated about a run, by key and rank."""
        with self._connections.reading() as connection:
            rows = connection.execute(
                "SELECT rank, key, value, time FROM facts WHERE run_id = ? ORDER BY key, rank", (run_id,)
            ).fetchall()
        return [Fact(rank, key, json.loads(value), when) for rank, key, value, when in rows]

    def _run_where(self, connection: sqlite3.Connection, condition: str, value: Any) -> Run:
        row = connection.execute(f"{_SELECT_RUN} WHERE {condition}", (value,)).fetchone()
        if row is None:
            raise RunNotFoundError(f"no run {value!r} in {self.path}")
        return self._to_run(row)

    def _to_run(self, row: Sequence[Any]) -> Run:
        run_id, uid, name, status, created_at, heartbeat_at, ended_at, host, pid, config, error = row
        silent = self._clock() - heartbeat_at > LOST_AFTER_SECONDS
        told: RunStatus = "lost" if status == "running" and silent else status
        return Run(run_id, uid, name, told, created_at, heartbeat_at, ended_at, host, pid, json.loads(config), error)


_SELECT_RUN = "SELECT id, uid, name, status, created_at, heartbeat_at, ended_at, host, pid, config, error FROM runs"


def _free_name(connection: sqlite3.Connection, wanted: str) -> str:
    name, number = wanted, 1
    while connection.execute("SELECT 1 FROM runs WHERE name = ?", (name,)).fetchone():
        number += 1
        name = f"{wanted}-{number}"
    return name


def _by_series(rows: RowBlock) -> list[SeriesBlock]:
    return [
        SeriesBlock(column.key, column.kind, column.unit, rows.steps, rows.times, rows.values[:, index])
        for index, column in enumerate(rows.columns)
    ]


def _join_chunks(payloads: list[bytes]) -> tuple[Integers, Floats, Floats]:
    if not payloads:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    parts = [decode_chunk(payload) for payload in payloads]
    steps, times, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return steps, times, values


def _last_write_of_each_step(steps: Integers) -> Integers:
    """Indices in order of step; of several writes to one step only the last."""
    if len(steps) < 2 or bool((np.diff(steps) > 0).all()):
        return np.arange(len(steps))
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    latest: Integers = order[np.append(ordered[1:] != ordered[:-1], True)]
    return latest


def _to_artifact(row: Sequence[Any]) -> Artifact:
    artifact_id, run_id, rank, kind, key, step, when, meta = row
    return Artifact(artifact_id, run_id, rank, kind, key, step, when, json.loads(meta))
