"""A sweep: how the best value grew, what each trial had chosen beside what came of it, and which switch mattered.

Parallel coordinates are drawn with plain lines: plotly's own kind needs WebGL and code that is compiled in the browser,
which neither the page nor a report allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.analysis.sweeps import Sweep, Trial
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import (
    ALARM,
    NEUTRAL,
    PALETTE,
    SEQUENTIAL,
    colorscale,
    empty_figure,
    new_figure,
    paint,
)
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers

MOST_LINES = 200  # trials in parallel coordinates; each is a trace, and the best ones are kept
TICKS = 5
ROW_HEIGHT = 26  # px a switch
NOT_YET = mark("No trial has ended yet.")
TOO_FEW = mark("Too few trials are complete, or all have one value, to tell what mattered.")


class HistoryData(NamedTuple):
    """Complete trials (n,) in the order in which they began: values, and the best of those so far.

    `pruned_numbers` and `pruned_values` (m,) are of the trials that were stopped, at their last score. `own` is the
    value of the recipe's own settings, None where that trial is not complete.
    """

    metric: str
    numbers: Integers
    values: Floats
    best: Floats
    pruned_numbers: Integers
    pruned_values: Floats
    own: float | None


class Axis(NamedTuple):
    """A switch, or the value: where each trial (n,) stands, from 0, the foot of the axis, to 1; NaN where nowhere."""

    title: str
    places: Floats
    tick_places: Floats
    tick_texts: tuple[str, ...]


class ParallelData(NamedTuple):
    """Complete trials (n,), the best last so that it lies on top; `left_out` counts worse ones that are not drawn."""

    metric: str
    axes: tuple[Axis, ...]
    numbers: Integers
    values: Floats
    texts: tuple[str, ...]
    left_out: int


class ImportancesData(NamedTuple):
    """Switches (k,) and their shares of what tells good trials from others, the largest first; they sum to 1."""

    names: tuple[str, ...]
    shares: Floats


def history_data(sweep: Sweep) -> HistoryData:
    """Line up the trials of a sweep."""
    values = np.array([trial.value for trial in sweep.complete], np.float64)
    best = np.maximum.accumulate(values) if sweep.largest_is_best else np.minimum.accumulate(values)
    pruned = [trial for trial in sweep.trials if trial.state == "pruned" and trial.course]
    own = sweep.of_defaults
    return HistoryData(
        metric=sweep.metric,
        numbers=np.array([trial.number for trial in sweep.complete], np.int64),
        values=values,
        best=best,
        pruned_numbers=np.array([trial.number for trial in pruned], np.int64),
        pruned_values=np.array([trial.course[-1][1] for trial in pruned], np.float64),
        own=None if own is None else own.value,
    )


def parallel_data(sweep: Sweep) -> ParallelData:
    """Place every complete trial on an axis for each switch, and on one for its value."""
    ranked = [trial for trial in sweep.ranked if trial.value is not None]
    trials = ranked[:MOST_LINES][::-1]
    values = np.array([trial.value for trial in trials], np.float64)
    axes = [_axis(name, [trial.changes.get(name) for trial in trials], name in sweep.logs) for name in sweep.switches]
    return ParallelData(
        metric=sweep.metric,
        axes=(*axes, _axis(sweep.metric, values.tolist(), False)) if trials else (),
        numbers=np.array([trial.number for trial in trials], np.int64),
        values=values,
        texts=tuple(_told(trial, sweep.metric) for trial in trials),
        left_out=len(ranked) - len(trials),
    )


def importances_data(sweep: Sweep) -> ImportancesData:
    """Take the importances of a sweep."""
    return ImportancesData(tuple(sweep.importances), np.array(list(sweep.importances.values()), np.float64))


def history_figure(data: HistoryData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw each trial's value, the best one so far, and the recipe's own as a dashed line."""
    if not len(data.numbers) and not len(data.pruned_numbers):
        return empty_figure(tr(NOT_YET), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title))
    hover = f"{tr('trial')} %{{x}}: %{{y:.4g}}<extra></extra>"
    figure.add_scatter(
        x=data.numbers,
        y=data.best,
        mode="lines",
        name=tr("best so far"),
        line={"color": PALETTE[0], "width": 2, "shape": "hv"},
        hovertemplate=hover,
    )
    figure.add_scatter(
        x=data.numbers,
        y=data.values,
        mode="markers",
        name=tr("complete"),
        marker={"color": PALETTE[0], "size": 7},
        hovertemplate=hover,
    )
    if len(data.pruned_numbers):
        figure.add_scatter(
            x=data.pruned_numbers,
            y=data.pruned_values,
            mode="markers",
            name=tr("pruned, at its last score"),
            marker={"color": NEUTRAL, "size": 7, "symbol": "x"},
            hovertemplate=hover,
        )
    if data.own is not None:
        own = tr("the recipe's own")
        span = [0, int(max(data.numbers.max(initial=0), data.pruned_numbers.max(initial=0)))]
        figure.add_scatter(
            x=span,
            y=[data.own, data.own],
            mode="lines",
            name=own,
            line={"color": PALETTE[1], "dash": "dash", "width": 1.5},
            hovertemplate=f"{own}: %{{y:.4g}}<extra></extra>",
        )
    last = max(data.numbers.max(initial=0), data.pruned_numbers.max(initial=0))
    figure.update_xaxes(title_text=tr("trial"), rangemode="tozero", dtick=1 if last < 10 else None)
    figure.update_yaxes(title_text=plot_text(data.metric))
    return figure


def parallel_figure(data: ParallelData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw a line for each trial, through what it chose to what came of it, coloured by that; the best one is bold."""
    if not len(data.numbers):
        return empty_figure(tr(NOT_YET), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=340, showlegend=False, hovermode="closest")
    low, high = float(data.values.min()), float(data.values.max())
    shares = (data.values - low) / (high - low) if high > low else np.ones(len(data.values))
    colors = paint(0.15 + 0.85 * shares if dark else 0.95 * shares, SEQUENTIAL)
    places = np.stack([axis.places for axis in data.axes], axis=1)
    for row, (text, color) in enumerate(zip(data.texts, colors.tolist(), strict=True)):
        is_best = row == len(data.texts) - 1
        figure.add_scatter(
            x=np.arange(len(data.axes)),
            y=places[row],
            mode="lines+markers",
            connectgaps=False,
            line={"color": ALARM if is_best else f"rgb{tuple(color)}", "width": 3.5 if is_best else 1.5},
            marker={"size": 6 if is_best else 4},
            opacity=1.0 if is_best else 0.8,
            hovertext=text,
            hovertemplate="%{hovertext}<extra></extra>",
        )
    for place, axis in enumerate(data.axes):
        _draw_axis(figure, place, axis)
    _draw_scale(figure, data.metric, low, high)
    labels = [short_label(axis.title, 22) for axis in data.axes]
    figure.update_xaxes(
        tickvals=np.arange(len(labels)), ticktext=labels, side="top", showgrid=False, range=[-0.6, len(labels) - 0.8]
    )
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    if data.left_out:
        note = tr("the best {count} are drawn, {others} are not", count=len(data.numbers), others=data.left_out)
        figure.add_annotation(text=note, x=0, y=0, xref="paper", yref="paper", yshift=-24, showarrow=False)
    return figure


def importances_figure(data: ImportancesData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw a bar for each switch."""
    if not data.names:
        return empty_figure(tr(TOO_FEW), dark=dark, title=plot_text(title))
    rows = np.arange(len(data.names))
    figure = new_figure(
        dark=dark, title=plot_text(title), height=90 + ROW_HEIGHT * len(rows), showlegend=False, bargap=0.3
    )
    figure.add_bar(
        x=100 * data.shares,
        y=rows,
        orientation="h",
        marker={"color": PALETTE[0]},
        hovertext=[plot_text(name) for name in data.names],
        hovertemplate="%{hovertext}: %{x:.0f} %<extra></extra>",
    )
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        tickvals=rows,
        ticktext=[short_label(name) for name in data.names],
        showgrid=False,
    )
    figure.update_xaxes(title_text=tr("importance, %"), rangemode="tozero")
    return figure


def _axis(title: str, values: Sequence[Any], log: bool) -> Axis:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return _number_axis(title, np.array(values, np.float64), log)
    texts = sorted(
        {_text(value) for value in values if value is not None} | ({_text(None)} if None in values else set())
    )
    ticks = np.linspace(0, 1, len(texts)) if len(texts) > 1 else np.array([0.5])
    found = dict(zip(texts, ticks.tolist(), strict=True))
    return Axis(title, np.array([found[_text(value)] for value in values], np.float64), ticks, tuple(texts))


def _number_axis(title: str, values: Floats, log: bool) -> Axis:
    log = log and bool((values > 0).all())
    scaled = np.log10(values) if log else values
    low, high = float(scaled.min()), float(scaled.max())
    if high == low:
        return Axis(title, np.full(len(values), 0.5), np.array([0.5]), (f"{values[0]:.3g}",))
    ticks = np.linspace(0, 1, TICKS)
    at_ticks = low + ticks * (high - low)
    texts = tuple(f"{10**tick if log else tick:.3g}" for tick in at_ticks.tolist())
    return Axis(title, (scaled - low) / (high - low), ticks, texts)


def _draw_axis(figure: go.Figure, place: int, axis: Axis) -> None:
    figure.add_scatter(
        x=np.full(len(axis.tick_places), place),
        y=axis.tick_places,
        mode="lines+markers+text" if len(axis.tick_places) > 1 else "markers+text",
        line={"color": NEUTRAL, "width": 1},
        marker={"color": NEUTRAL, "symbol": "line-ew-open", "size": 7},
        text=[plot_text(text, 20) for text in axis.tick_texts],
        textposition="middle left",
        textfont={"size": 11},
        hoverinfo="skip",
    )


def _draw_scale(figure: go.Figure, metric: str, low: float, high: float) -> None:
    """Show what the colours mean: a point out of sight carries the scale."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        hoverinfo="skip",
        marker={
            "color": [low],
            "cmin": low,
            "cmax": high if high > low else low + 1,
            "colorscale": colorscale(SEQUENTIAL),
            "showscale": high > low,
            "colorbar": {"thickness": 10, "title": {"text": plot_text(metric, 30), "side": "right"}},
        },
    )


def _told(trial: Trial, metric: str) -> str:
    values = "<br>".join(
        f"{plot_text(name, 40)} {plot_text(_text(value), 40)}" for name, value in trial.changes.items()
    )
    assert trial.value is not None
    worth = f"{trial.value:.4g}" if math.isfinite(trial.value) else str(trial.value)
    return f"{tr('trial')} {trial.number}: {plot_text(metric, 40)} {worth}<br>{values}"


def _text(value: Any) -> str:
    if value is None:
        return tr("none")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
