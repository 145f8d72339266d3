"""Many steps into few columns, so that a heat map or a stack never has more of them than a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from torchglass.store.records import Floats, Integers, Points

MAX_COLUMNS = 256

Reduce = Callable[[Floats, Integers], Floats]  # a ufunc's reduceat: values (n,) and first indices (m,) to (m,)


class Columns(NamedTuple):
    """Values (k, n) of k series at n steps, NaN where a series had none.

    `steps` (n,) are the first of each column; `width` counts the steps of a column, 1 when nothing was merged.
    """

    steps: Integers
    values: Floats
    width: int


def in_columns(series: Sequence[Points], reduce: Reduce, max_columns: int = MAX_COLUMNS) -> Columns:
    """Align series on common steps; with too many steps, equal stretches of them are reduced to one value.

    Non-finite values are left out of the reduction: say elsewhere where they were.
    """
    steps = np.unique(np.concatenate([points.steps for points in series])) if series else np.empty(0, np.int64)
    width = 1
    if len(steps) > max_columns:
        width = -(-int(steps[-1] - steps[0] + 1) // max_columns)
        steps = np.unique((steps - steps[0]) // width) * width + steps[0]
    values = np.full((len(series), len(steps)), np.nan)
    for row, points in enumerate(series):
        finite = np.isfinite(points.values)
        if finite.any():
            column = np.searchsorted(steps, points.steps[finite], side="right") - 1
            occupied, first = np.unique(column, return_index=True)
            values[row, occupied] = reduce(points.values[finite], first)
    return Columns(steps, values, width)


def mean_of_each(values: Floats, first: Integers) -> Floats:
    """Mean of each stretch of values (n,) that begins at the indices `first` (m,)."""
    sizes = np.diff(np.append(first, len(values)))
    return np.asarray(np.add.reduceat(values, first) / sizes, np.float64)


def largest_of_each(values: Floats, first: Integers) -> Floats:
    """Largest of each stretch of values (n,) that begins at the indices `first` (m,): spikes survive."""
    return np.asarray(np.maximum.reduceat(values, first), np.float64)
