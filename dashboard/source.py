"""What a live chart asks of the store: what is new since a cursor, a whole series, or a window of one."""

from __future__ import annotations

import numpy as np

from torchglass.store import Points, Series, Store
from torchglass.store.downsample import worth_drawing
from torchglass.store.records import TIMED_KINDS

MAX_POINTS = 2000  # a trace in SVG stays smooth up to about this many
NOTHING_YET = -1  # the cursor of a reader that has no point


def news(store: Store, series: Series, cursor: int) -> tuple[Points, bool]:
    """Points since `cursor`, and whether they replace what the reader has.

    They do when the cursor is unknown, when more came than a chart can take, or when steps went back: then a delta
    could not be appended.
    """
    if cursor == series.cursor:
        return _NONE._replace(total=cursor, cursor=cursor), False
    if not 0 <= cursor < series.cursor or series.cursor - cursor > MAX_POINTS:
        return whole(store, series), True
    tail = store.tail(series.id, cursor)
    if not is_appendable(series, tail):
        return whole(store, series), True
    return tail, False


def whole(store: Store, series: Series) -> Points:
    """All of a series, reduced to what is worth drawing."""
    return store.points(series.id, max_points=MAX_POINTS)


def window(store: Store, series: Series, first: float, last: float) -> Points:
    """A series from `first` to `last`, both included: steps, or seconds since the epoch if sampled by the clock."""
    if series.kind in TIMED_KINDS:
        points = store.points(series.id)
        inside = np.flatnonzero((points.times >= first) & (points.times <= last))
        return _reduced(_at(points, inside))
    return store.points(series.id, window=(int(np.floor(first)), int(np.ceil(last))), max_points=MAX_POINTS)


def is_appendable(series: Series, tail: Points) -> bool:
    """Whether new points lie in the order in which they are drawn."""
    order = tail.times if series.kind in TIMED_KINDS else tail.steps
    return bool((np.diff(order) > 0).all())


def _reduced(points: Points) -> Points:
    return _at(points, worth_drawing(points.values, MAX_POINTS))


def _at(points: Points, keep: np.ndarray) -> Points:
    return points._replace(steps=points.steps[keep], times=points.times[keep], values=points.values[keep])


_NONE = Points(np.empty(0, np.int64), np.empty(0), np.empty(0), 0, 0)
