"""Gradient flow: one quantity of every layer over the steps, in the model's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.columns import in_columns, largest_of_each
from torchglass.charts.cursor import on_steps
from torchglass.charts.records import Recorded, packed, packed_steps
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import (
    ALARM,
    DIVERGING,
    HEIGHT,
    NEUTRAL,
    SEQUENTIAL,
    colorscale,
    empty_figure,
    new_figure,
)
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats, Integers

LayerQuantity = Literal["gradient_norm", "weight_norm", "update_ratio"]

HEALTHY_UPDATE_RATIO = 1e-3  # a common rule of thumb for SGD (Karpathy, CS231n notes): the middle of that scale
ROW_HEIGHT = 16  # px a layer, so that its label can be read
MAX_HEIGHT = 1200
MAX_MARKS = 500
MAX_NAME = 400  # characters; two layers whose names were cut alike would share a row
PREFIX = "layers/"


class GradientFlowData(NamedTuple):
    """A quantity (k, n) of k layers at n steps, NaN where none was recorded.

    `layers` are in the model's order. Marks are (layer index, step) pairs: of exact zeros, and of values that were not
    finite. With `steps_per_column` over 1 a cell is the largest of its steps.
    """

    quantity: LayerQuantity
    layers: tuple[str, ...]
    steps: Integers
    values: Floats
    zero_marks: Integers
    nonfinite_marks: Integers
    steps_per_column: int


def gradient_flow_data(records: Sequence[Recorded], quantity: LayerQuantity) -> GradientFlowData:
    """Take the series "layers/<parameter>/<quantity>" among the records, in the order given."""
    chosen = [record for record in records if record.series.key.endswith(f"/{quantity}") and len(record.points.steps)]
    columns = in_columns([record.points for record in chosen], largest_of_each)
    zeros, bad = _marks(chosen, lambda values: values == 0), _marks(chosen, lambda values: ~np.isfinite(values))
    return GradientFlowData(
        quantity=quantity,
        layers=tuple(record.series.key.removeprefix(PREFIX).removesuffix(f"/{quantity}") for record in chosen),
        steps=columns.steps,
        values=columns.values,
        zero_marks=zeros,
        nonfinite_marks=bad,
        steps_per_column=columns.width,
    )


def _marks(records: Sequence[Recorded], is_marked: Any) -> Integers:
    pairs = [
        np.stack([np.full(int(marked.sum()), index), record.points.steps[marked]], axis=1)
        for index, record in enumerate(records)
        if (marked := is_marked(record.points.values)).any()
    ]
    return np.concatenate(pairs)[:MAX_MARKS] if pairs else np.empty((0, 2), np.int64)


def gradient_flow_figure(
    data: GradientFlowData,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw layers from top (input side) to bottom on a logarithmic colour scale.

    Update ratios diverge around 1e-3. Exact zeros and non-finite values are marked on top.
    """
    if not data.layers:
        return empty_figure(
            plot_text(reason or tr("No layer was watched: attach with the model and its optimizer."), 300),
            dark=dark,
            title=plot_text(title),
        )
    height = min(max(HEIGHT, 80 + ROW_HEIGHT * len(data.layers)), MAX_HEIGHT)
    figure = new_figure(dark=dark, title=plot_text(title), height=height)
    with np.errstate(divide="ignore"):
        logarithms = np.where(data.values > 0, np.log10(data.values), np.nan)
    names = [plot_text(layer, MAX_NAME) for layer in data.layers]
    figure.add_heatmap(
        x=packed_steps(data.steps),
        y=names,
        z=packed(logarithms),
        customdata=packed(data.values),
        hovertemplate="%{y}<br>" + tr("step {step}", step="%{x}") + ": %{customdata:.3g}<extra></extra>",
        hoverongaps=False,
        **_colors(data.quantity, logarithms),
    )
    for marks, symbol, color, name in (
        (data.zero_marks, "circle-open", NEUTRAL, tr("exactly 0")),
        (data.nonfinite_marks, "x", ALARM, tr("NaN or infinite")),
    ):
        if len(marks):
            figure.add_scatter(
                x=packed_steps(marks[:, 1]),
                y=[names[layer] for layer in marks[:, 0]],
                mode="markers",
                marker={"symbol": symbol, "color": color, "size": 7},
                name=name,
                showlegend=True,
                hovertemplate=tr("step {step}", step="%{x}") + f"<extra>{name}</extra>",
            )
    labels = [short_label(layer) for layer in data.layers]
    stride = -(-len(labels) * ROW_HEIGHT // (MAX_HEIGHT - 80)) or 1
    places = np.arange(len(labels), dtype=np.int32)[::stride]
    figure.update_yaxes(type="category", autorange="reversed", tickvals=places, ticktext=labels[::stride])
    figure.update_xaxes(title_text=tr("step"))
    return on_steps(figure)


def _colors(quantity: LayerQuantity, logarithms: Floats) -> dict[str, Any]:
    """Colour scale, its range and its bar, for decimal logarithms (k, n)."""
    finite = logarithms[np.isfinite(logarithms)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    colors = SEQUENTIAL
    if quantity == "update_ratio":
        middle = float(np.log10(HEALTHY_UPDATE_RATIO))
        reach = max(high - middle, middle - low, 0.5)
        low, high, colors = middle - reach, middle + reach, DIVERGING
    decades = np.arange(np.ceil(low), np.floor(high) + 1)
    ticks = decades[:: max(1, len(decades) // 5)] if len(decades) > 2 else np.linspace(low, high, 5)
    texts = [number(float(f"{10.0**tick:.2g}")) for tick in ticks]
    bar = {"tickvals": ticks, "ticktext": texts, "thickness": 10, "outlinewidth": 0, "len": 1}
    return {"colorscale": colorscale(colors), "zmin": low, "zmax": high, "colorbar": bar}
