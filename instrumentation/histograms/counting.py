"""Counting on the host, many tensors at a time: by numpy over stretches that fit the cache, or by a compiled loop.

Small tensors are laid end to end, so that a model of a thousand of them costs no more than its values do. Large ones
are read where they are, in pieces that a second thread takes turns at.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch

from torchglass.instrumentation.histograms.compiled import COMPILED
from torchglass.instrumentation.histograms.rows import (
    LARGEST,
    NEGATIVE_INFINITIES,
    NEGATIVE_ZEROS,
    POSITIVE_INFINITIES,
    POSITIVE_ZEROS,
    ROW_SIZE,
    SMALLEST,
    merge_rows,
    to_keys,
)
from torchglass.instrumentation.layers.copies import Pool
from torchglass.store.bins import BIN_COUNT, NONFINITE_BIN, SHIFT, SIGN_BIN

Values = npt.NDArray[np.float32]
Int32Rows = npt.NDArray[np.int32]

PIECE_VALUES = 2**18  # 1 MB and as much again for its bins: the second cache, and long enough to run unlocked
PACK_VALUES = 2**17  # that small tensors are laid end to end for
PACK_ROWS = 64  # so that a pack's table of bins stays in the cache too
SHARED_VALUES = 2**21  # from here on, 2 ms of counting, a second thread is worth its start
_NEGATIVE_ZERO, _INFINITY, _NEGATIVE_INFINITY = 0x80000000, 0x7F800000, 0xFF800000


@dataclass(frozen=True)
class Pack:
    """Copies of several tensors end to end (n,), and where each begins (rows,); none is empty."""

    values: torch.Tensor
    starts: npt.NDArray[np.intp]

    def count(self) -> Int32Rows:
        """Count into rows (rows, 2054)."""
        rows = np.empty((len(self.starts), ROW_SIZE), np.int32)
        count_into(rows, self.values.to(torch.float32).numpy(), self.starts)
        return rows


def packs_of(tensors: Sequence[torch.Tensor], pool: Pool) -> list[Pack]:
    """Copy tensors of one type into packs, in their order; what the caller does to them afterwards changes nothing."""
    sizes = [tensor.numel() for tensor in tensors]
    packs = []
    first = 0
    for stop in _stops(sizes):
        begins = np.cumsum([0, *sizes[first : stop - 1]], dtype=np.intp)
        packs.append(Pack(pool.copy_end_to_end(tensors[first:stop]), begins))
        first = stop
    return packs


def _stops(sizes: Sequence[int]) -> list[int]:
    """Where packs end: each holds as many tensors as fit, and one at least."""
    stops = []
    first = taken = 0
    for index, size in enumerate(sizes):
        if index > first and (taken + size > PACK_VALUES or index - first == PACK_ROWS):
            stops.append(index)
            first, taken = index, 0
        taken += size
    return [*stops, len(sizes)]


def count_where_they_are(arrays: Sequence[Values]) -> Int32Rows:
    """Count arrays (n,), n > 0, into rows without copying them; with a second thread if torch may use one."""
    pieces = [array[at : at + PIECE_VALUES] for array in arrays for at in range(0, array.size, PIECE_VALUES)]
    parts = np.empty((len(pieces), ROW_SIZE), np.int32)
    begin = np.zeros(1, np.intp)
    waiting = iter(range(len(pieces)))  # a list's iterator hands out each index once, whoever asks

    def work() -> None:
        for index in waiting:
            count_into(parts[index : index + 1], pieces[index], begin)

    helper = threading.Thread(target=work, name="torchglass-counting", daemon=True)
    helped = torch.get_num_threads() > 1 and sum(array.size for array in arrays) >= SHARED_VALUES
    if helped:
        helper.start()
    work()
    if helped:
        helper.join()
    sizes = [-(-array.size // PIECE_VALUES) for array in arrays]
    return merge_rows(parts, np.concatenate([[0], np.cumsum(sizes)[:-1]]))


def count_into(rows: Int32Rows, values: Values, starts: npt.NDArray[np.intp]) -> None:
    """Count values (n,) into rows (r, 2054), each of which begins at one of `starts` (r,)."""
    loop = COMPILED.loop
    if loop is not None:
        loop(rows, values.view(np.int32), starts)
        return
    began = perf_counter()
    _count_by_numpy(rows, values, starts)
    COMPILED.earn(perf_counter() - began)


def way() -> str:
    """Say how values are counted now, for the run to state."""
    if COMPILED.loop is not None:
        return "a loop compiled by numba"
    return "numpy.bincount" + (f" ({COMPILED.why_not})" if COMPILED.why_not else "")


def _count_by_numpy(rows: Int32Rows, values: Values, starts: npt.NDArray[np.intp]) -> None:
    bits = values.view(np.uint32)
    bins = (bits >> np.uint32(SHIFT)).astype(np.intp)
    if len(rows) > 1:
        sizes = np.diff(starts, append=values.size)
        bins += np.repeat(np.arange(0, BIN_COUNT * len(rows), BIN_COUNT), sizes)
    # Not torch.bincount: it would start a team of OpenMP threads for each thread of ours that calls it.
    rows[:, :BIN_COUNT] = np.bincount(bins, minlength=BIN_COUNT * len(rows)).reshape(len(rows), BIN_COUNT)

    def count_pattern(column: int, pattern: int, among: slice) -> None:
        # Looked for only where its bin holds something: each look reads everything once more.
        if rows[:, among].any():
            rows[:, column] = np.add.reduceat(bits == np.uint32(pattern), starts, dtype=np.int32)
        else:
            rows[:, column] = 0

    positive_nonfinite, negative_nonfinite = slice(NONFINITE_BIN, SIGN_BIN), slice(SIGN_BIN + NONFINITE_BIN, BIN_COUNT)
    count_pattern(POSITIVE_ZEROS, 0, slice(0, 1))
    count_pattern(NEGATIVE_ZEROS, _NEGATIVE_ZERO, slice(SIGN_BIN, SIGN_BIN + 1))
    count_pattern(POSITIVE_INFINITIES, _INFINITY, positive_nonfinite)
    count_pattern(NEGATIVE_INFINITIES, _NEGATIVE_INFINITY, negative_nonfinite)
    low = high = values
    if rows[:, positive_nonfinite].any() or rows[:, negative_nonfinite].any():
        finite = np.isfinite(values)
        low, high = np.where(finite, values, np.float32(np.inf)), np.where(finite, values, np.float32(-np.inf))
    rows[:, SMALLEST] = to_keys(np.minimum.reduceat(low, starts))
    rows[:, LARGEST] = to_keys(np.maximum.reduceat(high, starts))
