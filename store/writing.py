"""What goes into a store: each function runs inside a transaction that its caller opened."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from torchglass.store.codec import decode_chunk, encode_arrays, encode_chunk, encode_counts, encode_point
from torchglass.store.records import ArtifactBlock, Fact, HistogramBlock, ProfilerWindow, SeriesBlock

CHUNKS_PER_MERGE = 16  # so many chunks of one level become one of the next
LARGEST = sys.float_info.max  # where a running total stays once it got there: SQLite keeps no infinity apart from NULL
TOP_LEVEL = 3  # 16**3 writes to a chunk: rewriting larger ones costs more than it saves


def to_json(value: Any) -> str:
    """JSON that any reader accepts: what JSON lacks (NaN, tensors, paths, ...) is kept as its text."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    return str(value)


class SeriesIds:
    """Ids of the series already seen, so that a write does not look each of them up again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, str], int] = {}

    def get(self, connection: sqlite3.Connection, table: str, run_id: int, rank: int, key: str, **columns: str) -> int:
        """Return the id of a row of `series` or `histogram_series`, made if there is none."""
        name = (table, run_id, rank, key)
        if name not in self._known:
            names = ["run_id", "rank", "key", *columns]
            connection.execute(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
                "ON CONFLICT (run_id, rank, key) DO NOTHING",
                (run_id, rank, key, *columns.values()),
            )
            query = f"SELECT id FROM {table} WHERE run_id = ? AND rank = ? AND key = ?"
            self._known[name] = int(connection.execute(query, (run_id, rank, key)).fetchone()[0])
        return self._known[name]

    def forget(self) -> None:
        """Drop the memory: ids that a rolled-back transaction made do not exist."""
        self._known.clear()


class _Block(NamedTuple):
    """What a block adds to its series: the columns of its chunk, and where its extremes are."""

    size: int
    nonfinite_count: int
    first_step: int
    last_step: int
    minimum: float | None
    minimum_step: int | None
    maximum: float | None
    maximum_step: int | None
    total: float
    last: float | None
    payload: bytes


class MergeTurns:
    """Tells whose turn it is to have its small chunks merged: every so many writes of a series, never all at once."""

    def __init__(self) -> None:
        self._writes: dict[int, int] = {}

    def take(self, series_id: int) -> bool:
        """Count a write of the series; true at its turn, which the id sets off from those of its neighbours."""
        writes = self._writes.get(series_id, series_id) + 1
        self._writes[series_id] = writes
        return writes % CHUNKS_PER_MERGE == 0


def append_points(connection: sqlite3.Connection, blocks: Iterable[tuple[int, SeriesBlock]], turns: MergeTurns) -> None:
    """Add a chunk for each block of a series (by id), keep the series' summaries, and merge chunks in their turn."""
    distinct: dict[int, SeriesBlock] = {}
    for series_id, block in blocks:
        if series_id in distinct:
            # The second chunk of a series is numbered after the first: that one must be in before.
            _append_distinct(connection, distinct, turns)
            distinct = {}
        if len(block.steps):
            distinct[series_id] = block
    _append_distinct(connection, distinct, turns)


def _append_distinct(connection: sqlite3.Connection, blocks: Mapping[int, SeriesBlock], turns: MergeTurns) -> None:
    rows = [{"id": series_id, "largest": LARGEST, **_digest(block)._asdict()} for series_id, block in blocks.items()]
    connection.executemany(
        "INSERT INTO chunks SELECT id, count, 0, :size, :nonfinite_count, :first_step, :last_step, :minimum, :maximum, "
        ":last, :payload FROM series WHERE id = :id",
        rows,
    )
    connection.executemany(
        """UPDATE series SET
            count = count + :size, nonfinite_count = nonfinite_count + :nonfinite_count,
            total = max(-:largest, min(:largest, total + :total)),
            minimum_step = CASE WHEN minimum IS NULL OR :minimum < minimum THEN :minimum_step ELSE minimum_step END,
            minimum = CASE WHEN minimum IS NULL OR :minimum < minimum THEN :minimum ELSE minimum END,
            maximum_step = CASE WHEN maximum IS NULL OR :maximum > maximum THEN :maximum_step ELSE maximum_step END,
            maximum = CASE WHEN maximum IS NULL OR :maximum > maximum THEN :maximum ELSE maximum END,
            last = CASE WHEN :last IS NULL THEN last ELSE :last END,
            last_step = max(coalesce(last_step, :last_step), :last_step)
        WHERE id = :id""",
        rows,
    )
    for series_id in blocks:
        if turns.take(series_id):
            merge_small_chunks(connection, series_id)


def _digest(block: SeriesBlock) -> _Block:
    if len(block.steps) == 1:
        return _digest_point(int(block.steps[0]), float(block.times[0]), float(block.values[0]))
    steps, times = np.asarray(block.steps, np.int64), np.asarray(block.times, np.float64)
    values = np.asarray(block.values, np.float64)
    finite = np.isfinite(values)
    kept, kept_steps = values[finite], steps[finite]
    with np.errstate(over="ignore"):
        total = float(np.clip(kept.sum(), -LARGEST, LARGEST))
    lowest, highest = (int(kept.argmin()), int(kept.argmax())) if kept.size else (None, None)
    return _Block(
        size=len(steps),
        nonfinite_count=len(steps) - kept.size,
        first_step=int(steps.min()),
        last_step=int(steps.max()),
        minimum=None if lowest is None else float(kept[lowest]),
        minimum_step=None if lowest is None else int(kept_steps[lowest]),
        maximum=None if highest is None else float(kept[highest]),
        maximum_step=None if highest is None else int(kept_steps[highest]),
        total=total,
        last=float(kept[-1]) if kept.size else None,
        payload=encode_chunk(steps, times, values),
    )


def _digest_point(step: int, time: float, value: float) -> _Block:
    """What `_digest` says of a single point, ten times as fast: a sample of all layers is a thousand of these."""
    payload = encode_point(step, time, value)
    if math.isfinite(value):
        return _Block(1, 0, step, step, value, step, value, step, value, value, payload)
    return _Block(1, 1, step, step, None, None, None, None, 0.0, None, payload)


def merge_small_chunks(connection: sqlite3.Connection, series_id: int) -> None:
    """Replace each full set of neighbours of one level by one chunk of the next, as a log-structured merge does."""
    for level in range(TOP_LEVEL):
        rows = connection.execute(
            "SELECT first_index, payload FROM chunks WHERE series_id = ? AND level = ? ORDER BY first_index",
            (series_id, level),
        ).fetchall()
        if len(rows) < CHUNKS_PER_MERGE:
            return
        parts = [decode_chunk(payload) for _, payload in rows]
        steps, times, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        merged = _digest(SeriesBlock("", "scalar", "", steps, times, values))
        connection.execute("DELETE FROM chunks WHERE series_id = ? AND level = ?", (series_id, level))
        connection.execute(
            "INSERT INTO chunks VALUES (:id, :first_index, :level, :size, :nonfinite_count, :first_step, :last_step, "
            ":minimum, :maximum, :last, :payload)",
            {"id": series_id, "first_index": rows[0][0], "level": level + 1, **merged._asdict()},
        )


def put_histogram(connection: sqlite3.Connection, series_id: int, block: HistogramBlock) -> None:
    """Add a histogram; one of the same step is replaced."""
    histogram = block.histogram
    connection.execute(
        "INSERT OR REPLACE INTO histograms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            series_id,
            histogram.step,
            histogram.time,
            histogram.zero_count,
            histogram.nan_count,
            histogram.positive_infinity_count,
            histogram.negative_infinity_count,
            histogram.minimum,
            histogram.maximum,
            encode_counts(histogram.bins, histogram.counts),
        ),
    )


def put_window(connection: sqlite3.Connection, run_id: int, rank: int, window: ProfilerWindow) -> None:
    """Add a profiler window with its rows."""
    cursor = connection.execute(
        "INSERT INTO profiler_windows (run_id, rank, step, time, step_count, wall_seconds, facts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run_id, rank, window.step, window.time, window.step_count, window.wall_seconds, to_json(dict(window.facts))),
    )
    connection.executemany(
        "INSERT INTO profiler_rows VALUES (?, ?, ?, ?, ?, ?)", [(cursor.lastrowid, *row) for row in window.rows]
    )


def put_artifact(connection: sqlite3.Connection, run_id: int, rank: int, block: ArtifactBlock) -> int:
    """Add an artifact and return its id."""
    cursor = connection.execute(
        "INSERT INTO artifacts (run_id, rank, kind, key, step, time, meta, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run_id,
            rank,
            block.kind,
            block.key,
            block.step,
            block.time,
            to_json(dict(block.meta)),
            encode_arrays(block.arrays),
        ),
    )
    return int(cursor.lastrowid or 0)


def put_facts(connection: sqlite3.Connection, run_id: int, facts: Iterable[Fact]) -> None:
    """State facts; a later one of the same rank and key replaces the earlier."""
    connection.executemany(
        "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)",
        [(run_id, fact.rank, fact.key, to_json(fact.value), fact.time) for fact in facts],
    )
