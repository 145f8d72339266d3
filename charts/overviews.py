"""The charts of an overview and of an episode, in the order in which they are read: for a page and a report alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import plotly.graph_objects as go

from torchglass.charts.beeswarm import beeswarm_data, beeswarm_figure
from torchglass.charts.dependence import dependence_data, dependence_figure
from torchglass.charts.importance import importance_data, importance_figure
from torchglass.charts.interactions import interactions_data, interactions_figure, interactions_text
from torchglass.charts.overview import Overview
from torchglass.charts.partial_dependence import partial_dependence_data, partial_dependence_figure
from torchglass.charts.text import plain_text
from torchglass.language import tr

MOST_DEPENDENCES = 4
MOST_TOGETHER = 2  # columns that do not interact make a matrix of nothing


class Draw(Protocol):
    """Draw a figure in the light or the dark look."""

    def __call__(self, *, dark: bool = False) -> go.Figure: ...


class OverviewPanel(NamedTuple):
    """A figure of an overview: its title, what there is to see in it, and how to draw it. Words are not escaped."""

    key: str
    title: str
    text: str
    draw: Draw
    wide: bool = False


def overview_panels(overview: Overview) -> Iterator[OverviewPanel]:
    """Prepare every figure of an overview."""
    swarm = beeswarm_data(overview)
    yield OverviewPanel(
        "beeswarm",
        tr("Every row's effects"),
        tr("A point is a row: to the right the column raises the score, yellow where its value is high."),
        lambda *, dark=False: beeswarm_figure(swarm, dark=dark),
        wide=True,
    )
    bars = importance_data(overview)
    yield OverviewPanel(
        "importance",
        tr("Which columns count"),
        tr(
            "How far a column moves the score, and how much worse the answers get when its values go to other rows. A "
            "column that another one can stand in for moves the score and is hardly missed."
        ),
        lambda *, dark=False: importance_figure(bars, dark=dark),
        wide=True,
    )
    if len(overview.interaction_columns) >= MOST_TOGETHER:
        together = interactions_data(overview)
        yield OverviewPanel(
            "interactions",
            tr("Which columns speak together"),
            interactions_text(together),
            lambda *, dark=False: interactions_figure(together, dark=dark),
            wide=True,
        )
    drawn = overview.dependence_columns.tolist()
    for column in overview.order[:MOST_DEPENDENCES].tolist():
        spread = dependence_data(overview, column)
        partner = plain_text(spread.partner, 40)
        yield OverviewPanel(
            f"dependence-{column}",
            plain_text(tr("Effect of {name}", name=spread.name), 80),
            tr("A point is a row. Its colour is {partner}, which goes best with what is left.", partner=partner)
            if partner
            else "",
            lambda *, dark=False, spread=spread: dependence_figure(spread, dark=dark),
        )
        if column not in drawn:
            continue
        curve = partial_dependence_data(overview, drawn.index(column))
        yield OverviewPanel(
            f"partial-{column}",
            plain_text(tr("If {name} were different", name=curve.name), 80),
            tr("Every row with this column set to each value; rows that occur nowhere are among them."),
            lambda *, dark=False, curve=curve: partial_dependence_figure(curve, dark=dark),
        )
