"""Where the time of a step goes: phases stacked over the steps, and each phase's share of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.columns import in_columns, mean_of_each
from torchglass.charts.records import Recorded, packed, packed_steps
from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import quantity, scale_of
from torchglass.store.records import Floats, Integers

PREFIX = "phase/"
WHOLE = "step"
ORDER = ("data", "to_device", "forward", "backward", "gradient_sync", "optimizer", "torchglass", "other")
# Waiting is warm, working is cool: what could be got rid of stands out.
COLORS = {
    "data": PALETTE[1],
    "to_device": PALETTE[4],
    "forward": PALETTE[5],
    "backward": PALETTE[0],
    "gradient_sync": PALETTE[3],
    "optimizer": PALETTE[2],
    "torchglass": "#8c6bb1",
    "other": NEUTRAL,
}
NAMES = {"data": "data wait", "to_device": "host to device", "gradient_sync": "gradient sync"}
_NO_PHASES = "No phase was timed: attach with the model and its optimizer, and fetch batches with run.batches(loader)."


class PhasesData(NamedTuple):
    """Seconds (k, n) of k phases at n steps, and each phase's total seconds (k,) and share (k,) of their sum.

    `step_seconds` (n,) is the whole step, NaN where it was not timed; `step_count` steps were timed in all. With
    `steps_per_column` over 1 a value is the mean of its steps.
    """

    phases: tuple[str, ...]
    steps: Integers
    seconds: Floats
    step_seconds: Floats
    totals: Floats
    shares: Floats
    step_count: int
    steps_per_column: int


def phases_data(records: Sequence[Recorded]) -> PhasesData:
    """Take the series "phase/<name>" with all their points: reduced ones overstate the extremes."""
    found = {record.series.key.removeprefix(PREFIX): record.points for record in records}
    known = [name for name in ORDER if name in found]
    parts = [*known, *(name for name in found if name not in ORDER and name != WHOLE)]
    whole = [found[WHOLE]] if WHOLE in found else []
    columns = in_columns([*(found[name] for name in parts), *whole], mean_of_each)
    totals = np.array([float(np.nansum(found[name].values)) for name in parts])
    total = float(totals.sum())
    return PhasesData(
        phases=tuple(parts),
        steps=columns.steps,
        seconds=columns.values[: len(parts)],
        step_seconds=columns.values[-1] if whole else np.full(len(columns.steps), np.nan),
        totals=totals,
        shares=totals / total if total > 0 else np.full(len(parts), np.nan),
        step_count=max((len(points.steps) for points in found.values()), default=0),
        steps_per_column=columns.width,
    )


def phases_figure(data: PhasesData, *, title: str = "", dark: bool = False, reason: str = _NO_PHASES) -> go.Figure:
    """Draw the phases as layers whose sum is the step."""
    if not data.phases:
        return empty_figure(plot_text(reason, 300), dark=dark, title=plot_text(title))
    highest = float(np.nansum(data.seconds, axis=0).max()) if data.steps.size else 0.0
    scale = scale_of("s", highest)
    figure = new_figure(dark=dark, title=plot_text(title), hovermode="x unified", legend_traceorder="normal")
    for name, seconds in zip(data.phases, data.seconds, strict=True):
        figure.add_scatter(
            x=packed_steps(data.steps),
            y=packed(seconds * scale.factor),
            name=plot_text(name_of(name)),
            stackgroup="phases",
            mode="lines",
            line={"width": 0.5, "color": color_of(name)},
            hovertemplate=f"%{{y:.3g}} {scale.unit}",
        )
    averaged = f" (each point the mean of {data.steps_per_column})" if data.steps_per_column > 1 else ""
    figure.update_xaxes(title_text=f"step{averaged}")
    figure.update_yaxes(title_text=f"{scale.unit} a step", rangemode="tozero")
    return figure


def phase_shares_figure(
    data: PhasesData, *, title: str = "", dark: bool = False, reason: str = _NO_PHASES
) -> go.Figure:
    """Draw each phase's share of the time of all steps as one bar, with the percentage written on it."""
    if not data.phases or not np.isfinite(data.shares).all():
        return empty_figure(plot_text(reason, 300), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=150, barmode="stack", legend_traceorder="normal")
    for name, total, share in zip(data.phases, data.totals.tolist(), data.shares.tolist(), strict=True):
        figure.add_bar(
            x=np.array([100 * share], np.float32),
            y=np.array([0], np.int32),
            orientation="h",
            name=f"{plot_text(name_of(name))} {100 * share:.0f} %",
            marker={"color": color_of(name)},
            text=f"{quantity(total, 's')} in all",
            textposition="none",
            hovertemplate="%{x:.1f} %, %{text}",
        )
    figure.update_xaxes(ticksuffix=" %", range=[0, 100], dtick=25)
    figure.update_layout(margin_r=28)  # room for the last tick
    figure.update_yaxes(visible=False)
    return figure


def name_of(phase: str) -> str:
    """What people call a phase."""
    return NAMES.get(phase, phase)


def color_of(phase: str) -> str:
    """Colour of a phase, the same on every chart."""
    return COLORS.get(phase, PALETTE[4])
