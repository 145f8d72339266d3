"""Dead units: of each layer the share of units that returned nothing but zeros for a whole batch, over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.columns import in_columns, largest_of_each
from torchglass.charts.cursor import on_steps
from torchglass.charts.listings import Field, Listing
from torchglass.charts.records import Recorded, packed, packed_steps
from torchglass.charts.text import plain_text, plot_text, short_label
from torchglass.charts.theme import HEIGHT, SEQUENTIAL, colorscale, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats, Integers

PREFIX, DEAD, ZERO = "layers/", "/dead_percent", "/zero_percent"
MEAN, DEVIATION = "/activation_mean", "/activation_std"
ALARMING = 50.0  # per cent: half of what a layer could tell is lost
ROW_HEIGHT, MAX_HEIGHT = 16, 1200  # px
MAX_NAME = 400  # characters; two layers whose names were cut alike would share a row


class DeadUnitsData(NamedTuple):
    """Shares in per cent (k, n) of k layers at n steps, NaN where none was recorded, in the order of the forward pass.

    Layers that never returned a zero are left out: `without_zeros` counts them. With many steps a cell is the largest
    of its steps.
    """

    layers: tuple[str, ...]
    steps: Integers
    dead: Floats
    without_zeros: int


class AtStep(NamedTuple):
    """What each layer returned at one recorded step, in per cent and in its own units; None where unknown."""

    step: int
    layers: tuple[str, ...]
    dead: tuple[float, ...]
    zero: tuple[float | None, ...]
    mean: tuple[float | None, ...]
    deviation: tuple[float | None, ...]


def dead_units_data(records: Sequence[Recorded]) -> DeadUnitsData:
    """Take the series "layers/<module>/dead_percent" and "…/zero_percent" among the records, in the order given."""
    known = {one.series.key: one for one in records if len(one.points.steps)}
    dead = [one for key, one in known.items() if key.endswith(DEAD)]
    chosen = [one for one in dead if _has_zeros(known, one)]
    columns = in_columns([one.points for one in chosen], largest_of_each)
    return DeadUnitsData(tuple(_layer(one) for one in chosen), columns.steps, columns.values, len(dead) - len(chosen))


def at_step(records: Sequence[Recorded], step: int | None) -> AtStep | None:
    """What was recorded at the step nearest to one, or at the last; the deadest layer first. None of nothing."""
    known = {one.series.key: one for one in records if len(one.points.steps)}
    layers = [key.removesuffix(DEAD) for key in known if key.endswith(DEAD)]
    steps = np.unique(np.concatenate([known[layer + DEAD].points.steps for layer in layers] or [np.empty(0, np.int64)]))
    if not len(steps):
        return None
    at = int(steps[-1] if step is None else steps[np.abs(steps - step).argmin()])
    dead = {layer: value for layer in layers if (value := _value(known, layer + DEAD, at)) is not None}
    order = sorted(dead, key=lambda layer: -dead[layer])
    return AtStep(
        at,
        tuple(layer.removeprefix(PREFIX) for layer in order),
        tuple(dead[layer] for layer in order),
        *(tuple(_value(known, layer + end, at) for layer in order) for end in (ZERO, MEAN, DEVIATION)),
    )


def _has_zeros(known: dict[str, Recorded], one: Recorded) -> bool:
    zeros = known.get(one.series.key.removesuffix(DEAD) + ZERO, one)
    return bool(np.nan_to_num(zeros.points.values).max(initial=0.0) > 0)


def _layer(one: Recorded) -> str:
    return one.series.key.removeprefix(PREFIX).removesuffix(DEAD)


def _value(known: dict[str, Recorded], key: str, step: int) -> float | None:
    if key not in known:
        return None
    points = known[key].points
    found = np.flatnonzero(points.steps == step)
    return float(points.values[found[-1]]) if len(found) else None


def dead_units_figure(data: DeadUnitsData, *, dark: bool = False) -> go.Figure:
    """Draw layers from top (input side) to bottom; the colour says which share of a layer's units is dead."""
    if not data.layers:
        return empty_figure(plot_text(tr("No layer returned a zero.")), dark=dark)
    height = min(max(HEIGHT, 80 + ROW_HEIGHT * len(data.layers)), MAX_HEIGHT)
    figure = new_figure(dark=dark, height=height)
    places = np.arange(len(data.layers), dtype=np.int32)
    figure.add_heatmap(
        x=packed_steps(data.steps),
        # Places and not names: plotly takes a layer that is called "5" for a place.
        y=places,
        z=packed(data.dead),
        customdata=[[plot_text(layer, MAX_NAME)] * len(data.steps) for layer in data.layers],
        zmin=0,
        zmax=100,
        colorscale=colorscale(SEQUENTIAL),
        colorbar={"title": {"text": "%", "side": "top"}, "thickness": 10, "outlinewidth": 0, "len": 1},
        hovertemplate="%{customdata}<br>%{x}: %{z:.3g} %<extra></extra>",
        hoverongaps=False,
    )
    labels = [short_label(layer) for layer in data.layers]
    stride = -(-len(labels) * ROW_HEIGHT // (MAX_HEIGHT - 80)) or 1
    figure.update_yaxes(autorange="reversed", tickvals=places[::stride], ticktext=labels[::stride], showgrid=False)
    figure.update_xaxes(title_text=tr("step"))
    return on_steps(figure)


def dead_units_text(found: AtStep) -> str:
    """Say which layer is worst, and what to do about it. Not escaped."""
    layer, share, step = found.layers[0], found.dead[0], f"{found.step:,}"
    told = {"layer": plain_text(layer, 60), "share": number(float(f"{share:.3g}")), "step": step}
    if share <= 0:
        return tr("At step {step}, every unit of every layer returned something for some sample.", step=step)
    if share < ALARMING:
        return tr("At step {step}, {share} % of the units of layer {layer} are dead, the most of any.", **told)
    return tr(
        "At step {step}, {share} % of the units of layer {layer} are dead: they return zero for all samples of a batch "
        "and learn nothing while they do. Lower the learning rate or warm it up, check the biases and the scale of the "
        "inputs, or use an activation with a slope below zero, such as LeakyReLU or GELU.",
        **told,
    )


def dead_units_listing(found: AtStep, most: int) -> Listing:
    """The layers with the most dead units first."""
    shown = slice(0, most)
    return Listing(
        (
            Field(tr("Layer"), "text", found.layers[shown]),
            Field(tr("Dead units"), "%", found.dead[shown], tr("zero for every sample of the batch")),
            Field(tr("Zeros"), "%", found.zero[shown], tr("of all values that it returned")),
            Field(tr("Mean"), "count", found.mean[shown]),
            Field(tr("Standard deviation"), "count", found.deviation[shown]),
        ),
        max(0, len(found.layers) - most),
    )
