"""Arrivals -> chunks: each series' new points join its unfinished chunk, and are cut at every 1,024th point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from torchglass.store.arrivals import Group, arrived, grouped, summaries
from torchglass.store.codec import decode_chunk, encode_axis, encode_values, narrowed
from torchglass.store.digest import Digest, Summary, digest, joined
from torchglass.store.engine import Connection
from torchglass.store.records import Floats, Integers

CHUNK_POINTS = 1024  # enough to pack well, few enough that a chunk's extremes say where its points are

_COLUMNS = ("series_id", "first_index", *Digest._fields)
_PUT_CHUNK = (
    f"INSERT INTO chunks ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (series_id, first_index) DO UPDATE SET {', '.join(f'{each} = excluded.{each}' for each in _COLUMNS)}"
)
_PUT_PAYLOAD = (
    "INSERT INTO payloads (series_id, first_index, payload) VALUES (?, ?, ?) "
    "ON CONFLICT (series_id, first_index) DO UPDATE SET payload = excluded.payload"
)


class _Tail(NamedTuple):
    """The unfinished chunk of a series."""

    steps: Integers
    times: Floats
    values: Floats


class _Stretch(NamedTuple):
    """Points of several series with one axis; each series' points are numbered from its own first index."""

    ids: Sequence[int]
    first_indices: Sequence[int]
    steps: Integers
    times: Floats
    values: Floats


def compact(connection: Connection, run_id: int, rank: int, *, is_last: bool = False) -> None:
    """Turn the arrivals of a run and rank into chunks, and add them to the summaries of their series.

    A chunk is packed when it is full; the unfinished ones with it if this `is_last`: they will not soon be rewritten.
    """
    groups = grouped(arrived(connection, run_id, rank))
    if not groups:
        return
    stored = stored_summaries(connection, run_id, rank)
    tails = _tails(connection, run_id, rank)
    for group in groups:
        for stretch in _appended(group, tails, stored):
            _put(connection, stretch, is_last=is_last)
    put_summaries(
        connection,
        {series_id: joined(stored[series_id], fresh) for series_id, fresh in summaries(groups).items()},
    )
    connection.execute("DELETE FROM arrivals WHERE run_id = ? AND rank = ?", (run_id, rank))


def put_points(
    connection: Connection, series_id: int, first_index: int, steps: Integers, times: Floats, values: Floats
) -> None:
    """Add points (n,) to a series, as chunks behind the `first_index` points that it has."""
    _put(connection, _Stretch([series_id], [first_index], steps, times, values[:, None]), is_last=True)


def stored_summaries(connection: Connection, run_id: int, rank: int) -> dict[int, Summary]:
    """Summaries of the compacted points of each series, by its id."""
    rows = connection.execute(
        f"SELECT id, {', '.join(Summary._fields)} FROM series WHERE run_id = ? AND rank = ?", (run_id, rank)
    ).fetchall()
    return {series_id: Summary(*columns) for series_id, *columns in rows}


def put_summaries(connection: Connection, by_series: Mapping[int, Summary]) -> None:
    """Replace the summaries of series."""
    connection.executemany(
        f"UPDATE series SET {', '.join(f'{each} = ?' for each in Summary._fields)} WHERE id = ?",
        [(*summary, series_id) for series_id, summary in by_series.items()],
    )


def _tails(connection: Connection, run_id: int, rank: int) -> dict[int, _Tail]:
    """Last chunks that are not full; one that a resumption rewound stays as it is, so that the next is in order."""
    rows = connection.execute(
        "SELECT p.series_id, p.payload FROM series s "
        "JOIN chunks c ON c.series_id = s.id AND c.first_index > s.point_count - ? "
        "AND c.first_index + c.point_count = s.point_count "
        "JOIN payloads p ON p.series_id = c.series_id AND p.first_index = c.first_index "
        "WHERE s.run_id = ? AND s.rank = ? "
        "AND NOT EXISTS (SELECT 1 FROM rewinds r WHERE r.series_id = s.id AND r.until_index = s.point_count)",
        (CHUNK_POINTS, run_id, rank),
    ).fetchall()
    return {series_id: _Tail(*decode_chunk(bytes(payload))) for series_id, payload in rows}


def _appended(group: Group, tails: Mapping[int, _Tail], stored: Mapping[int, Summary]) -> Iterator[_Stretch]:
    """New points behind the tails of their series; series whose tails share their axis too stay together."""
    alike: dict[bytes, list[int]] = {}
    for column, series_id in enumerate(group.ids.tolist()):
        tail = tails.get(series_id)
        axis = b"" if tail is None else tail.steps.tobytes() + tail.times.tobytes()
        alike.setdefault(axis, []).append(column)
    for columns in alike.values():
        ids = group.ids[columns].tolist()
        steps, times, values = group.steps, group.times, group.values[:, columns]
        before = [tails[series_id] for series_id in ids if series_id in tails]
        if before:
            steps = np.concatenate([before[0].steps, steps])
            times = np.concatenate([before[0].times, times])
            values = np.concatenate([np.stack([tail.values for tail in before], axis=1), values])
        kept = len(steps) - len(group.steps)
        yield _Stretch(ids, [stored[series_id].point_count - kept for series_id in ids], steps, times, values)


def _put(connection: Connection, stretch: _Stretch, *, is_last: bool) -> None:
    heads, payloads = [], []
    for start in range(0, len(stretch.steps), CHUNK_POINTS):
        piece = slice(start, start + CHUNK_POINTS)
        steps, times, values = stretch.steps[piece], stretch.times[piece], stretch.values[piece]
        axis = encode_axis(steps, times, pack=is_last or len(steps) == CHUNK_POINTS)
        narrow, exact = narrowed(values)
        by_series = zip(stretch.ids, stretch.first_indices, exact.tolist(), digest(steps, times, values), strict=True)
        for column, (series_id, first_index, is_exact, found) in enumerate(by_series):
            heads.append((series_id, first_index + start, *found))
            kept = narrow[:, column] if is_exact else values[:, column]
            payloads.append((series_id, first_index + start, encode_values(axis, kept)))
    connection.executemany(_PUT_CHUNK, heads)
    connection.executemany(_PUT_PAYLOAD, payloads)
