"""One line for all ranks: their mean at each step, and the band from the lowest to the highest of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchglass.charts.columns import Columns, Reduce, in_columns, largest_of_each, mean_of_each
from torchglass.charts.smoothing import smoothing_of
from torchglass.dashboard.answering.source import AS_STORED, Answer, Look, extent_of
from torchglass.store import Points, Series, Store
from torchglass.store.records import Floats, Integers

MAX_COLUMNS = 500  # of a band, whose areas are drawn anew at every answer
EVERY_STEP = 2**62  # columns: none is merged


def news(store: Store, ranks: Sequence[Series], cursor: int, look: Look = AS_STORED) -> Answer:
    """The whole band, or nothing when no rank recorded anything since a cursor, which counts the points of all."""
    known = sum(series.cursor for series in ranks)
    if cursor == known:
        nothing = Points(np.empty(0, np.int64), np.empty(0), np.empty(0), known, known)
        return Answer(nothing, reset=False)
    return _band(store, ranks, look, None, known)


def window(store: Store, ranks: Sequence[Series], first: float, last: float, look: Look = AS_STORED) -> Answer:
    """The band from step `first` to step `last`, both included."""
    return _band(store, ranks, look, (int(np.floor(first)), int(np.ceil(last))), 0)._replace(reset=False)


def _band(store: Store, ranks: Sequence[Series], look: Look, steps: tuple[int, int] | None, cursor: int) -> Answer:
    """Steps of which some rank has a finite value; too many of them are merged, the mean to means, the band never."""
    found = [store.points(series.id, window=steps) for series in ranks]
    every = in_columns(found, mean_of_each, EVERY_STEP)
    known = np.isfinite(every.values).any(axis=0)
    values, at = every.values[:, known], every.steps[known]
    when = in_columns([points._replace(values=points.times) for points in found], mean_of_each, EVERY_STEP)
    mean = np.nanmean(values, axis=0)
    merged = _merged(at, mean, mean_of_each)
    columns = {
        "low": -_merged(at, -np.nanmin(values, axis=0), largest_of_each).values[0],
        "high": _merged(at, np.nanmax(values, axis=0), largest_of_each).values[0],
    }
    if look.smoothing:
        line = smoothing_of(at.astype(np.float64), mean, look.smoothing).line
        columns["smoothed"] = _merged(at, line, mean_of_each).values[0]
    times = _merged(at, np.nanmean(when.values[:, known], axis=0), mean_of_each).values[0]
    points = Points(merged.steps, times, merged.values[0], len(at), cursor)
    return Answer(points, True, columns, None, extent_of(mean, look.extent))


def _merged(steps: Integers, values: Floats, reduce: Reduce) -> Columns:
    return in_columns([Points(steps, values, values, len(steps), 0)], reduce, MAX_COLUMNS)
