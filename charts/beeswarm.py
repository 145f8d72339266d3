"""A beeswarm: every row's Shapley value of every column, coloured by whether the column's value is low or high."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.overview import Overview, rounded
from torchglass.charts.records import packed
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import NEUTRAL, SEQUENTIAL, colorscale, new_figure
from torchglass.language import tr
from torchglass.store.records import Floats, Integers

MOST_COLUMNS = 12
ROW_HEIGHT, AROUND = 34, 84  # px
BINS = 60  # over the whole span: points of one bin stand above each other
SWARM = 0.42  # of a row's height, on each side


class BeeswarmData(NamedTuple):
    """Points (k,) of the columns that count most: Shapley value, place and height, and the value's rank in 0..1.

    `names` (m,) are the columns from the top, not escaped; `values` are in the columns' own units. A column whose value
    never changes has the rank 0.5. `left_out` columns count less.
    """

    score: str
    names: tuple[str, ...]
    columns: Integers
    effects: Floats
    heights: Floats
    ranks: Floats
    values: Floats
    left_out: int


def beeswarm_data(overview: Overview) -> BeeswarmData:
    """Prepare the columns that count most, the one that counts most on top."""
    shown = overview.order[:MOST_COLUMNS]
    effects, values = overview.values[:, shown], overview.inputs[:, shown]
    edges = np.linspace(float(effects.min()), float(effects.max()) or 1e-12, BINS)
    heights = np.stack([_heights(effects[:, place], edges) for place in range(len(shown))], axis=1)
    return BeeswarmData(
        score=overview.score,
        names=tuple(overview.names[column] for column in shown),
        columns=np.repeat(np.arange(len(shown))[None], len(effects), axis=0).ravel(),
        effects=effects.ravel(),
        heights=heights.ravel(),
        ranks=np.stack([_ranks(values[:, place]) for place in range(len(shown))], axis=1).ravel(),
        values=values.ravel(),
        left_out=len(overview.order) - len(shown),
    )


def _heights(effects: Floats, edges: Floats) -> Floats:
    """Stack points that fall into one bin above and below the middle, in -1..1 of the fullest bin's height."""
    bins = np.searchsorted(edges, effects)
    heights = np.zeros(len(effects))
    for one in np.unique(bins):
        inside = np.flatnonzero(bins == one)
        places = np.arange(len(inside))
        heights[inside] = np.where(places % 2, -1, 1) * ((places + 1) // 2)
    return heights / max(float(np.abs(heights).max()), 4.0)  # a few points are no swarm


def _ranks(values: Floats) -> Floats:
    distinct, places = np.unique(values, return_inverse=True)
    return np.full(len(values), 0.5) if len(distinct) < 2 else places / (len(distinct) - 1)


def beeswarm_figure(data: BeeswarmData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw a row a column: to the right a value raises the score, dark is low and yellow is high."""
    rows = len(data.names)
    figure = new_figure(dark=dark, title=plot_text(title), height=AROUND + ROW_HEIGHT * rows, hovermode="closest")
    hover = [
        f"{plot_text(data.names[column], 60)} = {rounded(value)}: {rounded(effect)}"
        for column, value, effect in zip(data.columns.tolist(), data.values, data.effects, strict=True)
    ]
    figure.add_scatter(
        x=packed(data.effects),
        y=packed(data.columns + SWARM * data.heights),
        mode="markers",
        marker={
            "color": packed(data.ranks),
            "colorscale": colorscale(SEQUENTIAL),
            "cmin": 0,
            "cmax": 1,
            "size": 5,
            "line": {"width": 0.5, "color": NEUTRAL},
            "colorbar": {
                "title": {"text": tr("value"), "side": "right"},
                "tickvals": [0, 1],
                "ticktext": [tr("low"), tr("high")],
                "thickness": 8,
                "outlinewidth": 0,
            },
        },
        hovertext=hover,
        hoverinfo="text",
        showlegend=False,
    )
    labels = [short_label(name, 26) for name in data.names]
    figure.update_yaxes(tickvals=list(range(rows)), ticktext=labels, range=[rows - 0.4, -0.6], ticks="")
    told = tr("effect on the {score}", score=data.score)
    if data.left_out:
        told = tr("{told}; {count} columns that count less are not drawn", told=told, count=data.left_out)
    figure.update_xaxes(title_text=plot_text(told), zeroline=True, zerolinecolor=NEUTRAL)
    return figure
