"""Which columns speak together: mean Shapley interaction values of pairs, main effects on the diagonal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.overview import Overview, named, rounded
from torchglass.charts.records import packed
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import SEQUENTIAL, colorscale, new_figure
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats

CELL, AROUND = 34, 130  # px


class InteractionsData(NamedTuple):
    """Mean |values| (P, P) in units of the score; the diagonal is what a column says alone. Names unescaped."""

    names: tuple[str, ...]
    strength: Floats
    score: str
    known: int
    """columns with a name; one more stands for all others"""

    @property
    def strongest(self) -> tuple[int, int] | None:
        """The pair of known columns that says most together; None where no pair says anything."""
        pairs = np.triu(self.strength[: self.known, : self.known], 1)
        if len(pairs) < 2 or not pairs.any():
            return None
        first, second = np.unravel_index(int(pairs.argmax()), pairs.shape)
        return int(first), int(second)


def interactions_data(overview: Overview) -> InteractionsData:
    """Prepare the columns in the order of what they count, all others last."""
    columns = overview.interaction_columns
    rank = {int(column): place for place, column in enumerate(overview.order)}
    order = sorted(range(len(columns)), key=lambda place: rank.get(int(columns[place]), len(rank)))
    return InteractionsData(
        tuple(named(overview, int(columns[place])) for place in order),
        overview.interactions[np.ix_(order, order)],
        overview.score,
        int((columns >= 0).sum()),
    )


def interactions_text(data: InteractionsData) -> str:
    """The strongest pair in a sentence, beside the larger of the two main effects. Not yet escaped."""
    pair = data.strongest
    if pair is None:
        return tr("No two columns say more together than each by itself.")
    first, second = pair
    alone = max(data.strength[first, first], data.strength[second, second])
    return tr(
        "{first} and {second} interact most: {strength} on average, beside {alone} that the stronger of them says "
        "alone.",
        first=data.names[first],
        second=data.names[second],
        strength=rounded(data.strength[pair]),
        alone=rounded(alone),
    )


def _who(first: str, second: str) -> str:
    return (
        tr("{name} alone", name=first) if first == second else tr("{first} with {second}", first=first, second=second)
    )


def interactions_figure(data: InteractionsData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw the matrix; the lower half says it all."""
    size = len(data.names)
    figure = new_figure(dark=dark, title=plot_text(title), height=AROUND + CELL * size, hovermode="closest")
    lower = np.where(np.tril(np.ones((size, size), bool)), data.strength, np.nan)
    names = [plot_text(name, 60) for name in data.names]
    hover = [
        [f"{_who(names[row], names[column])}: {rounded(data.strength[row, column])}" for column in range(size)]
        for row in range(size)
    ]
    figure.add_heatmap(
        z=np.asarray([packed(row) for row in lower]),
        colorscale=colorscale(SEQUENTIAL),
        zmin=0,
        zmax=float(data.strength[: data.known, : data.known].max(initial=0.0)) or 1.0,  # the others are many
        xgap=2,
        ygap=2,
        text=[["" if np.isnan(one) else number(float(f"{one:.2g}")) for one in row] for row in lower.tolist()],
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertext=hover,
        hoverinfo="text",
        hoverongaps=False,
        colorbar={"title": {"text": tr("mean effect"), "side": "right"}, "thickness": 8, "outlinewidth": 0},
    )
    ticks = {"tickvals": list(range(size)), "ticktext": [short_label(name, 22) for name in data.names], "ticks": ""}
    figure.update_xaxes(showgrid=False, **ticks)
    figure.update_yaxes(showgrid=False, range=[size - 0.5, -0.5], **ticks)
    return figure
