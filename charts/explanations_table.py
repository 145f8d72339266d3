"""A row explained: signed bars of the columns that count most, their values beside their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.explanations_words import Explained, heading, names_of, title
from torchglass.charts.text import plain_text, plot_text, short_label
from torchglass.charts.theme import new_figure
from torchglass.charts.trust import trust_sentences
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats

MOST_BARS = 12  # more are not read; the rest is one bar
BAR_HEIGHT, ABOVE, BELOW = 24, 8, 46  # px
ROOM = 0.4  # of the span, on each side that has bars, for the numbers beside them
FOR, AGAINST = "#d6604d", "#4393c3"


class TablePanel(NamedTuple):
    """One method's view: the columns that count most, largest first, `rest` the sum of the others. Not escaped."""

    method: str
    title: str
    trust: tuple[str, ...]
    unit: str
    names: tuple[str, ...]
    values: tuple[float | None, ...]
    relevance: Floats
    rest: float | None
    rest_count: int


class TableData(NamedTuple):
    """Explanations of one row: what it is, and one panel a method."""

    heading: str
    panels: tuple[TablePanel, ...]


def table_data(explained: Sequence[Explained]) -> TableData:
    """Prepare all explanations of one row; `explained` is not empty."""
    return TableData(heading(explained[0].artifact), tuple(_panel(one) for one in explained))


def _panel(one: Explained) -> TablePanel:
    meta = one.artifact.meta
    relevance = np.nan_to_num(one.arrays["attributions"][0].astype(np.float64))
    names, raw = names_of(one.artifact, len(relevance)), meta.get("values")
    values = raw if isinstance(raw, list) and len(raw) == len(relevance) else [None] * len(relevance)
    order = np.argsort(-np.abs(relevance), kind="stable")
    shown = order if len(order) <= MOST_BARS + 1 else order[:MOST_BARS]
    rest = order[len(shown) :]
    return TablePanel(
        method=str(meta.get("method", "explanation")),
        title=title(one),
        trust=trust_sentences(meta),
        unit=plain_text(meta.get("output_space", "score"), 20),
        names=tuple(names[place] for place in shown),
        values=tuple(values[place] for place in shown),
        relevance=relevance[shown],
        rest=float(relevance[rest].sum()) if len(rest) else None,
        rest_count=len(rest),
    )


def table_figure(panel: TablePanel, *, dark: bool = False) -> go.Figure:
    """Draw the bars, the largest on top; red speaks for the class (or a larger value), blue against it."""
    labels = [_label(name, value) for name, value in zip(panel.names, panel.values, strict=True)]
    lengths = [float(value) for value in panel.relevance]
    if panel.rest is not None:
        labels.append(tr("{count} others together", count=panel.rest_count))
        lengths.append(panel.rest)
    figure = new_figure(
        dark=dark,
        height=ABOVE + BELOW + BAR_HEIGHT * len(labels),
        showlegend=False,
        margin={"l": 8, "r": 12, "t": ABOVE, "b": BELOW},
    )
    figure.add_bar(
        x=lengths,
        y=list(range(len(labels))),
        orientation="h",
        marker_color=[FOR if length >= 0 else AGAINST for length in lengths],
        text=[f"{'+' if length > 0 else ''}{number(float(f'{length:.3g}'))}" for length in lengths],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"{label}: {number(length)}" for label, length in zip(labels, lengths, strict=True)],
        hoverinfo="text",
    )
    figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.5, -0.5], ticks="")
    figure.update_xaxes(zeroline=True, zerolinecolor="#8a8f98", range=_span(lengths), nticks=5, tickangle=0)
    figure.update_xaxes(title_text=plot_text(tr("effect on the {score}", score=panel.unit)))
    return figure


def _label(name: str, value: float | None) -> str:
    short = short_label(name, 24)
    return short if value is None else f"{short} = {plain_text(number(float(f'{value:.4g}')), 12)}"


def _span(lengths: Sequence[float]) -> list[float]:
    """From the lowest to the highest bar and zero, with room for the numbers beside them."""
    low, high = min(0.0, *lengths), max(0.0, *lengths)
    room = ROOM * ((high - low) or 1.0)
    return [low - room if low < 0 else 0.0, high + room]
