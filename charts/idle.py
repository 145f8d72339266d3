"""Why a device waited: seconds of its streams without work, by cause."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers, Table

COLORS = {"host wait": PALETTE[1], "launch latency": PALETTE[4], "kernel wait": PALETTE[5]}
MEANINGS = {
    "host wait": mark("the host had not launched the next kernel yet"),
    "launch latency": mark("the next kernel was on its way"),
    "kernel wait": mark("the device's own pause between two kernels"),
    "other": mark("the next kernel was launched in time and waited for something else"),
}
NAMES = {
    "host wait": mark("host wait"),
    "launch latency": mark("launch latency"),
    "kernel wait": mark("kernel wait"),
    "other": mark("other"),
}
MOST_STREAMS = 12
ROW_HEIGHT = 30


class IdleData(NamedTuple):
    """Seconds and gaps (k, m) of k streams by m causes, the idlest stream first; `left_out` streams are not here."""

    streams: tuple[str, ...]
    causes: tuple[str, ...]
    seconds: Floats
    gaps: Integers
    left_out: int


def idle_data(table: Table | None, *, most: int = MOST_STREAMS) -> IdleData:
    """Take the table "idle" of a window."""
    if table is None or not len(table["cause"]):
        return IdleData((), (), np.empty((0, 0)), np.empty((0, 0), np.int64), 0)
    found = dict.fromkeys(table["cause"].tolist())
    causes = [*(cause for cause in MEANINGS if cause in found), *(cause for cause in found if cause not in MEANINGS)]
    places = list(zip(table["device"].tolist(), table["stream"].tolist(), strict=True))
    streams = list(dict.fromkeys(places))
    seconds = np.zeros((len(streams), len(causes)))
    gaps = np.zeros((len(streams), len(causes)), np.int64)
    for place, cause, took, count in zip(places, table["cause"], table["seconds"], table["gaps"], strict=True):
        seconds[streams.index(place), causes.index(cause)] += took
        gaps[streams.index(place), causes.index(cause)] += count
    order = np.argsort(-seconds.sum(axis=1), kind="stable")[:most]
    names = [
        tr("GPU {device}, stream {stream}", device=streams[row][0], stream=streams[row][1]) for row in order.tolist()
    ]
    return IdleData(tuple(names), tuple(causes), seconds[order], gaps[order], len(streams) - len(order))


def cause_name(cause: str) -> str:
    """A cause of idle time in the reader's language."""
    return tr(NAMES[cause]) if cause in NAMES else cause


def idle_figure(data: IdleData, *, steps: int = 1, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw a bar a stream, in time a step, its causes side by side."""
    if not data.streams:
        return empty_figure(plot_text(reason or tr("No stream had a gap."), 300), dark=dark, title=plot_text(title))
    seconds = data.seconds / max(steps, 1)
    scale = scale_of("s", float(seconds.sum(axis=1).max()))
    places = np.arange(len(data.streams), dtype=np.int32)
    figure = new_figure(
        dark=dark,
        title=plot_text(title),
        height=120 + ROW_HEIGHT * len(places),
        barmode="stack",
        bargap=0.3,
        showlegend=True,
        legend={"traceorder": "normal", "entrywidth": 84, "font": {"size": 11}},
        margin_t=52,
    )
    for column, cause in enumerate(data.causes):
        name, meaning = plot_text(cause_name(cause)), tr(MEANINGS.get(cause, ""))
        counts = [tr("{cause}, {count} gaps", cause=name, count=f"{n:,}") for n in data.gaps[:, column].tolist()]
        hover = [f"{count}<br>{meaning}" for count in counts]
        figure.add_bar(
            x=seconds[:, column] * scale.factor,
            y=places,
            orientation="h",
            name=name,
            marker={"color": COLORS.get(cause, NEUTRAL)},
            hovertext=hover,
            hovertemplate=tr("{time} a step", time=f"%{{x:.3g}} {scale.unit}") + ": %{hovertext}<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed", tickvals=places, ticktext=list(data.streams), showgrid=False)
    figure.update_xaxes(title_text=tr("idle, {unit} a step", unit=scale.unit))
    return figure
