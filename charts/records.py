"""Records as the charts take them: a series with its points, and how both are read and packed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store.records import Floats, Integers, Points, Series, SeriesKind
from torchglass.store.store import Store

MAX_POINTS = 2000  # a trace; SVG stays fluid, and no screen has more columns to show
_PIXELS = 4000  # rounding below this share of the range cannot be seen


class Recorded(NamedTuple):
    """A series and some or all of its points."""

    series: Series
    points: Points


def read_series(
    store: Store,
    run_id: int,
    *,
    kind: SeriesKind | None = None,
    prefix: str = "",
    rank: int | None = 0,
    max_points: int | None = MAX_POINTS,
) -> list[Recorded]:
    """Series of a run whose key begins with `prefix`, in the order in which they were first recorded."""
    found = [series for series in store.series_of(run_id, kind=kind, rank=rank) if series.key.startswith(prefix)]
    return [
        Recorded(series, store.points(series.id, max_points=max_points))
        for series in sorted(found, key=lambda series: series.id)
    ]


def packed(values: Floats) -> npt.NDArray[Any]:
    """The values (n,) as float32 where no reader could see the difference, else as they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
        finite = np.isfinite(values)
        error = np.abs(narrow[finite] - values[finite])
    if not error.size:
        return narrow
    return narrow if float(error.max()) <= float(np.ptp(values[finite])) / _PIXELS else values


def packed_steps(steps: Integers) -> npt.NDArray[Any]:
    """Steps (n,) as int32, or as float64 once they no longer fit: browsers have no 64-bit arrays of integers."""
    return steps.astype(np.int32 if not steps.size or int(np.abs(steps).max()) < 2**31 else np.float64)
