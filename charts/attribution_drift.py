"""How far explanations moved, under how good the model was at the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.cursor import on_steps
from torchglass.charts.records import packed, packed_steps
from torchglass.charts.text import plot_text
from torchglass.charts.theme import PALETTE, empty_figure, new_figure
from torchglass.language import tr
from torchglass.store.records import Floats, Integers, Points

HEIGHT = 360  # px
SPLITS = ("validation", "val", "valid", "eval", "test")  # the first that a run has is drawn
SCORES = ("accuracy", "acc", "f1", "map50", "r2", "return", "loss")


class Line(NamedTuple):
    """A named line: `steps` (n,), `values` (n,). The name is not escaped."""

    name: str
    steps: Integers
    values: Floats


class DriftData(NamedTuple):
    """How good the model was, None where nothing says so, and how its explanations moved."""

    goodness: Line | None
    lines: tuple[Line, ...]


def judging_key(keys: Sequence[str]) -> str | None:
    """Name the series that says best how good a model is: the validation accuracy, else what is nearest to it."""
    for score in SCORES:
        for split in SPLITS:
            for key in (f"{split}/{score}", f"{split}_{score}", f"{score}/{split}"):
                if key in keys:
                    return key
    return next((key for score in SCORES for key in keys if key.rpartition("/")[2] == score), None)


def drift_data(
    goodness: tuple[str, Points] | None, drift: Points | None, to_last: tuple[Sequence[int], Floats]
) -> DriftData:
    """Take the drift from look to look as it was recorded, and each step's distance to the last one."""
    lines = []
    if drift is not None and len(drift.steps):
        lines.append(Line(tr("drift from the look before"), drift.steps, drift.values))
    if len(to_last[0]) > 1:
        lines.append(Line(tr("distance to the newest"), np.array(to_last[0], np.int64), to_last[1]))
    good = None
    if goodness is not None and len(goodness[1].steps):
        good = Line(goodness[0], goodness[1].steps, goodness[1].values)
    return DriftData(good, tuple(lines))


def drift_figure(data: DriftData, *, dark: bool = False) -> go.Figure:
    """Draw how good the model was above how its explanations moved, on one axis of steps."""
    if not data.lines:
        return empty_figure(
            plot_text(tr("Two looks at the same input are needed to tell how it moved."), 300), dark=dark
        )
    rows = 1 if data.goodness is None else 2
    figure = new_figure(dark=dark, height=HEIGHT if rows == 2 else HEIGHT // 2 + 60, hovermode="x unified")
    make_subplots(rows=rows, cols=1, figure=figure, shared_xaxes=True, vertical_spacing=0.08)
    if data.goodness is not None:
        _draw(figure, data.goodness, 1, PALETTE[2])
        figure.update_yaxes(title_text=plot_text(data.goodness.name, 30), row=1)
    for line, color in zip(data.lines, PALETTE, strict=False):
        _draw(figure, line, rows, color)
    figure.update_yaxes(title_text=tr("drift"), rangemode="tozero", row=rows)
    figure.update_xaxes(title_text=tr("step"), row=rows)
    return on_steps(figure, *(["x", "x2"] if rows == 2 else ["x"]))


def _draw(figure: go.Figure, line: Line, row: int, color: str) -> None:
    figure.add_scatter(
        x=packed_steps(line.steps),
        y=packed(line.values),
        name=plot_text(line.name, 60),
        mode="lines+markers",
        line={"color": color, "width": 1.8},
        marker={"size": 4},
        row=row,
        col=1,
    )
