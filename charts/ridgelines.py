"""Ridgelines: the outline of a tensor's values at some steps, the latest in front and the earlier ones behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.bins import Rows, even_rows, percentiles, rows_of
from torchglass.charts.cursor import at_places
from torchglass.charts.histograms import axis_ticks, row_places
from torchglass.charts.records import packed
from torchglass.charts.text import plot_text
from torchglass.charts.theme import ALARM, HEIGHT, NEUTRAL, Colors, empty_figure, new_figure, paint
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.bins import BIN_COUNT
from torchglass.store.records import Floats, Histogram, Integers

MAX_RIDGES = 20
MAX_PLACES = 96  # outlines have room for more of them than the heat map for rows
NARROW = 1 / 20  # an outline whose middle takes less of a linear axis is a needle: the logarithmic one shows it
OVERLAP = 1.8  # the highest outline, in distances between two ridges
RIDGE_HEIGHT = 20  # px between two ridges
NOTE_HEIGHT = 17  # px a line above the plot
COLORS: dict[bool, Colors] = {
    False: ((205, 219, 229), (26, 128, 187)),
    True: ((52, 62, 74), (42, 142, 202)),
}
OUTLINE = {False: "#ffffff", True: "#14171c"}


class RidgelinesData(NamedTuple):
    """Outlines (r, n) of histograms at n steps, the last one recorded among them.

    `edges` (r + 1,) bound the outline's stairs on the number line, `places` (r + 1,) on the axis: the same, or with
    `logarithmic` one apart. A density is the share of the finite values per unit of `places`, NaN at a step without
    any; with the exact zeros, a share `zero_shares` (n,) that has no width, its area is 1. `nan_counts` and
    `infinity_counts` are (n,). `recorded`, `nan_count`, `infinity_count` and `nonfinite_steps` are over all steps,
    those left out included.
    """

    steps: Integers
    densities: Floats
    edges: Floats
    places: Floats
    logarithmic: bool
    zero_shares: Floats
    nan_counts: Integers
    infinity_counts: Integers
    recorded: int
    nan_count: int
    infinity_count: int
    nonfinite_steps: int


def ridgelines_data(histograms: Sequence[Histogram], *, max_ridges: int = MAX_RIDGES) -> RidgelinesData:
    """Take every, every second, ... of the histograms of one key, in order of step, back from the last one."""
    stride = -(-len(histograms) // max_ridges) or 1
    chosen = histograms[::-stride][::-1]
    logarithmic = _needs_logarithm(chosen)
    found = (rows_of if logarithmic else even_rows)(chosen, MAX_PLACES)
    rows = found or Rows(np.array([-0.5, 0.5]), np.zeros(BIN_COUNT, np.int64), 0)
    places = row_places(rows.edges, rows.edges) if logarithmic else rows.edges
    shares = np.array([_shares(histogram, rows) for histogram in chosen]).reshape(len(chosen), len(rows.edges))
    infinities = np.array([_infinities(histogram) for histogram in histograms], np.int64)
    nans = np.array([histogram.nan_count for histogram in histograms], np.int64)
    return RidgelinesData(
        steps=np.array([histogram.step for histogram in chosen], np.int64),
        densities=(shares[:, 1:] / np.diff(places)).T,
        edges=rows.edges,
        places=places,
        logarithmic=logarithmic,
        zero_shares=shares[:, 0],
        nan_counts=np.array([histogram.nan_count for histogram in chosen], np.int64),
        infinity_counts=np.array([_infinities(histogram) for histogram in chosen], np.int64),
        recorded=len(histograms),
        nan_count=int(nans.sum()),
        infinity_count=int(infinities.sum()),
        nonfinite_steps=int(((nans > 0) | (infinities > 0)).sum()),
    )


def _needs_logarithm(histograms: Sequence[Histogram]) -> bool:
    """Whether the middle 90 % of some step's non-zero values would be too narrow to see on a linear axis.

    That is asked of whole bins: a constant is as wide as its bin, however narrow it may be within.
    """
    spread = [
        percentiles(replace(histogram, zero_count=0, minimum=-np.inf, maximum=np.inf), (0.0, 0.05, 0.95, 1.0))
        for histogram in histograms
        if histogram.bins.size
    ]
    if not spread:
        return False
    lowest, low, high, highest = np.array(spread).T
    return bool((high - low).min() < NARROW * (highest.max() - lowest.min()))


def _shares(histogram: Histogram, rows: Rows) -> Floats:
    """Shares (1 + r,) of the finite values that are exactly zero, and that fall into each row."""
    finite = int(histogram.counts.sum()) + histogram.zero_count
    if not finite:
        return np.full(len(rows.edges), np.nan)
    counts = np.bincount(rows.row_of_bin[histogram.bins], histogram.counts, minlength=len(rows.edges) - 1)
    return np.concatenate([[histogram.zero_count], counts]) / finite


def _infinities(histogram: Histogram) -> int:
    return histogram.positive_infinity_count + histogram.negative_infinity_count


def ridgelines_figure(
    data: RidgelinesData,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw the earliest step on top and each later one in front of it, below; equal areas are equally many values."""
    if not data.steps.size:
        return empty_figure(
            plot_text(reason or tr("No histogram was recorded: attach with histograms switched on."), 300),
            dark=dark,
            title=plot_text(title),
        )
    height = max(HEIGHT, 100 + RIDGE_HEIGHT * (len(data.steps) + int(OVERLAP)))
    figure = new_figure(dark=dark, title=plot_text(title), height=height, showlegend=False)
    baselines = np.arange(len(data.steps))[::-1].astype(np.float64)
    if np.nan_to_num(data.densities).any():
        _draw_outlines(figure, data, baselines, dark=dark)
    else:
        figure.update_xaxes(showticklabels=False)
    _draw_axes(figure, data, baselines)
    _mark_zeros(figure, data, baselines)
    _mark_nonfinite(figure, data, baselines)
    notes = [(_said(data), NEUTRAL), (_nonfinite_said(data), ALARM)]
    _write_above(figure, [(text, color) for text, color in notes if text])
    return at_places(figure, "y", data.steps.tolist(), baselines.tolist())


def _draw_outlines(figure: go.Figure, data: RidgelinesData, baselines: Floats, *, dark: bool) -> None:
    scale = OVERLAP / float(np.nanmax(data.densities))
    fills = paint(np.linspace(0, 1, len(data.steps)) if len(data.steps) > 1 else np.ones(1), COLORS[dark])
    corners = np.repeat(data.places, 2)
    bounds = [
        tr("{low} to {high}", low=number(low), high=number(high))
        for low, high in zip(data.edges[:-1], data.edges[1:], strict=True)
    ]
    stairs = np.repeat(np.arange(len(bounds)), 2)
    for step, density, baseline, fill in zip(data.steps.tolist(), data.densities.T, baselines, fills, strict=True):
        if np.isnan(density).any():
            continue
        heights = np.concatenate([[0.0], density[stairs], [0.0]])
        said = [f"{bounds[row]}<br>{_density_said(data, row, density[row])}" for row in stairs.tolist()]
        figure.add_scatter(
            x=packed(corners),
            y=packed(baseline + scale * heights),
            mode="lines",
            line={"width": 1, "color": OUTLINE[dark]},
            fill="toself",
            fillcolor="rgb({},{},{})".format(*fill),
            hoveron="points",
            text=np.array([said[0], *said, said[-1]]),
            hovertemplate=tr("step {step}", step=f"{step:,}") + "<br>%{text}<extra></extra>",
        )


def _density_said(data: RidgelinesData, row: int, density: float) -> str:
    percent = number(float(f"{100 * density * (data.places[row + 1] - data.places[row]):.3g}"))
    share = tr("{percent} % of the values", percent=percent)
    if data.logarithmic:
        return share
    return tr("density {density}, {share}", density=number(float(f"{density:.3g}")), share=share)


def _draw_axes(figure: go.Figure, data: RidgelinesData, baselines: Floats) -> None:
    low, high = float(data.places[0]), float(data.places[-1])
    margin = 0.02 * (high - low)
    figure.update_xaxes(title_text=tr("value, logarithmic") if data.logarithmic else tr("value"))
    figure.update_xaxes(range=[low - margin, high + margin])
    if data.logarithmic:
        places, texts = axis_ticks(data.edges)
        figure.update_xaxes(tickvals=places, ticktext=texts)
    figure.update_yaxes(
        title_text=tr("step"),
        tickvals=packed(baselines),
        ticktext=[f"{step:,}" for step in data.steps.tolist()],
        range=[-0.6, baselines[0] + OVERLAP + 0.2],
    )


def _mark_zeros(figure: go.Figure, data: RidgelinesData, baselines: Floats) -> None:
    some = np.nan_to_num(data.zero_shares) > 0
    if not some.any():
        return
    zero = float(row_places(np.zeros(1), data.edges)[0]) if data.logarithmic else 0.0
    shares = [
        tr("{percent} % exactly 0", percent=number(float(f"{100 * share:.3g}")))
        for share in data.zero_shares[some].tolist()
    ]
    marker = {"symbol": "circle-open", "size": 6, "color": NEUTRAL}
    _mark(figure, np.full(int(some.sum()), zero), baselines[some], data.steps[some], shares, marker)


def _mark_nonfinite(figure: go.Figure, data: RidgelinesData, baselines: Floats) -> None:
    bad = (data.nan_counts > 0) | (data.infinity_counts > 0)
    if bad.any():
        pairs = zip(data.nan_counts[bad].tolist(), data.infinity_counts[bad].tolist(), strict=True)
        texts = [
            tr("{nan} NaN, {infinite} infinite", nan=f"{nan:,}", infinite=f"{infinite:,}") for nan, infinite in pairs
        ]
        right = np.full(int(bad.sum()), float(data.places[-1]))
        _mark(figure, right, baselines[bad], data.steps[bad], texts, {"symbol": "x", "size": 8, "color": ALARM})


def _mark(
    figure: go.Figure, x: Floats, y: Floats, steps: Integers, texts: Sequence[str], marker: dict[str, Any]
) -> None:
    said = [
        f"{tr('step {step}', step=f'{step:,}')}<br>{text}" for step, text in zip(steps.tolist(), texts, strict=True)
    ]
    figure.add_scatter(
        x=x, y=packed(y), mode="markers", marker=marker, text=said, hovertemplate="%{text}<extra></extra>"
    )


def _said(data: RidgelinesData) -> str:
    notes = []
    if len(data.steps) < data.recorded:
        notes.append(tr("{count} of {recorded} steps", count=len(data.steps), recorded=f"{data.recorded:,}"))
    if zeros := float(np.nan_to_num(data.zero_shares).max()):
        percent = number(float(f"{100 * zeros:.3g}"))
        notes.append(tr("circles: exact zeros, up to {percent} % of a step", percent=percent))
    return " · ".join(notes)


def _nonfinite_said(data: RidgelinesData) -> str:
    if not data.nonfinite_steps:
        return ""
    return tr(
        "{nan} NaN and {infinite} infinite values at {count} of {steps} steps",
        nan=f"{data.nan_count:,}",
        infinite=f"{data.infinity_count:,}",
        count=f"{data.nonfinite_steps:,}",
        steps=f"{data.recorded:,}",
    )


def _write_above(figure: go.Figure, notes: Sequence[tuple[str, str]]) -> None:
    """Write notes and their colours below each other: side by side they would meet on a narrow page."""
    place = {"x": 0, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    for above, (text, color) in enumerate(reversed(notes)):
        figure.add_annotation(text=text, yshift=NOTE_HEIGHT * above, showarrow=False, font={"color": color}, **place)
    extra = NOTE_HEIGHT * max(len(notes) - 1, 0)
    figure.update_layout(height=figure.layout.height + extra, margin_t=figure.layout.margin.t + extra)
