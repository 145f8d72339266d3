"""Curves of scalars: the raw line faint, the smoothed one over it, and every step that was not a number marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.cursor import on_steps
from torchglass.charts.records import packed, packed_steps
from torchglass.charts.smoothing import smoothed
from torchglass.charts.text import plot_text
from torchglass.charts.theme import ALARM, MAX_LINES, empty_figure, line_style, new_figure
from torchglass.charts.units import largest_magnitude, scale_of, time_scale
from torchglass.language import tr
from torchglass.store.records import Floats, Points

XAxis = Literal["step", "relative", "wall"]

MAX_STRETCHES = 30  # shaded stretches of non-finite steps; each is an SVG shape, and the marks show the rest

_SYMBOLS = {"NaN": "x", "+Inf": "triangle-up", "-Inf": "triangle-down"}


class Curve(NamedTuple):
    """Points to draw and what to call them. `start` is when the run began, for relative time (else its first point)."""

    name: str
    points: Points
    start: float | None = None


class Line(NamedTuple):
    """One curve on its axis: `x` (n,) and `values` (n,), `smooth` (n,) or None when it would equal the values.

    `mark_x`, `mark_y` and `mark_kind` (m,) say where which kind of non-finite value was, at the height of the line
    before it; `stretches` (s, 2) are the first and last x of each unbroken row of them.
    """

    name: str
    x: Floats
    values: Floats
    smooth: Floats | None
    mark_x: Floats
    mark_y: Floats
    mark_kind: tuple[str, ...]
    stretches: Floats


class ScalarsData(NamedTuple):
    """Lines in a common unit on a common axis. `left_out` counts curves beyond what a reader can tell apart."""

    lines: tuple[Line, ...]
    x_title: str
    unit: str
    x_is_date: bool
    left_out: int
    x_is_step: bool = False


def scalars_data(
    curves: Sequence[Curve],
    *,
    x_axis: XAxis = "step",
    smoothing: float = 0.0,
    smooth_from: int = 2,
    unit: str = "",
    nonfinite: Literal["marked", "missing"] = "marked",
) -> ScalarsData:
    """Place curves on an axis and smooth them; values in `unit` come out in the unit that suits the largest.

    Lines of fewer than `smooth_from` points are not smoothed. Non-finite values are marked, unless they only stand for
    values that are missing.
    """
    drawn = [curve for curve in curves if len(curve.points.steps)]
    kept = drawn[:MAX_LINES]
    longest = max((float(np.ptp(curve.points.times)) for curve in kept), default=0.0)
    largest = max((largest_magnitude(curve.points.values) or 0.0 for curve in kept), default=0.0)
    scale = scale_of(unit, largest)
    clock = time_scale(longest)
    lines = []
    for curve in kept:
        x = _place(curve, x_axis, clock.factor)
        values = curve.points.values * scale.factor
        asked = smoothing > 0 and len(values) >= smooth_from
        smooth = smoothed(curve.points.steps.astype(np.float64), values, smoothing) if asked else None
        told = np.nan_to_num(values) if nonfinite == "missing" else values
        lines.append(Line(curve.name, x, values, smooth, *_marks(x, told), _stretches(x, told)))
    titles = {
        "step": tr("step"),
        "relative": tr("time since start ({unit})", unit=clock.unit),
        "wall": tr("time (UTC)"),
    }
    return ScalarsData(
        tuple(lines), titles[x_axis], scale.unit, x_axis == "wall", len(drawn) - len(kept), x_axis == "step"
    )


def _place(curve: Curve, x_axis: XAxis, factor: float) -> Floats:
    if x_axis == "step":
        return curve.points.steps.astype(np.float64)
    if x_axis == "wall":
        return curve.points.times * 1e3  # plotly reads numbers on a date axis as milliseconds, UTC
    start = curve.points.times[0] if curve.start is None else curve.start
    return np.asarray((curve.points.times - start) * factor)


def _marks(x: Floats, values: Floats) -> tuple[Floats, Floats, tuple[str, ...]]:
    bad = np.flatnonzero(~np.isfinite(values))
    good = np.flatnonzero(np.isfinite(values))
    if not good.size:
        heights = np.ones(len(bad))  # a height that a logarithmic axis has too
    else:
        before = np.clip(np.searchsorted(good, bad) - 1, 0, None)
        heights = values[good[before]]
    kinds = tuple("NaN" if np.isnan(value) else "+Inf" if value > 0 else "-Inf" for value in values[bad])
    return x[bad], heights, kinds


def _stretches(x: Floats, values: Floats) -> Floats:
    bad = np.concatenate([[False], ~np.isfinite(values), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(bad)).reshape(-1, 2)
    return np.stack([x[edges[:, 0]], x[edges[:, 1] - 1]], axis=1)


def scalars_figure(
    data: ScalarsData,
    *,
    log_y: bool = False,
    title: str = "",
    dark: bool = False,
    reason: str = "",
    looks: Mapping[str, int] | None = None,
) -> go.Figure:
    """Draw the lines; with one line the legend is left out.

    `looks` gives lines of a name a look of their own, so that a run keeps its colour on every chart.
    """
    if not data.lines:
        return empty_figure(
            plot_text(reason or tr("No value was logged under this name: log one with run.log(loss=loss)."), 300),
            dark=dark,
            title=plot_text(title),
        )
    figure = new_figure(dark=dark, title=plot_text(title), hovermode="x unified", showlegend=len(data.lines) > 1)
    for index, line in enumerate(data.lines):
        _draw(figure, line, (looks or {}).get(line.name, index))
    _shade_stretches(figure, data)
    figure.update_xaxes(title_text=data.x_title, type="date" if data.x_is_date else "linear")
    # plotly draws what never changes one unit to either side, where 0.001 and 0 look alike.
    rangemode = "tozero" if _is_flat(data) and not log_y else None
    figure.update_yaxes(
        title_text=plot_text(data.unit, 24) or tr("value"), type="log" if log_y else "linear", rangemode=rangemode
    )
    if log_y:
        figure.update_yaxes(exponentformat="power")
    for note, offset in _notes(data, log_y=log_y):
        figure.add_annotation(
            text=note, x=1, y=offset, xref="paper", yref="paper", xanchor="right", yanchor="bottom", showarrow=False
        )
    return on_steps(figure) if data.x_is_step else figure


def _is_flat(data: ScalarsData) -> bool:
    values = [line.values[np.isfinite(line.values)] for line in data.lines]
    known = [each for each in values if each.size]
    return bool(known) and min(each.min() for each in known) == max(each.max() for each in known)


def _draw(figure: go.Figure, line: Line, index: int) -> None:
    name, style = plot_text(line.name), line_style(index)
    x = packed_steps(line.x.astype(np.int64)) if (line.x == np.round(line.x)).all() else packed(line.x)
    # A line through a single point is invisible without a marker.
    mode = "lines" if np.isfinite(line.values).sum() > 1 else "lines+markers"
    common = {"name": name, "legendgroup": str(index), "mode": mode}
    if line.smooth is not None:
        ghost = common | {"showlegend": False, "hoverinfo": "skip", "opacity": 0.3}
        figure.add_scatter(x=x, y=packed(line.values), line=style | {"width": 1}, **ghost)
    shown = line.values if line.smooth is None else line.smooth
    figure.add_scatter(x=x, y=packed(shown), line=style | {"width": 1.8}, **common)
    for kind, symbol in _SYMBOLS.items():
        chosen = np.array([marked == kind for marked in line.mark_kind], bool)
        if chosen.any():
            figure.add_scatter(
                x=packed(line.mark_x[chosen]),
                y=packed(line.mark_y[chosen]),
                mode="markers",
                legendgroup=str(index),
                showlegend=False,
                marker={"symbol": symbol, "size": 9, "color": ALARM, "line": {"width": 1, "color": "#ffffff"}},
                hovertemplate="%{x}<extra>" + kind + "</extra>",
            )


def _shade_stretches(figure: go.Figure, data: ScalarsData) -> None:
    stretches = [stretch for line in data.lines for stretch in line.stretches.tolist()]
    figure.update_layout(
        shapes=[
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": first,
                "x1": last,
                "y0": 0,
                "y1": 1,
                "fillcolor": ALARM,
                "opacity": 0.3,
                "line": {"color": ALARM, "width": 1},
                "layer": "below",
            }
            for first, last in stretches[:MAX_STRETCHES]
        ]
    )


def _notes(data: ScalarsData, *, log_y: bool) -> list[tuple[str, float]]:
    notes = []
    hidden = sum(int((line.values <= 0).sum()) for line in data.lines) if log_y else 0
    if hidden:
        notes.append(tr("{count} values of 0 or less have no place on a logarithmic axis", count=hidden))
    if data.left_out:
        notes.append(tr("{count} more curves are not drawn: choose fewer", count=data.left_out))
    return [(note, 0.02 + 0.09 * place) for place, note in enumerate(notes)]
