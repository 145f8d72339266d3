"""The counts of many tensors as rows of one array, which is what crosses from a device, and what becomes of them.

A row holds 2048 counts by bin, then how many values were +0, -0, +Inf and -Inf, then the smallest and the largest
finite value; +Inf and -Inf where there is none. Rows of int32 hold those two as order keys: a float32's bits as an
integer, turned round for negative numbers, so that keys are ordered as the numbers are. Rows of float64 hold them as
they are: tensors of wider types have extremes that float32 cannot hold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torchglass.store import Histogram
from torchglass.store.bins import BIN_COUNT, NONFINITE_BIN, SIGN_BIN
from torchglass.store.records import Integers

Rows = npt.NDArray[Any]

POSITIVE_ZEROS, NEGATIVE_ZEROS, POSITIVE_INFINITIES, NEGATIVE_INFINITIES, SMALLEST, LARGEST = range(
    BIN_COUNT, BIN_COUNT + 6
)
ROW_SIZE = BIN_COUNT + 6
MAX_ROW_VALUES = 2**31 - 1  # that an int32 counts
NARROW = (torch.float32, torch.bfloat16, torch.float16)  # types whose extremes a float32 holds exactly
MAGNITUDE = np.int32(0x7FFFFFFF)
INFINITY_KEY = 0x7F800000  # bits of +Inf; the key of -Inf is the complement of its magnitude
NEGATIVE_INFINITY_KEY = -INFINITY_KEY - 1
_NONFINITE = (NONFINITE_BIN, SIGN_BIN + NONFINITE_BIN)  # where four bins of each half begin


def to_keys(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Integers in the order of the numbers."""
    bits = values.view(np.int32)
    keys: npt.NDArray[np.int32] = bits ^ ((bits >> 31) & MAGNITUDE)
    return keys


def from_keys(keys: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Inverse of `to_keys`, which is its own inverse."""
    bits: npt.NDArray[np.int32] = keys ^ ((keys >> 31) & MAGNITUDE)
    return bits.view(np.float32)


def merge_rows(parts: npt.NDArray[np.int32], first: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """Add up the rows that belong together: those from each index of `first` to the next."""
    merged = np.add.reduceat(parts, first, axis=0, dtype=np.int32)
    merged[:, SMALLEST] = np.minimum.reduceat(parts[:, SMALLEST], first)
    merged[:, LARGEST] = np.maximum.reduceat(parts[:, LARGEST], first)
    return merged


def widen(rows: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Turn rows of int32 into rows of float64."""
    wide = rows.astype(np.float64)
    wide[:, SMALLEST:] = from_keys(np.ascontiguousarray(rows[:, SMALLEST:]))
    return wide


def to_histograms(rows: Rows, step: int, time: float) -> list[Histogram]:
    """Turn rows (n, 2054) into records."""
    extremes = np.ascontiguousarray(rows[:, SMALLEST:])
    smallest, largest = (from_keys(extremes) if rows.dtype == np.int32 else extremes).astype(np.float64).T
    zeros = rows[:, POSITIVE_ZEROS : NEGATIVE_ZEROS + 1].astype(np.int64)
    infinities = rows[:, POSITIVE_INFINITIES : NEGATIVE_INFINITIES + 1].astype(np.int64)
    nonfinite_counts = sum(rows[:, first : first + SIGN_BIN - NONFINITE_BIN].sum(axis=1) for first in _NONFINITE)
    of_row, bins, counts = _occupied(rows, zeros)
    stops = np.searchsorted(of_row, np.arange(1, len(rows) + 1)).tolist()
    return [
        Histogram(step, time, bins[start:stop], counts[start:stop], zero_count, nan_count, above, below, least, most)
        for start, stop, zero_count, nan_count, (above, below), least, most in zip(
            [0, *stops],
            stops,
            zeros.sum(axis=1).tolist(),
            (nonfinite_counts - infinities.sum(axis=1)).astype(np.int64).tolist(),
            infinities.tolist(),
            _finite(smallest),
            _finite(largest),
            strict=False,
        )
    ]


def _occupied(rows: Rows, zeros: Integers) -> tuple[Integers, Integers, Integers]:
    """Row, bin and count of each bin that holds a finite value other than zero, in order; `zeros` are (n, 2)."""
    found = np.flatnonzero(rows != 0)
    of_row, columns = np.divmod(found, ROW_SIZE)
    within_half = columns % SIGN_BIN
    of_bin = (columns < BIN_COUNT) & (within_half < NONFINITE_BIN)
    of_row, columns, within_half = of_row[of_bin], columns[of_bin], within_half[of_bin]
    counts = rows.reshape(-1)[found[of_bin]].astype(np.int64)
    around_zero = np.flatnonzero(within_half == 0)
    counts[around_zero] -= zeros[of_row[around_zero], columns[around_zero] // SIGN_BIN]
    left = counts > 0
    return of_row[left], columns[left], counts[left]


def _finite(values: npt.NDArray[np.float64]) -> list[float | None]:
    # Adding zero makes -0 a plain zero: which of the two stood first in memory says nothing.
    return [value if math.isfinite(value) else None for value in (values + 0.0).tolist()]
