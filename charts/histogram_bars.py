"""One histogram as bars, in the rows of the heat map beside it, with percentiles and what was not finite."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.bins import percentiles
from torchglass.charts.histograms import axis_ticks, row_places
from torchglass.charts.theme import ALARM, PALETTE, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.bins import bin_edges
from torchglass.store.records import Floats, Histogram

MARKED = (0.05, 0.5, 0.95)  # percentiles that get a line
_NAMES = (mark("5 %"), mark("median"), mark("95 %"))


class HistogramBars(NamedTuple):
    """A histogram in rows: `edges` (r + 1,), `shares` (r,) of the finite values in per cent, `marked` (3,) values.

    Counts are of the whole tensor: `total` values, of which so many were exactly zero, NaN, +Inf and -Inf.
    """

    step: int
    edges: Floats
    shares: Floats
    marked: Floats
    total: int
    zeros: int
    nans: int
    positive_infinities: int
    negative_infinities: int


def histogram_bars(histogram: Histogram, edges: Floats) -> HistogramBars:
    """Put a histogram into rows between `edges` (r + 1,), ascending; what lies outside counts in the nearest row."""
    rows = max(len(edges) - 1, 0)
    counts = np.zeros(rows)
    if rows:
        lower, upper = bin_edges(histogram.bins)
        places = np.clip(np.searchsorted(edges, (lower + upper) / 2, side="right") - 1, 0, rows - 1)
        np.add.at(counts, places, histogram.counts)
        counts[int(np.clip(np.searchsorted(edges, 0.0, side="right") - 1, 0, rows - 1))] += histogram.zero_count
    whole = counts.sum()
    return HistogramBars(
        step=histogram.step,
        edges=edges,
        shares=100 * counts / whole if whole else counts,
        marked=percentiles(histogram, MARKED),
        total=histogram.count,
        zeros=histogram.zero_count,
        nans=histogram.nan_count,
        positive_infinities=histogram.positive_infinity_count,
        negative_infinities=histogram.negative_infinity_count,
    )


def bars_text(data: HistogramBars) -> str:
    """Say how many values there are, how many are zero, and how many are not finite."""
    told = [tr("{count} values", count=f"{data.total:,}")]
    if data.zeros:
        told.append(tr("{count} exactly zero", count=f"{data.zeros:,}"))
    bad = (("NaN", data.nans), ("+Inf", data.positive_infinities), ("−Inf", data.negative_infinities))
    if any(count for _, count in bad):
        told += [f"{count:,} {name}" for name, count in bad if count]
    else:
        told.append(tr("all finite"))
    return " · ".join(told)


def histogram_bars_figure(data: HistogramBars, *, dark: bool = False) -> go.Figure:
    """Draw the bars from left to right, rows as in the heat map; dashed lines mark the percentiles."""
    if not len(data.shares) or not data.shares.sum():
        return empty_figure(tr("No value was finite at this step."), dark=dark)
    figure = new_figure(dark=dark, showlegend=False)
    rows = np.arange(len(data.shares))
    bounds = zip(data.edges[:-1].tolist(), data.edges[1:].tolist(), strict=True)
    figure.add_bar(
        x=data.shares.astype(np.float32),
        y=rows.astype(np.int32),
        orientation="h",
        marker_color=PALETTE[0],
        customdata=[f"{number(low)} … {number(high)}" for low, high in bounds],
        hovertemplate="%{customdata}<br>%{x:.3g} %<extra></extra>",
    )
    places, texts = axis_ticks(data.edges)
    for value, place, name in zip(data.marked, row_places(data.marked, data.edges), _NAMES, strict=True):
        figure.add_hline(y=float(place), line={"dash": "dash", "width": 1, "color": ALARM})
        figure.add_annotation(
            text=f"{tr(name)}: {number(float(f'{value:.3g}'))}",
            x=1,
            y=float(place),
            xref="paper",
            xanchor="right",
            yanchor="top" if name == _NAMES[0] else "bottom",
            showarrow=False,
            font={"size": 11},
        )
    figure.update_layout(bargap=0)
    figure.update_xaxes(title_text=tr("% of the values"), rangemode="tozero")
    figure.update_yaxes(tickvals=places, ticktext=texts, range=[-0.5, len(data.shares) - 0.5])
    return figure
