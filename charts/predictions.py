"""What a regression predicts against what is true."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.records import packed
from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.records import Floats

MAX_DRAWN = 2_000  # points; of more, every so many-th
HEIGHT = 420  # px
_NO_PREDICTIONS = mark("No predictions were stored: runs of regression models have them for each epoch.")


class PredictionsData(NamedTuple):
    """Pairs (n,) of what is true and what was predicted, both finite; errors are in the target's own unit.

    `r2` is the share of the truth's variance that is predicted, None where the truth never varies. `left_out` pairs
    were not finite.
    """

    true: Floats
    predicted: Floats
    root_mean_square_error: float
    mean_absolute_error: float
    r2: float | None
    left_out: int


def predictions_data(true: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> PredictionsData | None:
    """Prepare pairs; None where there is no finite one, or they are no pairs."""
    true, predicted = np.asarray(true, np.float64).ravel(), np.asarray(predicted, np.float64).ravel()
    if len(true) != len(predicted):
        return None
    finite = np.isfinite(true) & np.isfinite(predicted)
    if not finite.any():
        return None
    left_out = int((~finite).sum())
    true, predicted = true[finite], predicted[finite]
    errors = predicted - true
    spread = float(np.square(true - true.mean()).sum())
    return PredictionsData(
        true,
        predicted,
        root_mean_square_error=float(np.sqrt(np.square(errors).mean())),
        mean_absolute_error=float(np.abs(errors).mean()),
        r2=1 - float(np.square(errors).sum()) / spread if spread > 0 else None,
        left_out=left_out,
    )


def predictions_text(data: PredictionsData) -> str:
    """The errors in one sentence."""
    said = tr(
        "{count} samples: root mean square error {rmse}, mean absolute error {mae}{r2}.",
        count=number(len(data.true)),
        rmse=number(data.root_mean_square_error),
        mae=number(data.mean_absolute_error),
        r2="" if data.r2 is None else f", R² {data.r2:.3f}",
    )
    if not data.left_out:
        return said
    return f"{said} {tr('{count} predictions were NaN or infinite.', count=number(data.left_out))}"


def predictions_figure(
    data: PredictionsData | None, *, title: str = "", dark: bool = False, reason: str = ""
) -> go.Figure:
    """Draw the pairs and the line on which predictions are true."""
    if data is None:
        return empty_figure(plot_text(reason or tr(_NO_PREDICTIONS), 300), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, hovermode="closest")
    both = np.concatenate([data.true, data.predicted])
    ends = [float(both.min()), float(both.max())]
    stride = -(-len(data.true) // MAX_DRAWN)
    figure.add_scatter(
        x=ends, y=ends, mode="lines", name=tr("exact"), line={"color": NEUTRAL, "dash": "dash"}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=packed(data.true[::stride]),
        y=packed(data.predicted[::stride]),
        mode="markers",
        name=tr("samples"),
        marker={"color": PALETTE[0], "size": 6, "opacity": 0.65},
        hovertemplate="<br>".join([tr("true {value}", value="%{x:.4g}"), tr("predicted {value}", value="%{y:.4g}")])
        + "<extra></extra>",
    )
    figure.update_xaxes(title_text=tr("true"))
    figure.update_yaxes(title_text=tr("predicted"))
    return figure
