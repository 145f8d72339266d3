"""Confusion matrices: what was taken for what, and how each class fares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.listings import Field, Listing
from torchglass.charts.text import plain_text, plot_text, short_label
from torchglass.charts.theme import PALETTE, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers

MAX_CLASSES = 200  # drawn; of more, the table of what is confused most is all that can be read
MAX_TEXTS = 16  # classes up to which each cell carries its number
MAX_TICKS = 40
CELL_PIXELS = 30
NAME_CHARACTERS = 28  # in the table of classes, whose numbers shall be seen
MIN_HEIGHT, MAX_HEIGHT = 260, 760
WHITE_FROM = 0.55  # share of a row from which a cell is dark enough for white text
RIGHT, WRONG = PALETTE[0], PALETTE[1]
NOTHING_SCORED = mark("Nothing was scored at this step.")
_NO_SCORES = mark(
    "No confusion matrix was stored: runs of classifiers among the reference models have one for each epoch."
)


class ConfusionData(NamedTuple):
    """Counts (k, k), rows the truth and columns the answers; `shares` (k, k) of each row, NaN where a class is absent.

    Names are not escaped. `accuracy` is None without samples.
    """

    names: tuple[str, ...]
    counts: Integers
    shares: Floats
    accuracy: float | None


def confusion_data(counts: npt.NDArray[Any], names: Sequence[object]) -> ConfusionData | None:
    """Prepare a matrix; a class without a name is called by its number. None where it is no square of finite counts."""
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iuf":
        return None
    if not np.isfinite(counts).all() or (counts < 0).any():
        return None
    counts = np.asarray(counts, np.int64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    whole = int(counts.sum())
    known = [plain_text(name, 60) for name in names][: len(counts)]
    return ConfusionData(
        names=(*known, *map(str, range(len(known), len(counts)))),
        counts=counts,
        shares=shares,
        accuracy=float(np.trace(counts)) / whole if whole else None,
    )


def confusion_text(data: ConfusionData, *, of_boxes: bool = False) -> str:
    """How much is right, in one sentence; of a detector the matrix counts the boxes that were found."""
    if data.accuracy is None:
        return tr("No box was found on what is there.") if of_boxes else tr("No sample was scored.")
    told = {"percent": f"{100 * data.accuracy:.2f} %", "count": number(int(data.counts.sum()))}
    if not of_boxes:
        return tr("{percent} of {count} samples are right.", **told)
    return tr(
        "{percent} of {count} found boxes have the right class. Missed ones count neither here nor in the recall.",
        **told,
    )


def classes_listing(data: ConfusionData) -> Listing:
    """Precision, recall and F1 of each class, in percent; None where a class was never answered, or never true."""
    right = np.diag(data.counts).astype(np.float64)
    true, answered = data.counts.sum(axis=1), data.counts.sum(axis=0)
    return Listing(
        (
            Field(tr("Class"), "text", tuple(plain_text(name, NAME_CHARACTERS) for name in data.names)),
            Field(
                tr("Precision"), "%", _percent(right, answered), tr("of what was answered so, the share that is right")
            ),
            Field(tr("Recall"), "%", _percent(right, true), tr("of what is so, the share that was answered so")),
            Field("F1", "%", _percent(2 * right, true + answered), tr("harmonic mean of precision and recall")),
            Field(tr("Samples"), "count", tuple(true.tolist()), tr("of this class")),
            Field(tr("Answers"), "count", tuple(answered.tolist()), tr("that named this class")),
        )
    )


def mistakes_listing(data: ConfusionData, *, most: int) -> Listing:
    """What is confused most, by how often."""
    wrong = data.counts - np.diag(np.diag(data.counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[: int((wrong > 0).sum())]
    rows, columns = np.unravel_index(order[:most], wrong.shape)
    if not len(rows):
        return Listing(())
    return Listing(
        (
            Field(tr("Is"), "text", tuple(data.names[row] for row in rows)),
            Field(tr("Taken for"), "text", tuple(data.names[column] for column in columns)),
            Field(tr("Samples"), "count", tuple(wrong[rows, columns].tolist())),
            Field(tr("Of the class"), "%", tuple((100 * data.shares[rows, columns]).tolist())),
        ),
        left_out=max(0, len(order) - most),
    )


def confusion_figure(
    data: ConfusionData | None,
    *,
    by_share: bool = False,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw the matrix, coloured by the share of the row: blue what is right, orange what is not.

    Cells carry counts, or percentages of their rows; both are told on hover.
    """
    if data is None or not data.counts.size:
        return empty_figure(plot_text(reason or tr(_NO_SCORES), 300), dark=dark, title=plot_text(title))
    if data.accuracy is None:
        return empty_figure(tr(NOTHING_SCORED), dark=dark, title=plot_text(title))
    size = len(data.counts)
    if size > MAX_CLASSES:
        return empty_figure(
            tr("{count} classes are too many to draw", count=number(size)), dark=dark, title=plot_text(title)
        )
    height = int(np.clip(110 + CELL_PIXELS * size, MIN_HEIGHT, MAX_HEIGHT))
    figure = new_figure(dark=dark, title=plot_text(title), height=height, showlegend=False)
    diagonal = np.eye(size, dtype=bool)
    for is_right, color in ((True, RIGHT), (False, WRONG)):
        shown = (diagonal == is_right) & (data.counts > 0)
        figure.add_heatmap(
            z=np.where(shown, data.shares, np.nan).astype(np.float32),
            zmin=0,
            zmax=1,
            colorscale=[[0, f"{_rgba(color)}0.06)"], [1, f"{_rgba(color)}1)"]],
            showscale=False,
            hoverongaps=False,
            xgap=1,
            ygap=1,
            text=_hovers(data),
            hovertemplate="%{text}<extra></extra>",
        )
    if size <= MAX_TEXTS:
        _write_cells(figure, data, by_share=by_share)
    stride = -(-size // MAX_TICKS)
    ticks = list(range(0, size, stride))
    labels = [short_label(data.names[place], 18) for place in ticks]
    axis = {"tickvals": ticks, "ticktext": labels, "showgrid": False, "constrain": "domain"}
    figure.update_xaxes(title_text=tr("answered"), range=[-0.5, size - 0.5], **axis)
    figure.update_yaxes(title_text=tr("true"), range=[size - 0.5, -0.5], scaleanchor="x", **axis)
    return figure


def _write_cells(figure: go.Figure, data: ConfusionData, *, by_share: bool) -> None:
    """Numbers in the cells: white on full ones, in the page's own ink on the others."""
    for on_full in (True, False):
        rows, columns = np.nonzero((data.counts > 0) & ((data.shares >= WHITE_FROM) == on_full))
        if not len(rows):
            continue
        texts = [
            f"{100 * data.shares[row, column]:.0f}" if by_share else number(int(data.counts[row, column]))
            for row, column in zip(rows, columns, strict=True)
        ]
        figure.add_scatter(
            x=columns,
            y=rows,
            mode="text",
            text=texts,
            textfont={"size": 11} | ({"color": "#ffffff"} if on_full else {}),
            hoverinfo="skip",
        )


def _hovers(data: ConfusionData) -> list[list[str]]:
    names = [plot_text(name, 60) for name in data.names]
    return [
        [
            tr("{true} taken for {answer}", true=true, answer=answer)
            + "<br>"
            + tr(
                "{count} samples, {share} % of {true}", count=number(int(count)), share=f"{100 * share:.1f}", true=true
            )
            for answer, count, share in zip(names, counts, shares, strict=True)
        ]
        for true, counts, shares in zip(names, data.counts, data.shares, strict=True)
    ]


def _percent(part: Floats, whole: npt.NDArray[Any]) -> tuple[float | None, ...]:
    return tuple(100 * float(some) / int(every) if every else None for some, every in zip(part, whole, strict=True))


def _rgba(color: str) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},"
