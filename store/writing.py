"""What goes into a store: each function runs inside a transaction that its caller opened."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from torchglass.store.arrays import encode_arrays
from torchglass.store.codec import Arrived, encode_arrival, encode_counts
from torchglass.store.engine import Connection
from torchglass.store.records import ArtifactBlock, Column, Fact, HistogramBlock, Integers, RowBlock

MOST_KNOWN = 4096  # sets of columns remembered; a loop that logs new names for ever must not fill the memory


def to_json(value: Any) -> str:
    """JSON that any reader accepts: what JSON lacks (NaN, tensors, paths, ...) is kept as its text."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    # A lone surrogate, as of a file's name that is no UTF-8: no database takes it, and this is how JSON escapes it.
    return text.encode(errors="backslashreplace").decode()


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
    """Ids of the series already seen, so that a write does not look each of them up again.

    A write adds to a copy, which takes this one's place once it is committed: ids of a transaction that is rolled back
    do not exist, and others get them next.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[int, int, tuple[Column, ...]], Integers] = {}
        self._histograms: dict[tuple[int, int, str], int] = {}

    def of_columns(self, connection: Connection, run_id: int, rank: int, columns: tuple[Column, ...]) -> Integers:
        """Ids (k,) of the series of these columns, made where there are none."""
        name = (run_id, rank, columns)
        if name not in self._series:
            if len(self._series) >= MOST_KNOWN:
                self._series.clear()
            ids = [_id_of(connection, "series", (run_id, rank, *column)) for column in columns]
            self._series[name] = np.array(ids, np.int64)
        return self._series[name]

    def of_histogram(self, connection: Connection, run_id: int, rank: int, key: str) -> int:
        """Id of the series of histograms of that key, made if there is none."""
        name = (run_id, rank, key)
        if name not in self._histograms:
            self._histograms[name] = _id_of(connection, "histogram_series", name)
        return self._histograms[name]

    def copy(self) -> SeriesIds:
        """Return one that knows the same."""
        made = SeriesIds()
        made._series, made._histograms = self._series.copy(), self._histograms.copy()
        return made


def _id_of(connection: Connection, table: str, row: Sequence[Any]) -> int:
    names = ("run_id", "rank", "key", "kind", "unit")[: len(row)]
    connection.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(row))}) "
        "ON CONFLICT (run_id, rank, key) DO NOTHING",
        row,
    )
    query = f"SELECT id FROM {table} WHERE run_id = ? AND rank = ? AND key = ?"
    return int(connection.execute(query, row[:3]).fetchone()[0])


def put_heartbeat(connection: Connection, run_id: int, rank: int, now: float) -> None:
    """Say that a rank is alive; whoever writes for the same rank waits from here until this transaction ends."""
    connection.execute(
        "INSERT INTO ranks (run_id, rank, heartbeat_at) VALUES (?, ?, ?) "
        "ON CONFLICT (run_id, rank) DO UPDATE SET heartbeat_at = excluded.heartbeat_at",
        (run_id, rank, now),
    )


def hold_rank(connection: Connection, run_id: int, rank: int) -> None:
    """Have whoever writes for the same rank wait until this transaction ends; says nothing about its being alive."""
    connection.execute("UPDATE ranks SET heartbeat_at = heartbeat_at WHERE run_id = ? AND rank = ?", (run_id, rank))


def put_rows(connection: Connection, ids: SeriesIds, run_id: int, rank: int, rows: Iterable[RowBlock]) -> int:
    """Keep rows as they arrived, in one record; return how many values they hold."""
    blocks = [
        Arrived(ids.of_columns(connection, run_id, rank, block.columns), block.steps, block.times, block.values)
        for block in rows
    ]
    filled = [block for block in blocks if len(block.steps)]
    if filled:
        connection.execute(
            "INSERT INTO arrivals (run_id, rank, payload) VALUES (?, ?, ?)", (run_id, rank, encode_arrival(filled))
        )
    return sum(block.values.size for block in blocks)


def put_histogram(connection: Connection, series_id: int, block: HistogramBlock) -> None:
    """Add a histogram; one of the same step is replaced."""
    histogram = block.histogram
    names = ("time", "zero_count", "nan_count", "positive_infinity_count", "negative_infinity_count", "minimum",
             "maximum", "payload")  # fmt: skip
    replaced = ", ".join(f"{name} = excluded.{name}" for name in names)
    connection.execute(
        f"INSERT INTO histograms (series_id, step, {', '.join(names)}) VALUES ({', '.join('?' * (len(names) + 2))}) "
        f"ON CONFLICT (series_id, step, rewound) DO UPDATE SET {replaced}",
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


def put_artifact(connection: Connection, run_id: int, rank: int, block: ArtifactBlock) -> int:
    """Add an artifact and return its id."""
    cursor = connection.execute(
        "INSERT INTO artifacts (run_id, rank, kind, key, step, time, meta, payload) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
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
    return int(cursor.fetchone()[0])


def put_facts(connection: Connection, run_id: int, facts: Iterable[Fact]) -> None:
    """State facts; a later one of the same rank and key replaces the earlier."""
    connection.executemany(
        "INSERT INTO facts (run_id, rank, key, value, time) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (run_id, rank, key) DO UPDATE SET value = excluded.value, time = excluded.time",
        [(run_id, fact.rank, fact.key, to_json(fact.value), fact.time) for fact in facts],
    )


def put_config(connection: Connection, run_id: int, values: Mapping[str, Any]) -> None:
    """Add values to a run's configuration; a later one of the same name replaces the earlier."""
    if values:
        # Written to before it is read: of two ranks that add at once, the second waits here for the first.
        connection.execute("UPDATE runs SET config = config WHERE id = ?", (run_id,))
        row = connection.execute("SELECT config FROM runs WHERE id = ?", (run_id,)).fetchone()
        connection.execute(
            "UPDATE runs SET config = ? WHERE id = ?", (to_json({**json.loads(row[0]), **values}), run_id)
        )
