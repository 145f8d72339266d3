"""How much each column counts, twice: how far it moves the score and how much worse the answers get without it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.overview import Overview, rounded
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import NEUTRAL, PALETTE, new_figure
from torchglass.language import tr
from torchglass.store.records import Floats

MOST_COLUMNS = 15
ROW_HEIGHT, AROUND = 24, 90  # px


class ImportanceData(NamedTuple):
    """Columns (m,), the one that counts most first; `names` are not escaped.

    `effects` are mean |Shapley values|, in units of the score; `worsening` is how much `measure` gets worse when the
    column's values are dealt anew, `deviations` its standard deviation over the deals.
    """

    score: str
    measure: str
    names: tuple[str, ...]
    effects: Floats
    worsening: Floats
    deviations: Floats
    left_out: int


def importance_data(overview: Overview) -> ImportanceData:
    """Prepare the columns that move the score most."""
    shown = overview.order[:MOST_COLUMNS]
    return ImportanceData(
        score=overview.score,
        measure=overview.measure,
        names=tuple(overview.names[column] for column in shown),
        effects=overview.mean_absolute[shown],
        worsening=overview.importance[shown].mean(axis=1),
        deviations=overview.importance[shown].std(axis=1),
        left_out=len(overview.order) - len(shown),
    )


def importance_figure(data: ImportanceData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw two bars a column: mean effect, and worsening with one standard deviation on each side."""
    rows = np.arange(len(data.names), dtype=np.int32)
    height = AROUND + ROW_HEIGHT * len(rows)
    figure = new_figure(dark=dark, title=plot_text(title), height=height, showlegend=False, bargap=0.3)
    make_subplots(rows=1, cols=2, figure=figure, shared_yaxes=True, horizontal_spacing=0.05)
    for column, (lengths, errors) in enumerate(((data.effects, None), (data.worsening, data.deviations)), start=1):
        hover = [f"{plot_text(name, 60)}: {rounded(length)}" for name, length in zip(data.names, lengths, strict=True)]
        figure.add_bar(
            x=lengths,
            y=rows,
            orientation="h",
            marker={"color": PALETTE[column - 1]},
            error_x=None if errors is None else {"type": "data", "array": errors, "color": NEUTRAL, "thickness": 1.5},
            hovertext=hover,
            hoverinfo="text",
            row=1,
            col=column,
        )
    labels = [short_label(name, 26) for name in data.names]
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5], tickvals=rows, ticktext=labels, showgrid=False, ticks="")
    figure.update_xaxes(
        title_text=plot_text(tr("mean effect on the {score}", score=data.score), 60), rangemode="tozero", col=1
    )
    if data.measure in ("accuracy", "R²"):
        worse = tr("{measure} lost when dealt anew", measure=data.measure)
    else:
        worse = tr("{measure} gained when dealt anew", measure=data.measure)
    figure.update_xaxes(title_text=plot_text(worse, 60), zeroline=True, zerolinecolor=NEUTRAL, col=2)
    return figure
