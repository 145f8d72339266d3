"""How a column's effect depends on its own value, and on that of the column that changes it most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.overview import Overview, named, rounded
from torchglass.charts.records import packed
from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, SEQUENTIAL, colorscale, new_figure
from torchglass.language import tr
from torchglass.store.records import Floats

HEIGHT = 300  # px


class DependenceData(NamedTuple):
    """Rows (n,): a column's value and effect, and its partner's value, in their own units; no partner is "".

    Names are not escaped.
    """

    name: str
    partner: str
    score: str
    values: Floats
    effects: Floats
    partner_values: Floats


def dependence_data(overview: Overview, column: int) -> DependenceData:
    """Prepare one column."""
    partner = int(overview.partners[column])
    return DependenceData(
        name=overview.names[column],
        partner=named(overview, partner) if partner >= 0 else "",
        score=overview.score,
        values=overview.inputs[:, column],
        effects=overview.values[:, column],
        partner_values=overview.inputs[:, partner] if partner >= 0 else np.zeros(len(overview.inputs)),
    )


def dependence_figure(data: DependenceData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw a point a row: where points of one value spread, another column has a say, and the colour which way."""
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, hovermode="closest", showlegend=False)
    beside = f"{plot_text(data.partner, 60)} = " if data.partner else ""
    hover = [
        f"{plot_text(data.name, 60)} = {rounded(value)}: {rounded(effect)}"
        + (f"<br>{beside}{rounded(other)}" if data.partner else "")
        for value, effect, other in zip(data.values, data.effects, data.partner_values, strict=True)
    ]
    marker = {"size": 7, "opacity": 0.85, "line": {"width": 0.5, "color": NEUTRAL}}
    if data.partner:
        low, high = np.quantile(data.partner_values, (0.05, 0.95))
        marker |= {
            "color": packed(data.partner_values),
            "colorscale": colorscale(SEQUENTIAL),
            "cmin": float(low),
            "cmax": float(high) if high > low else float(low) + 1,
            "colorbar": {
                "title": {"text": plot_text(data.partner, 30), "side": "right"},
                "thickness": 8,
                "outlinewidth": 0,
            },
        }
    else:
        marker |= {"color": PALETTE[0]}
    figure.add_scatter(
        x=packed(data.values), y=packed(data.effects), mode="markers", marker=marker, hovertext=hover, hoverinfo="text"
    )
    figure.update_xaxes(title_text=plot_text(data.name, 60))
    figure.update_yaxes(
        title_text=plot_text(tr("effect on the {score}", score=data.score), 44), zeroline=True, zerolinecolor=NEUTRAL
    )
    return figure
