"""Partial dependence: the score as one column is set to each of its values, on average and row by row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.overview import Overview
from torchglass.charts.records import packed
from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, new_figure
from torchglass.language import tr
from torchglass.store.records import Floats

HEIGHT = 300  # px
MOST_CURVES = 40


class PartialDependenceData(NamedTuple):
    """One column's grid (G,) in its own units, the mean score (G,), and rows' curves (R, G), centred at their start.

    `centred_mean` is the mean of all centred curves. The name is not escaped.
    """

    name: str
    score: str
    grid: Floats
    mean: Floats
    centred_mean: Floats
    curves: Floats


def partial_dependence_data(overview: Overview, place: int) -> PartialDependenceData:
    """Prepare the column at a place among those with curves; of more rows, every so many-th is drawn."""
    grid = overview.dependence_grid[place]
    known = np.isfinite(grid)
    curves = overview.dependence_curves[place][:, known]
    centred = curves - curves[:, :1]
    return PartialDependenceData(
        name=overview.names[int(overview.dependence_columns[place])],
        score=overview.score,
        grid=grid[known],
        mean=curves.mean(axis=0),
        centred_mean=centred.mean(axis=0),
        curves=centred[:: -(-len(centred) // MOST_CURVES)],
    )


def partial_dependence_figure(data: PartialDependenceData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw every row's change in grey, their mean on top: where the grey fans out, other columns change the effect."""
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, hovermode="x")
    gap = np.full((len(data.curves), 1), np.nan)
    figure.add_scatter(
        x=packed(np.tile(np.append(data.grid, np.nan), len(data.curves))),
        y=packed(np.concatenate((data.curves, gap), axis=1).ravel()),
        mode="lines",
        name=tr("single rows"),
        line={"color": NEUTRAL, "width": 1},
        opacity=0.45,
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=packed(data.grid),
        y=packed(data.centred_mean),
        mode="lines+markers",
        name=tr("mean"),
        line={"color": PALETTE[1], "width": 3},
        marker={"size": 5},
        customdata=packed(data.mean),
        hovertemplate="%{x:.4g}: %{y:+.3g}, " + tr("mean score {score}", score="%{customdata:.4g}") + "<extra></extra>",
    )
    figure.update_xaxes(title_text=plot_text(data.name, 60))
    figure.update_yaxes(
        title_text=plot_text(tr("change of the {score}", score=data.score), 44), zeroline=True, zerolinecolor=NEUTRAL
    )
    return figure
