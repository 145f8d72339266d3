"""The ranks of a run side by side: their phases as bars, and each one's own work over the steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.analysis.ranks import Ranks
from torchglass.charts.columns import in_columns, mean_of_each
from torchglass.charts.cursor import on_steps
from torchglass.charts.phases import COLORS, name_of
from torchglass.charts.records import packed, packed_steps
from torchglass.charts.text import plot_text
from torchglass.charts.theme import PALETTE, SEQUENTIAL, colorscale, empty_figure, new_figure
from torchglass.charts.units import scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers, Points

MOST_RANKS = 64  # rows that can be told apart on a screen
ROW_HEIGHT = 24  # px a rank
COLORED_PERCENTILES = (1, 99)  # one step that hangs would leave a single colour for all others
_NO_RANKS = mark("No steps that the ranks of this run have in common were timed.")


class RanksData(NamedTuple):
    """Median seconds (r, k) of each phase in each rank, and seconds of own work (r, n) in columns of steps.

    `steps` (n,) are the first of each column, `steps_per_column` says how many it is the mean of; `left_out` counts
    ranks beyond those that a screen can show, the ones with least work.
    """

    ranks: tuple[int, ...]
    phases: tuple[str, ...]
    medians: Floats
    steps: Integers
    own: Floats
    steps_per_column: int
    left_out: int


def ranks_data(ranks: Ranks) -> RanksData:
    """Take the ranks with most work of their own, in order of rank."""
    if not ranks.steps.size:
        return RanksData((), (), np.empty((0, 0)), np.empty(0, np.int64), np.empty((0, 0)), 1, 0)
    own, medians = ranks.own, ranks.medians
    kept = np.sort(np.argsort(-np.median(own, axis=-1), kind="stable")[:MOST_RANKS])
    shown = np.flatnonzero((ranks.seconds > 0).any(axis=(0, 2)))
    count = len(ranks.steps)
    no_times = np.zeros(count)
    columns = in_columns([Points(ranks.steps, no_times, own[row], count, count) for row in kept], mean_of_each)
    return RanksData(
        ranks=tuple(ranks.ranks[row] for row in kept),
        phases=tuple(ranks.phases[phase] for phase in shown),
        medians=medians[np.ix_(kept, shown)],
        steps=columns.steps,
        own=columns.values,
        steps_per_column=columns.width,
        left_out=len(ranks.ranks) - len(kept),
    )


def ranks_figure(data: RanksData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw a bar for each rank, its phases stacked: what is waiting in one is work in another."""
    if not data.ranks:
        return empty_figure(plot_text(reason or tr(_NO_RANKS), 300), dark=dark, title=plot_text(title))
    scale = scale_of("s", float(data.medians.sum(axis=1).max()))
    figure = new_figure(
        dark=dark,
        title=plot_text(title),
        height=110 + ROW_HEIGHT * len(data.ranks),
        barmode="stack",
        bargap=0.25,
        legend_traceorder="normal",
    )
    for place, phase in enumerate(data.phases):
        figure.add_bar(
            x=packed(data.medians[:, place] * scale.factor),
            y=_rows(data),
            orientation="h",
            name=plot_text(name_of(phase)),
            marker={"color": COLORS.get(phase, PALETTE[4])},
            hovertemplate=f"%{{y}}: %{{x:.3g}} {scale.unit}",
        )
    figure.update_xaxes(title_text=tr("median, {unit} a step", unit=scale.unit) + _left_out(data), rangemode="tozero")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def own_work_figure(data: RanksData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw how long each rank worked without waiting, over the steps: a straggler is a bright row."""
    if not data.ranks:
        return empty_figure(plot_text(reason or tr(_NO_RANKS), 300), dark=dark, title=plot_text(title))
    finite = data.own[np.isfinite(data.own)]
    scale = scale_of("s", float(np.median(finite)))
    low, high = (float(each) * scale.factor for each in np.percentile(finite, COLORED_PERCENTILES))
    figure = new_figure(dark=dark, title=plot_text(title), height=110 + ROW_HEIGHT * len(data.ranks))
    figure.add_heatmap(
        x=packed_steps(data.steps),
        y=_rows(data),
        z=packed(data.own * scale.factor),
        colorscale=colorscale(SEQUENTIAL),
        zmin=low,
        zmax=high,
        colorbar={"title": {"text": scale.unit}, "thickness": 10, "outlinewidth": 0, "len": 1},
        hovertemplate="%{y}<br>"
        + tr("step {step}: {time} of own work", step="%{x}", time=f"%{{z:.3g}} {scale.unit}")
        + "<extra></extra>",
        hoverongaps=False,
    )
    is_mean = data.steps_per_column > 1
    steps = tr("step (each column the mean of {count})", count=data.steps_per_column) if is_mean else tr("step")
    figure.update_xaxes(title_text=steps + _left_out(data))
    figure.update_yaxes(type="category", autorange="reversed")
    return on_steps(figure)


def _rows(data: RanksData) -> list[str]:
    return [tr("rank {rank}", rank=rank) for rank in data.ranks]


def _left_out(data: RanksData) -> str:
    if not data.left_out:
        return ""
    return " · " + tr("{count} ranks with less work are not shown", count=data.left_out)
