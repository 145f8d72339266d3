"""Stores to read from: what long and wide runs would have left, written through `Store.write` as the writer does."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store import Batch, Column, RowBlock, Store, open_store

RUN = "bench"
SPIKE = 1e6  # one step among ten million; the walk stays within some thousands of zero
FRESH_FLUSHES, FRESH_ROWS = 20, 10  # what a live run wrote in its last seconds, too little to be compacted yet
Floats = npt.NDArray[np.float64]


class Marks(NamedTuple):
    """Steps of the one spike and of the one NaN of a long series."""

    spike_step: int
    nan_step: int


def make_long_store(path: Path, points: int) -> Marks:
    """One series of so many points, a random walk that was float32 once, with one spike and one NaN."""
    generator = np.random.default_rng(0)
    marks = Marks(points * 3 // 7, points * 5 // 7)
    with open_store(path) as store:
        run_id = _start(store)
        level = 0.0
        for first, count in _live_blocks(points, 200_000):
            walk = level + np.cumsum(generator.standard_normal(count))
            level = walk[-1]
            values = walk.astype(np.float32).astype(np.float64)
            for step, value in ((marks.spike_step, SPIKE), (marks.nan_step, np.nan)):
                if first <= step < first + count:
                    values[step - first] = value
            _write(store, run_id, ("loss",), first, _times(generator, first, count), values[:, None])
    return marks


def make_wide_store(path: Path, series: int, points: int) -> None:
    """So many series of so many points each, random walks that were float32 once, recorded together."""
    generator = np.random.default_rng(1)
    keys = tuple(f"layers/{number // 10:03d}/statistic_{number % 10}" for number in range(series))
    level = np.zeros(series, np.float32)
    with open_store(path) as store:
        run_id = _start(store)
        for first, count in _live_blocks(points, max(1, 4_000_000 // series)):
            walk = level + np.cumsum(generator.standard_normal((count, series), np.float32), axis=0)
            level = walk[-1]
            _write(store, run_id, keys, first, _times(generator, first, count), walk.astype(np.float64))


def make_long_run(path: Path, keys: int, values: Floats, rows_per_write: int) -> Floats:
    """A run that logged `values` (n, keys) step by step, some steps to a flush; return the times (n,) it gave them."""
    generator = np.random.default_rng(2)
    names = tuple(f"metric_{number}" for number in range(keys))
    times = _times(generator, 0, len(values))
    with open_store(path) as store:
        run_id = _start(store)
        for first, count in _blocks(len(values), rows_per_write):
            _write(store, run_id, names, first, times[first : first + count], values[first : first + count])
        store.end_run(run_id, "finished")
    return times


def drop_from_page_cache(path: Path) -> None:
    """Have the next read of the file come from the disk, as far as Linux lets a user ask for that."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)  # only clean pages are dropped
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def _start(store: Store) -> int:
    return store.start_run(RUN, {}, host=socket.gethostname(), pid=os.getpid()).id


def _write(store: Store, run_id: int, keys: tuple[str, ...], first: int, times: Floats, values: Floats) -> None:
    steps = np.arange(first, first + len(values), dtype=np.int64)
    store.write(run_id, 0, Batch(rows=[RowBlock(tuple(map(Column, keys)), steps, times, values)]))


def _blocks(size: int, block_size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, size, block_size):
        yield first, min(block_size, size - first)


def _live_blocks(size: int, block_size: int) -> Iterator[tuple[int, int]]:
    """Large blocks, then the small ones of the last seconds."""
    fresh = FRESH_FLUSHES * FRESH_ROWS
    yield from _blocks(size - fresh, block_size)
    for number in range(FRESH_FLUSHES):
        yield size - fresh + number * FRESH_ROWS, FRESH_ROWS


def _times(generator: np.random.Generator, first: int, count: int) -> Floats:
    """Times of steps of 4 ms that jitter by a tenth, in seconds since the epoch, as fine as a float64 there is."""
    jitter = 0.0004 * generator.standard_normal(count)
    return np.asarray(1.8e9 + 0.004 * np.arange(first, first + count) + jitter.clip(-0.0019, 0.0019))
