"""Reliability diagrams: whether 80 % sure is right in 80 % of the cases (Guo, Pleiss, Sun and Weinberger 2017)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers

HEIGHT = 380  # px
_NO_CALIBRATION = mark(
    "No calibration was stored: runs of classifiers among the reference models have one for each epoch."
)


class CalibrationData(NamedTuple):
    """Bins (b,) of equal width over confidences 0..1: `counts`, mean `confidences` and `accuracies`, NaN where empty.

    `error` is the expected calibration error, 0..1: the mean over the samples of |accuracy - confidence| of their bin
    (equation 3 of the paper); None without samples.
    """

    counts: Integers
    confidences: Floats
    accuracies: Floats
    error: float | None


def calibration_data(table: npt.NDArray[Any]) -> CalibrationData | None:
    """Prepare bins (b, 3): samples, mean confidence, share of right answers; None for what is no such table."""
    if table.ndim != 2 or table.shape[1] != 3 or not np.isfinite(table[:, 0]).all():
        return None
    table = table.astype(np.float64)
    counts = table[:, 0].astype(np.int64)
    filled = counts > 0
    whole = int(counts.sum())
    gaps = np.abs(table[filled, 2] - table[filled, 1])
    return CalibrationData(
        counts=counts,
        confidences=np.where(filled, table[:, 1], np.nan),
        accuracies=np.where(filled, table[:, 2], np.nan),
        error=float((counts[filled] * gaps).sum() / whole) if whole else None,
    )


def calibration_text(data: CalibrationData) -> str:
    """The error in one sentence, with the direction in which it errs."""
    if data.error is None:
        return tr("No sample was scored.")
    filled = data.counts > 0
    lean = float((data.counts[filled] * (data.confidences - data.accuracies)[filled]).sum() / data.counts.sum())
    towards = tr("on the whole too sure") if lean > 0 else tr("on the whole not sure enough")
    return tr(
        "Expected calibration error: {percent} % ({bins} bins of equal width), {towards}.",
        percent=number(float(f"{100 * data.error:.2g}")),
        bins=len(data.counts),
        towards=towards,
    )


def calibration_figure(
    data: CalibrationData | None, *, title: str = "", dark: bool = False, reason: str = ""
) -> go.Figure:
    """Draw the share of right answers in each bin against the diagonal, and below it how many samples it holds."""
    if data is None:
        return empty_figure(plot_text(reason or tr(_NO_CALIBRATION), 300), dark=dark, title=plot_text(title))
    if not data.counts.any():
        return empty_figure(tr("Nothing was scored at this step."), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, barmode="overlay", bargap=0.06)
    make_subplots(rows=2, cols=1, figure=figure, shared_xaxes=True, row_heights=[0.74, 0.26], vertical_spacing=0.05)
    edges = np.linspace(0, 100, len(data.counts) + 1)
    middles = ((edges[:-1] + edges[1:]) / 2).round(3)
    hovers = [
        _hover(low, high, int(count), sure, right)
        for low, high, count, sure, right in zip(
            edges[:-1], edges[1:], data.counts, data.confidences, data.accuracies, strict=True
        )
    ]
    told = {"hovertext": hovers, "hoverinfo": "text"}
    figure.add_bar(
        x=middles, y=100 * data.accuracies, name=tr("right answers"), marker={"color": PALETTE[0]}, **told, row=1, col=1
    )
    figure.add_scatter(
        x=100 * data.confidences,
        y=100 * data.accuracies,
        mode="markers",
        name=tr("at the mean confidence"),
        marker={"color": PALETTE[1], "size": 7},
        **told,
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        name=tr("as sure as right"),
        line={"color": NEUTRAL, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_bar(
        x=middles, y=data.counts, name=tr("samples"), marker={"color": NEUTRAL}, showlegend=False, **told, row=2, col=1
    )
    figure.update_xaxes(range=[0, 100])
    figure.update_xaxes(title_text=tr("confidence, %"), row=2, col=1)
    figure.update_yaxes(title_text=tr("right, %"), range=[0, 100], row=1, col=1)
    figure.update_yaxes(title_text=tr("samples"), row=2, col=1)
    figure.update_layout(margin={"t": 56 + (26 if title else 0)})
    return figure


def _hover(low: float, high: float, count: int, sure: float, right: float) -> str:
    """What a bin from `low` to `high` percent holds."""
    told = tr(
        "confidence {low} to {high} %: {count} samples", low=f"{low:.0f}", high=f"{high:.0f}", count=number(count)
    )
    if not count:
        return told
    shares = tr("mean confidence {sure} %, right {right} %", sure=f"{100 * sure:.1f}", right=f"{100 * right:.1f}")
    return f"{told}<br>{shares}"
