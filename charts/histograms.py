"""Histograms over steps: a heat map on a sign-aware logarithmic axis, and percentile bands on a linear one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.bins import MAX_ROWS, Rows, merged, percentiles, row_shares, rows_of
from torchglass.charts.cursor import on_steps
from torchglass.charts.records import packed, packed_steps
from torchglass.charts.text import plot_text
from torchglass.charts.theme import ALARM, PALETTE, SEQUENTIAL, colorscale, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Histogram, Integers

MAX_COLUMNS = 256  # beyond that, neighbouring steps share a column
PERCENTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MAX_TICKS = 9
NONFINITE_ROW = mark("NaN or infinite")


class HistogramsData(NamedTuple):
    """Histograms at steps (n,): shares (r, n) of the finite values in the rows, and what was not finite, counted.

    `edges` (r + 1,) bound the rows on the number line; `percentiles` (7, n) are those of `PERCENTILES`.
    `nan_counts` and `infinity_counts` are (n,). `steps_per_column` is 1 unless steps had to share columns.
    """

    steps: Integers
    shares: Floats
    edges: Floats
    percentiles: Floats
    nan_counts: Integers
    infinity_counts: Integers
    steps_per_column: int


def histograms_data(histograms: Sequence[Histogram], *, max_rows: int = MAX_ROWS) -> HistogramsData:
    """Put histograms of one key, in order of step, into at most `max_rows` rows and 256 columns."""
    size = -(-len(histograms) // MAX_COLUMNS) or 1
    columns = [merged(histograms[first : first + size]) for first in range(0, len(histograms), size)]
    rows = rows_of(columns, max_rows) or Rows(np.zeros(1), np.zeros(0, np.int64), 0)
    shares = [row_shares(column, rows) if len(rows.edges) > 1 else np.zeros(0) for column in columns]
    return HistogramsData(
        steps=np.array([column.step for column in columns], np.int64),
        shares=np.array(shares).reshape(len(columns), len(rows.edges) - 1).T,
        edges=rows.edges,
        percentiles=np.array([percentiles(column, PERCENTILES) for column in columns]).reshape(-1, len(PERCENTILES)).T,
        nan_counts=np.array([column.nan_count for column in columns], np.int64),
        infinity_counts=np.array(
            [column.positive_infinity_count + column.negative_infinity_count for column in columns], np.int64
        ),
        steps_per_column=size,
    )


def histograms_figure(
    data: HistogramsData,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw the heat map. Rows are as high as each other; ticks stand where the numbers are."""
    if not data.steps.size:
        return empty_figure(
            plot_text(reason or tr("No histogram was recorded: attach with histograms switched on."), 300),
            dark=dark,
            title=plot_text(title),
        )
    figure = new_figure(dark=dark, title=plot_text(title), showlegend=False)
    figure.update_xaxes(title_text=tr("step"))
    if data.shares.size:
        bounds = zip(data.edges[:-1].tolist(), data.edges[1:].tolist(), strict=True)
        figure.add_heatmap(
            x=packed_steps(data.steps),
            # Rows named by their bounds: hover says them without a copy in every cell.
            y=[tr("{low} to {high}", low=number(low), high=number(high)) for low, high in bounds],
            z=packed(100 * np.where(data.shares > 0, data.shares, np.nan)),
            colorscale=colorscale(SEQUENTIAL),
            zmin=0,
            zmax=100 * float(np.nan_to_num(data.shares).max()),
            colorbar={"title": {"text": "%", "side": "top"}, "thickness": 10, "outlinewidth": 0, "len": 1},
            hovertemplate="<br>".join(
                [tr("step {step}", step="%{x}"), "%{y}", tr("{percent} % of the values", percent="%{z:.3g}")]
            )
            + "<extra></extra>",
            hoverongaps=False,
        )
        places, texts = axis_ticks(data.edges)
        figure.update_yaxes(type="category", tickvals=places, ticktext=texts, range=[-0.5, len(data.edges) - 0.5])
        figure.update_yaxes(title_text=tr("value"))
    _mark_nonfinite(figure, data, height=tr(NONFINITE_ROW))
    return on_steps(figure)


def percentiles_figure(
    data: HistogramsData,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw bands of the middle 100, 90 and 50 % of the values around their median."""
    if not data.steps.size:
        return empty_figure(
            plot_text(reason or tr("No histogram was recorded: attach with histograms switched on."), 300),
            dark=dark,
            title=plot_text(title),
        )
    figure = new_figure(dark=dark, title=plot_text(title), hovermode="x unified")
    x = packed_steps(data.steps)
    for low, high, opacity, name in ((0, 6, 0.12, tr("all")), (1, 5, 0.18, "5–95 %"), (2, 4, 0.28, "25–75 %")):
        edge = {"x": x, "mode": "lines", "line": {"width": 0, "color": PALETTE[0]}, "legendgroup": name}
        figure.add_scatter(
            y=packed(data.percentiles[low]), showlegend=False, name=tr("{name}, from", name=name), **edge
        )
        fill = f"rgba(26,128,187,{opacity})"
        figure.add_scatter(y=packed(data.percentiles[high]), fill="tonexty", fillcolor=fill, name=name, **edge)
    median = packed(data.percentiles[3])
    figure.add_scatter(
        x=x,
        y=median,
        mode="lines+markers",
        name=tr("median"),
        line={"color": PALETTE[0], "width": 1.8},
        marker={"size": 4},
    )
    figure.update_yaxes(title_text=tr("value"))
    figure.update_xaxes(title_text=tr("step"))
    finite = data.percentiles[np.isfinite(data.percentiles)]
    _mark_nonfinite(figure, data, height=float(finite.max()) if finite.size else 0.0)
    return on_steps(figure)


def axis_ticks(edges: Floats) -> tuple[list[float], list[str]]:
    """Row coordinates and texts of zero and some powers of ten within the edges (r + 1,), or of the edges."""
    top = float(np.abs(edges).max())
    inner = float(np.abs(edges[np.abs(edges) > 0]).min())
    exponents = np.arange(np.ceil(np.log10(inner)), np.floor(np.log10(top)) + 1)
    both = bool(edges[0] < 0 < edges[-1])
    stride = int(-(-len(exponents) * (2 if both else 1) // MAX_TICKS)) or 1
    tens = 10.0 ** exponents[::-1][::stride]
    wanted = np.concatenate([-tens, [0.0], tens[::-1]])
    wanted = wanted[(wanted >= edges[0]) & (wanted <= edges[-1])]
    rows_from_zero = np.abs(row_places(wanted, edges) - row_places(np.zeros(1), edges))
    wanted = wanted[(wanted == 0) | (rows_from_zero > len(edges) / 16)]  # labels need room
    if len(wanted) < 4:  # all values within a decade or so: the edges themselves are the better ticks
        wanted = edges[:: -(-len(edges) // MAX_TICKS)]
    return [float(place) for place in row_places(wanted, edges)], [number(float(value)) for value in wanted]


def row_places(values: Floats, edges: Floats) -> Floats:
    """Where values lie on an axis whose row i spans i - 0.5 to i + 0.5; linear within a row."""
    return np.asarray(np.interp(values, edges, np.arange(len(edges)) - 0.5), np.float64)


def _mark_nonfinite(figure: go.Figure, data: HistogramsData, height: float | str) -> None:
    bad = (data.nan_counts > 0) | (data.infinity_counts > 0)
    if not bad.any():
        return
    pairs = zip(data.nan_counts[bad].tolist(), data.infinity_counts[bad].tolist(), strict=True)
    figure.add_scatter(
        x=packed_steps(data.steps[bad]),
        y=np.full(int(bad.sum()), height),
        mode="markers",
        marker={"symbol": "x", "size": 8, "color": ALARM},
        text=np.array(
            [tr("{nan} NaN, {infinite} infinite", nan=f"{nan:,}", infinite=f"{infinite:,}") for nan, infinite in pairs]
        ),
        hovertemplate=tr("step {step}", step="%{x}") + "<br>%{text}<extra></extra>",
        showlegend=False,
    )
    total_nan, total_infinite = int(data.nan_counts.sum()), int(data.infinity_counts.sum())
    figure.add_annotation(
        text=tr(
            "{nan} NaN and {infinite} infinite values at {count} of {steps} steps",
            nan=f"{total_nan:,}",
            infinite=f"{total_infinite:,}",
            count=int(bad.sum()),
            steps=len(bad),
        ),
        x=1,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"color": ALARM},
    )
