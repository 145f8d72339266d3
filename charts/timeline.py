"""A window's slices on a time line: how busy each row was in each bin, and the slices themselves where they are few."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import PALETTE, empty_figure, new_figure
from torchglass.charts.units import scale_of
from torchglass.charts.windows import Tables, size_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers

TABLES = ("slices", "lanes", "slice_names")
MOST_BINS = 2000  # more than a screen has columns
MOST_ROWS = 200  # of all lanes together: threads nest deeply, and no screen is higher
FIGURE_BINS = 600
ROW_HEIGHT = 26
_NO_SLICES = mark("The window kept no slices.")


class Row(NamedTuple):
    """Slices of one lane at one depth, which do not overlap: places `first` to `last` of a `TimelineData`."""

    lane: int
    depth: int
    first: int
    last: int


class TimelineData(NamedTuple):
    """Slices (n,) row by row, and by start within a row; `rows` say where each begins.

    `lanes` are titles, devices (-1 is the host); `names` what `name` (n,) are indices of; `hidden_rows` were too deep.
    """

    lanes: tuple[tuple[str, int], ...]
    rows: tuple[Row, ...]
    start_ns: Integers
    end_ns: Integers
    name: Integers
    kind: Integers
    clipped: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    span_ns: int
    hidden_rows: int


class BusyData(NamedTuple):
    """Share (k, b) of each of b bins in which each of k rows was busy, and what took most of it.

    `name` (k, b) and `kind` (k, b) are -1 where nothing was; `edges_ns` is (b + 1,).
    """

    edges_ns: Floats
    share: Floats
    name: Integers
    kind: Integers


def timeline_data(tables: Tables) -> TimelineData:
    """Sort the slices of a window into rows; lanes without a slice are left out."""
    slices, lanes, names = (tables.get(table) for table in TABLES)
    if slices is None or lanes is None or names is None or not size_of(slices):
        empty = np.empty(0, np.int64)
        return TimelineData((), (), empty, empty, empty, empty, empty.astype(bool), (), 0, 0)
    order = np.lexsort((slices["start_ns"], slices["depth"], slices["lane"]))
    lane, depth = slices["lane"][order].astype(np.int64), slices["depth"][order].astype(np.int64)
    start = slices["start_ns"][order].astype(np.int64)
    end = start + slices["duration_ns"][order].astype(np.int64)
    edges = np.flatnonzero(np.diff(lane) | np.diff(depth)) + 1
    firsts, lasts = np.append(0, edges).tolist(), np.append(edges, len(order)).tolist()
    used = np.unique(lane)
    place = {number: index for index, number in enumerate(used.tolist())}
    rows = [
        Row(place[int(lane[first])], int(depth[first]), first, last) for first, last in zip(firsts, lasts, strict=True)
    ]
    return TimelineData(
        lanes=tuple((str(lanes["title"][number]), int(lanes["device"][number])) for number in used.tolist()),
        rows=tuple(rows[:MOST_ROWS]),
        start_ns=start,
        end_ns=end,
        name=slices["name"][order].astype(np.int64),
        kind=slices["kind"][order].astype(np.int64),
        clipped=slices["clipped"][order].astype(bool),
        names=tuple(names["name"].tolist()),
        span_ns=int(end.max()),
        hidden_rows=max(0, len(rows) - MOST_ROWS),
    )


def slices_between(data: TimelineData, first_ns: float, last_ns: float) -> list[tuple[int, int, int]]:
    """For each row with slices there: its number and the places from and to which slices overlap the stretch."""
    found = []
    for number, row in enumerate(data.rows):
        # Slices of a row do not overlap, so both their starts and their ends are in order.
        low = row.first + int(np.searchsorted(data.end_ns[row.first : row.last], first_ns, side="right"))
        high = row.first + int(np.searchsorted(data.start_ns[row.first : row.last], last_ns, side="left"))
        if high > low:
            found.append((number, low, high))
    return found


def busy_data(data: TimelineData, first_ns: float, last_ns: float, bins: int) -> BusyData:
    """Count a stretch of time out into bins."""
    edges = np.linspace(first_ns, last_ns, bins + 1)
    shape = (len(data.rows), bins)
    busy = BusyData(edges, np.zeros(shape), np.full(shape, -1, np.int64), np.full(shape, -1, np.int64))
    for number, low, high in slices_between(data, first_ns, last_ns):
        _fill_row(busy, number, data, low, high)
    return busy


def _fill_row(busy: BusyData, number: int, data: TimelineData, low: int, high: int) -> None:
    edges = busy.edges_ns
    bins, width = len(edges) - 1, float(edges[1] - edges[0])
    start, end = data.start_ns[low:high].astype(np.float64), data.end_ns[low:high].astype(np.float64)
    begin = np.clip(((start - edges[0]) / width).astype(np.int64), 0, bins - 1)
    until = np.clip(np.ceil((end - edges[0]) / width).astype(np.int64), begin + 1, bins)
    counts = until - begin
    of_slice = np.repeat(np.arange(high - low), counts)
    bin_of = np.arange(len(of_slice)) - np.repeat(np.cumsum(counts) - counts, counts) + begin[of_slice]
    covered = np.minimum(end[of_slice], edges[bin_of + 1]) - np.maximum(start[of_slice], edges[bin_of])
    share = np.bincount(bin_of, np.maximum(covered, 0.0), bins) / width
    busy.share[number] = np.minimum(share, 1.0)
    # Written shortest first, so that what took most of a bin is what remains there.
    shortest_first = np.argsort(covered, kind="stable")
    winner = low + of_slice[shortest_first]
    busy.name[number, bin_of[shortest_first]] = data.name[winner]
    busy.kind[number, bin_of[shortest_first]] = data.kind[winner]


def timeline_figure(data: TimelineData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw how busy each lane was: threads and streams from the window's start to its end."""
    if not data.rows:
        return empty_figure(plot_text(reason or tr(_NO_SLICES), 300), dark=dark, title=plot_text(title))
    busy = busy_data(data, 0, data.span_ns, FIGURE_BINS)
    share = np.zeros((len(data.lanes), FIGURE_BINS))
    for row, shares in zip(data.rows, busy.share, strict=True):
        share[row.lane] = np.maximum(share[row.lane], shares)
    scale = scale_of("s", data.span_ns / 1e9)
    figure = new_figure(dark=dark, title=plot_text(title), height=90 + ROW_HEIGHT * len(data.lanes), showlegend=False)
    figure.add_heatmap(
        x=(busy.edges_ns / 1e9 * scale.factor).astype(np.float32),
        y=np.arange(len(data.lanes), dtype=np.int32),
        z=np.round(100 * share).astype(np.uint8),
        zmin=0,
        zmax=100,
        colorscale=[[0, "rgba(128,134,145,0.08)"], [1, PALETTE[0]]],
        colorbar={"title": {"text": tr("busy, %"), "side": "right"}, "thickness": 10, "outlinewidth": 0},
        ygap=3,
        text=_lane_texts(data),
        hovertemplate="%{text}<br>"
        + tr("{time}: busy {percent} %", time=f"%{{x:.4g}} {scale.unit}", percent="%{z}")
        + "<extra></extra>",
    )
    places = np.arange(len(data.lanes), dtype=np.int32)
    figure.update_yaxes(
        autorange="reversed", tickvals=places, ticktext=[short_label(name, 24) for name, _ in data.lanes]
    )
    figure.update_xaxes(title_text=tr("{unit} since the window began", unit=scale.unit))
    return figure


def _lane_texts(data: TimelineData) -> list[list[Any]]:
    return [[plot_text(name)] * FIGURE_BINS for name, _ in data.lanes]
