"""What a live chart asks of the store: what is new since a cursor, a whole series, or a window of one.

Phases are stacked, and a stack stands on common steps: they are reduced together, to means, and never to extremes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchglass.charts.columns import in_columns, mean_of_each
from torchglass.store import Points, Series, Store
from torchglass.store.downsample import worth_drawing
from torchglass.store.records import TIMED_KINDS

MAX_POINTS = 2000  # a trace in SVG stays smooth up to about this many
MAX_STACKED = 400  # points of a phase: its area is drawn anew at every answer
STACKED_KIND = "phase"
NOTHING_YET = -1  # the cursor of a reader that has no point


def news(store: Store, asked: Sequence[tuple[Series, int]]) -> list[tuple[Points, bool]]:
    """Of each series, the points since a cursor, and whether they replace what the reader has.

    They do when the cursor is unknown, when more came than a chart can take, or when steps went back: then a delta
    could not be appended. Phases are replaced together.
    """
    tails = [_tail(store, series, cursor) for series, cursor in asked]
    stacked = [place for place, (series, _) in enumerate(asked) if series.kind == STACKED_KIND]
    if any(tails[place] is None for place in stacked):
        wholes = dict(zip(stacked, stack(store, [asked[place][0] for place in stacked]), strict=True))
    else:
        wholes = {}
    answers = []
    for place, ((series, _), tail) in enumerate(zip(asked, tails, strict=True)):
        if place in wholes:
            answers.append((wholes[place], True))
        else:
            answers.append((whole(store, series), True) if tail is None else (tail, False))
    return answers


def _tail(store: Store, series: Series, cursor: int) -> Points | None:
    """Points that a reader can append; None when it needs the whole series."""
    if cursor == series.cursor:
        return _NONE._replace(total=cursor, cursor=cursor)
    most = MAX_STACKED if series.kind == STACKED_KIND else MAX_POINTS
    if not 0 <= cursor < series.cursor or series.cursor - cursor > most:
        return None
    tail = store.tail(series.id, cursor)
    return tail if is_appendable(series, tail) else None


def whole(store: Store, series: Series) -> Points:
    """All of a series, reduced to what is worth drawing."""
    return store.points(series.id, max_points=MAX_POINTS)


def stack(store: Store, several: Sequence[Series], window: tuple[int, int] | None = None) -> list[Points]:
    """Series on common steps; with too many steps, each point is the mean of a stretch of them."""
    found = [store.points(series.id, window=window) for series in several]
    columns = in_columns(found, mean_of_each, MAX_STACKED)
    times = in_columns([points._replace(values=points.times) for points in found], mean_of_each, MAX_STACKED)
    return [
        points._replace(steps=columns.steps[known], times=when[known], values=values[known])
        for points, values, when in zip(found, columns.values, times.values, strict=True)
        for known in (np.isfinite(values),)
    ]


def windows(store: Store, several: Sequence[Series], first: float, last: float) -> list[Points]:
    """Series from `first` to `last`, both included: steps, or seconds since the epoch if sampled by the clock."""
    steps = (int(np.floor(first)), int(np.ceil(last)))
    stacked = [series for series in several if series.kind == STACKED_KIND]
    parts = dict(zip((series.id for series in stacked), stack(store, stacked, steps), strict=True))
    return [parts[one.id] if one.id in parts else _window(store, one, first, last) for one in several]


def _window(store: Store, series: Series, first: float, last: float) -> Points:
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
