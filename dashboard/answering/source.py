"""What a live chart asks of the store: what is new since a cursor, a whole series, or a window of one.

Phases are stacked, and a stack stands on common steps: they are reduced together, to means, and never to extremes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from torchglass.charts.columns import in_columns, mean_of_each
from torchglass.charts.smoothing import Smoothing, smoothing_of
from torchglass.store import Points, Series, Store
from torchglass.store.downsample import worth_drawing
from torchglass.store.records import TIMED_KINDS, Floats

MAX_POINTS = 2000  # a trace in SVG stays smooth up to about this many
MAX_STACKED = 400  # points of a phase: its area is drawn anew at every answer
STACKED_KIND = "phase"
OUTER_PERCENTILES = (5, 95)  # what lies beyond is an outlier, as TensorBoard has it
NOTHING_YET = -1  # the cursor of a reader that has no point


Extent = Literal["", "all", "positive"]


class Look(NamedTuple):
    """What a reader wants computed on all stored points of a series whose points are too many to be sent.

    `smoothing` as `charts.smoothing` has it; `extent` is of all finite values or, for a logarithmic axis, of those
    above zero.
    """

    smoothing: float = 0.0
    extent: Extent = ""


AS_STORED = Look()


class Answer(NamedTuple):
    """Points of one line, and whether they replace what the reader has.

    `columns` are more numbers (n,) at these points: "smoothed" of a thinned line, "low" and "high" of a band. `state`
    is where its smoothing stands after the last stored point, `extent` where most of its stored values lie.
    """

    points: Points
    reset: bool
    columns: Mapping[str, Floats] = {}
    state: Smoothing | None = None
    extent: tuple[float, float] | None = None


def news(store: Store, asked: Sequence[tuple[Series, int]], look: Look = AS_STORED) -> list[Answer]:
    """Of each series, the points since a cursor, and whether they replace what the reader has.

    They do when the cursor is unknown, when more came than a chart can take, or when steps went back: then a delta
    could not be appended. Phases are replaced together. A delta holds every point, so a reader goes on with its
    smoothing by itself.
    """
    tails = _tails(store, asked)
    stacked = [place for place, (series, _) in enumerate(asked) if series.kind == STACKED_KIND]
    if any(tails[place] is None for place in stacked):
        wholes = dict(zip(stacked, stack(store, [asked[place][0] for place in stacked]), strict=True))
    else:
        wholes = {}
    answers = []
    for place, ((series, _), tail) in enumerate(zip(asked, tails, strict=True)):
        if place in wholes:
            answers.append(Answer(wholes[place], reset=True))
        else:
            answers.append(whole(store, series, look) if tail is None else Answer(tail, reset=False))
    return answers


def _tails(store: Store, asked: Sequence[tuple[Series, int]]) -> list[Points | None]:
    """Points that a reader of each series can append; None where it needs the whole series."""
    behind = {series.id: cursor for series, cursor in asked if _is_followed(series, cursor) and cursor < series.cursor}
    read = store.tails(behind) if behind else {}
    found: list[Points | None] = []
    for series, cursor in asked:
        if cursor == series.cursor:
            found.append(_NONE._replace(total=cursor, cursor=cursor))
        else:
            tail = read.get(series.id)
            found.append(tail if tail is not None and is_appendable(series, tail) else None)
    return found


def _is_followed(series: Series, cursor: int) -> bool:
    """Whether a reader at a cursor is so near that it takes what came since."""
    most = MAX_STACKED if series.kind == STACKED_KIND else MAX_POINTS
    return 0 <= cursor <= series.cursor and series.cursor - cursor <= most


def whole(store: Store, series: Series, look: Look = AS_STORED) -> Answer:
    """All of a series, reduced to what is worth drawing."""
    if look == AS_STORED or series.count <= MAX_POINTS:
        return Answer(store.points(series.id, max_points=MAX_POINTS), reset=True)
    points = store.points(series.id)
    return _thinned(points, _order(series, points), worth_drawing(points.values, MAX_POINTS), look)._replace(reset=True)


def extent_of(values: Floats, extent: Extent) -> tuple[float, float] | None:
    """The 5th and 95th percentile of the finite values (n,), or of those above zero; None where there are none."""
    known = values[(values > 0) & (values < np.inf)] if extent == "positive" else values[np.isfinite(values)]
    if not extent or not known.size:
        return None
    low, high = np.percentile(known, OUTER_PERCENTILES)
    return float(low), float(high)


def _thinned(points: Points, x: Floats, keep: np.ndarray, look: Look) -> Answer:
    """The points (n,) to keep of all, with what was asked for computed on all of them."""
    smoothing = smoothing_of(x, points.values, look.smoothing) if look.smoothing else None
    columns = {} if smoothing is None else {"smoothed": smoothing.line[keep]}
    return Answer(_at(points, keep), False, columns, smoothing, extent_of(points.values, look.extent))


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


def windows(store: Store, several: Sequence[Series], first: float, last: float, look: Look = AS_STORED) -> list[Answer]:
    """Series from `first` to `last`, both included: steps, or seconds since the epoch if sampled by the clock."""
    steps = (int(np.floor(first)), int(np.ceil(last)))
    stacked = [series for series in several if series.kind == STACKED_KIND]
    parts = dict(zip((series.id for series in stacked), stack(store, stacked, steps), strict=True))
    return [
        Answer(parts[one.id], reset=False) if one.id in parts else _window(store, one, first, last, look)
        for one in several
    ]


def _window(store: Store, series: Series, first: float, last: float, look: Look) -> Answer:
    steps = (int(np.floor(first)), int(np.ceil(last)))
    if series.kind not in TIMED_KINDS and not look.smoothing:
        return Answer(store.points(series.id, window=steps, max_points=MAX_POINTS), reset=False)
    points = store.points(series.id)
    order = _order(series, points)
    low, high = (first, last) if series.kind in TIMED_KINDS else steps
    inside = np.flatnonzero((order >= low) & (order <= high))
    keep = inside[worth_drawing(points.values[inside], MAX_POINTS)]
    answer = _thinned(points, order, keep, look._replace(extent=""))
    return answer._replace(points=answer.points._replace(total=len(inside)), state=None)


def is_appendable(series: Series, tail: Points) -> bool:
    """Whether new points lie in the order in which they are drawn."""
    return bool((np.diff(_order(series, tail)) > 0).all())


def _order(series: Series, points: Points) -> Floats:
    """What the points (n,) are drawn and smoothed along."""
    return points.times if series.kind in TIMED_KINDS else points.steps.astype(np.float64)


def _at(points: Points, keep: np.ndarray) -> Points:
    return points._replace(steps=points.steps[keep], times=points.times[keep], values=points.values[keep])


_NONE = Points(np.empty(0, np.int64), np.empty(0), np.empty(0), 0, 0)
