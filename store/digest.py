"""What a stretch of points comes to: the summary columns of a chunk, and of a whole series."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store.records import Floats, Integers

LARGEST = sys.float_info.max  # where a total stays once it got there: SQLite keeps no infinity apart from NULL


class Digest(NamedTuple):
    """Count and extremes of one series' stretch; extremes and `total` are over the finite values, None without any.

    `first_step` and `last_step` are the smallest and the largest; `first` and `last` the values in the order recorded,
    None where not finite. Ordered means that each step is larger than the one before.
    """

    point_count: int
    nonfinite_count: int
    is_ordered: int
    first_step: int
    last_step: int
    first_time: float
    last_time: float
    first: float | None
    last: float | None
    minimum: float | None
    minimum_step: int | None
    minimum_time: float | None
    maximum: float | None
    maximum_step: int | None
    maximum_time: float | None


def digest(steps: Integers, times: Floats, values: Floats) -> list[Digest]:
    """Digest each column of `values` (n, k), n > 0, that were recorded at `steps` (n,) and `times` (n,)."""
    count = len(steps)
    finite = np.isfinite(values)
    nonfinite = count - finite.sum(axis=0)
    lowest = np.where(finite, values, np.inf).argmin(axis=0)
    highest = np.where(finite, values, -np.inf).argmax(axis=0)
    across = np.arange(values.shape[1])
    shared = (
        int((steps[1:] > steps[:-1]).all()),
        int(steps.min()),
        int(steps.max()),
        float(times[0]),
        float(times[-1]),
    )
    found_any = nonfinite < count
    extremes = zip(
        *(
            _where(found_any, column)
            for column in (
                values[lowest, across], steps[lowest], times[lowest], values[highest, across], steps[highest],
                times[highest],
            )
        ),
        strict=True,
    )  # fmt: skip
    ends = (_where(finite[row], values[row]) for row in (0, -1))
    return [
        Digest(count, missing, *shared, first, last, *found)
        for missing, first, last, found in zip(nonfinite.tolist(), *ends, extremes, strict=True)
    ]


def _where(known: npt.NDArray[np.bool_], column: npt.NDArray[Any]) -> list[Any]:
    return [value if is_known else None for is_known, value in zip(known.tolist(), column.tolist(), strict=True)]


class Summary(NamedTuple):
    """The columns of `series` that sum up its points.

    `point_count` counts every one that was written; `rewound_count` of them are hidden, and all else leaves them out.
    """

    point_count: int = 0
    nonfinite_count: int = 0
    minimum: float | None = None
    minimum_step: int | None = None
    maximum: float | None = None
    maximum_step: int | None = None
    total: float = 0.0
    last: float | None = None
    last_step: int | None = None
    rewound_count: int = 0


def summarize(steps: Integers, values: Floats) -> list[Summary]:
    """Sum up each column of `values` (n, k), n > 0; `last` is the last finite value recorded."""
    finite = np.isfinite(values)
    last_row = len(steps) - 1 - finite[::-1].argmax(axis=0)
    across = np.arange(values.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.where(finite, values, 0.0).sum(axis=0)
    # Partial sums that pass the largest number on both sides cancel to NaN: then there is no telling either.
    totals = np.nan_to_num(sums, nan=LARGEST, posinf=LARGEST, neginf=-LARGEST).tolist()
    lasts = _where(finite.sum(axis=0) > 0, values[last_row, across])
    return [
        Summary(
            each.point_count, each.nonfinite_count, each.minimum, each.minimum_step, each.maximum, each.maximum_step,
            total, last, each.last_step,
        )
        for each, total, last in zip(digest(steps, np.zeros(len(steps)), values), totals, lasts, strict=True)
    ]  # fmt: skip


def joined(earlier: Summary, later: Summary) -> Summary:
    """Sum up two stretches of one series; of equal extremes the earlier one is kept."""
    lower = earlier.minimum is None or (later.minimum is not None and later.minimum < earlier.minimum)
    higher = earlier.maximum is None or (later.maximum is not None and later.maximum > earlier.maximum)
    steps = [each.last_step for each in (earlier, later) if each.last_step is not None]
    return Summary(
        earlier.point_count + later.point_count,
        earlier.nonfinite_count + later.nonfinite_count,
        *((later.minimum, later.minimum_step) if lower else (earlier.minimum, earlier.minimum_step)),
        *((later.maximum, later.maximum_step) if higher else (earlier.maximum, earlier.maximum_step)),
        max(-LARGEST, min(LARGEST, earlier.total + later.total)),
        earlier.last if later.last is None else later.last,
        max(steps, default=None),
        earlier.rewound_count + later.rewound_count,
    )
