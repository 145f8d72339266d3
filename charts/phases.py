"""Where the time of a step goes: phases stacked over the steps, and each phase's share of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.columns import in_columns, mean_of_each
from torchglass.charts.cursor import on_steps
from torchglass.charts.records import Recorded, packed, packed_steps
from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import quantity, scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers, Series

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
SHARE_HEIGHT = 24  # px a phase
NAMES = {
    "data": mark("data wait"),
    "to_device": mark("host to device"),
    "forward": mark("forward"),
    "backward": mark("backward"),
    "gradient_sync": mark("gradient sync"),
    "optimizer": mark("optimizer"),
    "other": mark("other"),
}
_NO_PHASES = mark(
    "No phase was timed: attach with the model and its optimizer, and fetch batches with run.batches(loader)."
)


class PhasesData(NamedTuple):
    """Seconds (k, n) of k phases at n steps, and each phase's total seconds (k,) and share (k,) of their sum.

    `step_seconds` (n,) is the whole step, NaN where it was not timed; `step_count` steps were timed in all, `mean_step`
    seconds each. With `steps_per_column` over 1 a value is the mean of its steps.
    """

    phases: tuple[str, ...]
    steps: Integers
    seconds: Floats
    step_seconds: Floats
    totals: Floats
    shares: Floats
    step_count: int
    steps_per_column: int
    mean_step: float | None


def phases_data(records: Sequence[Recorded]) -> PhasesData:
    """Take the series "phase/<name>" with all their points: reduced ones overstate the extremes."""
    found = {record.series.key.removeprefix(PREFIX): record.points for record in records}
    parts = in_order([name for name in found if name != WHOLE])
    whole = [found[WHOLE]] if WHOLE in found else []
    columns = in_columns([*(found[name] for name in parts), *whole], mean_of_each)
    totals = np.array([float(np.nansum(found[name].values)) for name in parts])
    count = max((len(points.steps) for points in found.values()), default=0)
    timed = whole[0].values[np.isfinite(whole[0].values)] if whole else np.empty(0)
    parts_mean = float(totals.sum()) / count if count and parts else None
    return PhasesData(
        phases=parts,
        steps=columns.steps,
        seconds=columns.values[: len(parts)],
        step_seconds=columns.values[-1] if whole else np.full(len(columns.steps), np.nan),
        totals=totals,
        shares=_shares(totals),
        step_count=count,
        steps_per_column=columns.width,
        mean_step=float(timed.mean()) if timed.size else parts_mean,
    )


class SharesData(NamedTuple):
    """Seconds in all (k,) of k phases, and the share (k,) of each in their sum."""

    phases: tuple[str, ...]
    totals: Floats
    shares: Floats


def shares_data(series: Sequence[Series]) -> SharesData:
    """Take the summaries of the series "phase/<name>" of one rank: no point has to be read."""
    sums = {
        one.key.removeprefix(PREFIX): (one.mean or 0.0) * (one.count - one.nonfinite_count)
        for one in series
        if one.key.startswith(PREFIX)
    }
    names = in_order([name for name in sums if name != WHOLE])
    totals = np.array([sums[name] for name in names])
    return SharesData(names, totals, _shares(totals))


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Phases as they follow each other in a step, then those that we do not know."""
    return (*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER))


def _shares(totals: Floats) -> Floats:
    whole = float(totals.sum())
    return totals / whole if whole > 0 else np.full(len(totals), np.nan)


def phases_figure(data: PhasesData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw the phases as layers whose sum is the step."""
    if not data.phases:
        return empty_figure(plot_text(reason or tr(_NO_PHASES), 300), dark=dark, title=plot_text(title))
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
    is_mean = data.steps_per_column > 1
    figure.update_xaxes(
        title_text=tr("step (each point the mean of {count})", count=data.steps_per_column) if is_mean else tr("step")
    )
    figure.update_yaxes(title_text=tr("{unit} a step", unit=scale.unit), rangemode="tozero")
    return on_steps(figure)


def phase_shares_figure(
    data: PhasesData | SharesData,
    *,
    step_seconds: Mapping[str, float] | None = None,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw each phase's share of the time of all steps as a bar with its percentage, in the order of a step.

    `step_seconds` are of one step, by phase: its shares are marked on the bars.
    """
    if not data.phases or not np.isfinite(data.shares).all():
        return empty_figure(plot_text(reason or tr(_NO_PHASES), 300), dark=dark, title=plot_text(title))
    places = np.arange(len(data.phases), dtype=np.int32)
    percent = 100 * data.shares
    figure = new_figure(
        dark=dark, title=plot_text(title), height=50 + SHARE_HEIGHT * len(places), showlegend=False, bargap=0.3
    )
    figure.add_bar(
        x=percent.astype(np.float32),
        y=places,
        orientation="h",
        marker={"color": [color_of(name) for name in data.phases]},
        text=[f"{share:.1f} %" for share in percent.tolist()],
        textposition="outside",
        cliponaxis=False,
        hovertext=[tr("{time} in all", time=quantity(total, "s")) for total in data.totals.tolist()],
        hovertemplate="%{x:.1f} %, %{hovertext}<extra></extra>",
    )
    widest = float(percent.max())
    if step_seconds:
        widest = max(widest, _mark_step(figure, data.phases, step_seconds, dark=dark))
    names = [plot_text(name_of(name), 24) for name in data.phases]
    figure.update_yaxes(autorange="reversed", tickvals=places, ticktext=names, showgrid=False, ticks="")
    # Room for the longest bar's percentage, on a phone too.
    figure.update_xaxes(visible=False, range=[0, 1.25 * widest], fixedrange=True)
    figure.update_layout(margin={"t": 8, "b": 8})
    return figure


def _mark_step(figure: go.Figure, phases: Sequence[str], seconds: Mapping[str, float], *, dark: bool) -> float:
    """Mark a step's shares on the bars; returns the largest percentage."""
    whole = sum(seconds.get(name, 0.0) for name in phases)
    if not whole > 0:
        return 0.0
    percent = [100 * seconds.get(name, 0.0) / whole for name in phases]
    figure.add_scatter(
        x=np.array(percent, np.float32),
        y=np.arange(len(percent), dtype=np.int32),
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": 9,
            "color": "#ffffff" if dark else "#1b1f24",
            "line": {"width": 1.5, "color": "#1b1f24" if dark else "#ffffff"},
        },
        cliponaxis=False,
        hovertext=[quantity(seconds.get(name), "s") for name in phases],
        hovertemplate=tr("in this step: {share}, {seconds}", share="%{x:.1f} %", seconds="%{hovertext}")
        + "<extra></extra>",
    )
    return max(percent)


def name_of(phase: str) -> str:
    """What people call a phase, in their language; what a user named keeps its name."""
    return tr(NAMES[phase]) if phase in NAMES else phase


def color_of(phase: str) -> str:
    """Colour of a phase, the same on every chart."""
    return COLORS.get(phase, PALETTE[4])
