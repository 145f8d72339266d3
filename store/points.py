"""Points of one series, read back: all of them, those of a window, those worth drawing, those since a cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store.arrivals import NOTHING, Column, arrived, of_series
from torchglass.store.codec import decode_chunk
from torchglass.store.downsample import POINTS_PER_BUCKET, worth_drawing
from torchglass.store.engine import Connection
from torchglass.store.records import TIMED_KINDS, Floats, Integers, Points, SeriesKind


class Rewind(NamedTuple):
    """Points before `until_index` at or after `step` were left behind when the run was resumed at `step`."""

    step: int
    until_index: int


class _Heads(NamedTuple):
    """The summary columns of chunks, each (m,), in the order written; NaN where there is no finite value."""

    first_index: Integers
    point_count: Integers
    nonfinite_count: Integers
    is_ordered: Integers
    first_step: Integers
    last_step: Integers
    minimum_step: Integers
    maximum_step: Integers
    first_time: Floats
    last_time: Floats
    minimum_time: Floats
    maximum_time: Floats
    first: Floats
    last: Floats
    minimum: Floats
    maximum: Floats

    def only(self, which: npt.NDArray[np.bool_]) -> _Heads:
        return _Heads._make(column[which] for column in self)

    @property
    def end(self) -> Integers:
        return self.first_index + self.point_count


CHUNKS_AT_ONCE = 64
_ALL_STEPS = (-(2**63), 2**63 - 1)
_STEP_COLUMNS = 8
_HEAD_COLUMNS = tuple(
    f"coalesce({name}, first_step)" if name in ("minimum_step", "maximum_step") else name for name in _Heads._fields
)


class _Columns(NamedTuple):
    """Points in the order written, with their index."""

    indices: Integers
    steps: Integers
    times: Floats
    values: Floats


class SeriesReader:
    """Reads one series within a transaction that its caller opened.

    `fresh` gives what arrived of a run and rank, by series, for callers that read several and ask once.
    """

    _kind: SeriesKind
    _compacted: int

    def __init__(
        self, connection: Connection, series_id: int, fresh: Callable[[int, int], Mapping[int, Column]] | None = None
    ) -> None:
        self._connection = connection
        self._id = series_id
        query = "SELECT run_id, rank, kind, point_count FROM series WHERE id = ?"
        row: Any = connection.execute(query, (series_id,)).fetchone()
        run_id, rank, self._kind, self._compacted = row or (0, 0, "scalar", 0)
        column = (
            of_series(arrived(connection, run_id, rank), series_id)
            if fresh is None
            else fresh(run_id, rank).get(series_id, NOTHING)
        )
        self._fresh = _Columns(self._compacted + np.arange(len(column.steps)), *column)
        rewinds = connection.execute("SELECT step, until_index FROM rewinds WHERE series_id = ?", (series_id,))
        self._rewinds = [Rewind(*each) for each in rewinds.fetchall()]

    @property
    def end(self) -> int:
        """Number of points written, shown or not."""
        return self._compacted + len(self._fresh.steps)

    def stretches(self) -> Iterator[tuple[Integers, Floats, Floats]]:
        """Steps, times and values (n,), n > 0, of all that is shown, in the order written, in pieces that fit."""
        heads = self._heads()
        heads = heads.only(~self._are_left_behind(heads))
        starts = range(0, len(heads.point_count), CHUNKS_AT_ONCE)
        pieces = (
            _concatenated([*self._read(_Heads._make(column[start : start + CHUNKS_AT_ONCE] for column in heads))])
            for start in starts
        )
        for piece in chain(pieces, (self._fresh,)):
            read = self._visible(piece)
            if len(read.steps):
                yield read.steps, read.times, read.values

    def tail(self, cursor: int) -> Points:
        """Points from the index `cursor` on, in the order they were written."""
        heads = self._heads()
        heads = heads.only(heads.end > cursor)
        read = self._visible(_concatenated([*self._read(heads), self._fresh]))
        read = _picked(read, np.flatnonzero(read.indices >= cursor))
        return Points(read.steps, read.times, read.values, len(read.steps), max(cursor, self.end))

    def points(self, window: tuple[int, int] | None, max_points: int | None) -> Points:
        """Points in order of step, the last write of a step winning; reduced to about `max_points`."""
        heads = self._heads(window)
        if max_points is not None and len(heads.point_count) * POINTS_PER_BUCKET >= max_points:
            heads = heads.only(~self._are_left_behind(heads))
            if self._follow_each_other(heads):
                return self._glance(heads, window, max_points)
        read = self._in_order(self._within(_concatenated([*self._read(heads), self._fresh]), window))
        total = len(read.steps)
        if max_points is not None:
            read = _picked(read, worth_drawing(read.values, max_points))
        return Points(read.steps, read.times, read.values, total, self.end)

    def _heads(self, window: tuple[int, int] | None = None) -> _Heads:
        low, high = window or _ALL_STEPS
        rows = self._connection.execute(
            f"SELECT {', '.join(_HEAD_COLUMNS)} FROM chunks WHERE series_id = ? AND last_step >= ? AND first_step <= ? "
            "ORDER BY first_index",
            (self._id, low, high),
        ).fetchall()
        columns = zip(*rows, strict=True) if rows else ((),) * len(_HEAD_COLUMNS)
        dtypes = [np.int64] * _STEP_COLUMNS + [np.float64] * (len(_HEAD_COLUMNS) - _STEP_COLUMNS)
        return _Heads._make(np.array(column, dtype) for column, dtype in zip(columns, dtypes, strict=True))

    def _read(self, heads: _Heads) -> Iterator[_Columns]:
        """Points of chunks, fetched as stretches of neighbours."""
        is_last = np.append(heads.first_index[1:] != heads.end[:-1], True)[: heads.end.size]
        start = 0
        for end in np.flatnonzero(is_last).tolist():
            rows = self._connection.execute(
                "SELECT first_index, payload FROM payloads WHERE series_id = ? AND first_index BETWEEN ? AND ? "
                "ORDER BY first_index",
                (self._id, int(heads.first_index[start]), int(heads.first_index[end])),
            ).fetchall()
            start = end + 1
            for first_index, payload in rows:
                steps, times, values = decode_chunk(bytes(payload))
                yield _Columns(first_index + np.arange(len(steps)), steps, times, values)

    def _follow_each_other(self, heads: _Heads) -> bool:
        """Tell whether no point was written over: each chunk begins behind the one before, as does what is fresh."""
        if self._kind in TIMED_KINDS or not heads.is_ordered.all():
            return False
        last_step = heads.last_step
        for each in self._rewinds:
            before = max(each.step - 1, _ALL_STEPS[0])
            last_step = np.where(heads.first_index < each.until_index, np.minimum(last_step, before), last_step)
        begins = np.append(heads.first_step, self._fresh.steps)
        ends = np.append(last_step, self._fresh.steps)
        return bool((ends[:-1] < begins[1:]).all())

    def _glance(self, heads: _Heads, window: tuple[int, int] | None, max_points: int) -> Points:
        """Reduce by the chunks' own extremes; only chunks with something special in them are opened."""
        low, high = window or _ALL_STEPS
        special = (heads.nonfinite_count > 0) | (heads.first_step < low) | (heads.last_step > high)
        for each in self._rewinds:
            special |= (heads.first_index < each.until_index) & (heads.last_step >= each.step)
        plain = heads.only(~special)
        opened = self._within(_concatenated([*self._read(heads.only(special)), self._fresh]), window)
        read = _concatenated([_extremes(plain), opened])
        read = _picked(read, np.argsort(read.steps, kind="stable"))
        read = _picked(read, worth_drawing(read.values, max_points))
        return Points(read.steps, read.times, read.values, int(plain.point_count.sum()) + len(opened.steps), self.end)

    def _are_left_behind(self, heads: _Heads) -> npt.NDArray[np.bool_]:
        hidden = np.zeros(len(heads.point_count), np.bool_)
        for each in self._rewinds:
            hidden |= (heads.end <= each.until_index) & (heads.first_step >= each.step)
        return hidden

    def _visible(self, read: _Columns) -> _Columns:
        for each in self._rewinds:
            read = _picked(read, np.flatnonzero((read.indices >= each.until_index) | (read.steps < each.step)))
        return read

    def _within(self, read: _Columns, window: tuple[int, int] | None) -> _Columns:
        read = self._visible(read)
        if window is None:
            return read
        return _picked(read, np.flatnonzero((read.steps >= window[0]) & (read.steps <= window[1])))

    def _in_order(self, read: _Columns) -> _Columns:
        return read if self._kind in TIMED_KINDS else _picked(read, _last_write_of_each_step(read.steps))


def _extremes(heads: _Heads) -> _Columns:
    """First, smallest, largest and last point of each chunk, in order of step, each once."""
    steps = np.concatenate([heads.first_step, heads.minimum_step, heads.maximum_step, heads.last_step])
    times = np.concatenate([heads.first_time, heads.minimum_time, heads.maximum_time, heads.last_time])
    values = np.concatenate([heads.first, heads.minimum, heads.maximum, heads.last])
    steps, chosen = np.unique(steps, return_index=True)
    return _Columns(np.zeros(len(steps), np.int64), steps, times[chosen], values[chosen])


def _concatenated(parts: Sequence[_Columns]) -> _Columns:
    if not parts:
        return _Columns(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
    return _Columns._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _picked(read: _Columns, keep: Integers) -> _Columns:
    return _Columns._make(column[keep] for column in read)


def _last_write_of_each_step(steps: Integers) -> Integers:
    """Indices in order of step; of several writes to one step only the last."""
    if len(steps) < 2 or bool((steps[1:] > steps[:-1]).all()):
        return np.arange(len(steps))
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    latest: Integers = order[np.append(ordered[1:] != ordered[:-1], True)]
    return latest
