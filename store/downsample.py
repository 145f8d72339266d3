"""Which points of a long series are worth drawing: extremes, both ends of each pixel, everything non-finite."""

from __future__ import annotations

import numpy as np

from torchglass.store.records import Floats, Integers

POINTS_PER_BUCKET = 4  # first, last, minimum and maximum of the bucket


def worth_drawing(values: Floats, max_points: int) -> Integers:
    """Indices, ascending, of at most about `max_points` of the values (n,), plus the changes to and from non-finite.

    Each bucket of neighbours keeps its first, last, smallest and largest finite value (the M4 aggregation: Jugel et
    al., VLDB 2014), so a spike of one point survives any zoom. A run of NaN or infinity keeps its ends; where there are
    more such ends than points were asked for, each bucket keeps its first and last.
    """
    size = len(values)
    if size <= max_points:
        return np.arange(size)
    bucket_size = -(-size * POINTS_PER_BUCKET // max(max_points, POINTS_PER_BUCKET))
    starts = np.arange(0, size, bucket_size)
    finite = np.isfinite(values)
    chosen = [
        starts,
        np.minimum(starts + bucket_size, size) - 1,
        _extreme_of_each(np.where(finite, values, np.inf), starts, bucket_size, largest=False),
        _extreme_of_each(np.where(finite, values, -np.inf), starts, bucket_size, largest=True),
    ]
    marks = _ends_of_runs(~finite)
    if len(marks) > max(max_points, POINTS_PER_BUCKET):
        marks = _first_and_last_of_each(marks // bucket_size, marks)
    return np.unique(np.concatenate([*chosen, marks]))


def _extreme_of_each(values: Floats, starts: Integers, bucket_size: int, *, largest: bool) -> Integers:
    filler = -np.inf if largest else np.inf
    padded = np.full(len(starts) * bucket_size, filler)
    padded[: len(values)] = values
    rows = padded.reshape(-1, bucket_size)
    offsets = rows.argmax(axis=1) if largest else rows.argmin(axis=1)
    positions: Integers = np.minimum(starts + offsets, len(values) - 1)
    return positions


def _ends_of_runs(marks: np.ndarray) -> Integers:
    """First and last index of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return np.unique(np.concatenate([edges[0::2], edges[1::2] - 1]))


def _first_and_last_of_each(buckets: Integers, marks: Integers) -> Integers:
    """First and last mark of each bucket, both ascending."""
    changes = buckets[1:] != buckets[:-1]
    ends: Integers = marks[np.append(True, changes) | np.append(changes, True)]
    return ends
