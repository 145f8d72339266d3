"""Boxes that a detector found, drawn on the pictures, beside the boxes that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.listings import Field, Listing
from torchglass.charts.pictures import png_data_uri, rgb
from torchglass.charts.text import plain_text, plot_text
from torchglass.charts.theme import PALETTE, Picture, empty_figure, new_figure
from torchglass.language import mark, tr

MOST_PICTURES = 12
COLUMNS = 4
PICTURE_PIXELS = 250
LEAST_SCORE = 0.3  # of a box that is drawn unless asked otherwise
FOUND, TRUE = PALETTE[1], PALETTE[5]  # told apart on photographs and by colour-blind readers
_NOTHING = mark("No detection was stored: runs of the reference detector have some for each epoch.")


class Box(NamedTuple):
    """A box with its corners in pixels, x to the right and y down; `score` is None for one that is really there."""

    left: float
    top: float
    right: float
    bottom: float
    name: str
    score: float | None


class DetectionsData(NamedTuple):
    """Pictures (H, W, 3) with the boxes found in each, the boxes that are there, and how many more were not drawn."""

    pictures: tuple[Picture, ...]
    boxes: tuple[tuple[Box, ...], ...]
    left_out: int


def detections_data(
    pictures: npt.NDArray[Any],
    found: npt.NDArray[Any],
    true: npt.NDArray[Any] | None,
    names: Sequence[object],
    *,
    least_score: float = LEAST_SCORE,
    most: int = MOST_PICTURES,
) -> DetectionsData | None:
    """Prepare the first pictures (N, C, H, W).

    `found` (N, D, 6) holds class, score and x0, y0, x1, y1 in pixels; `true` (N, M, 5) class and box; a class of -1 is
    no box. None where there is no picture, or what was found is no such array.
    """
    if pictures.ndim != 4 or found.ndim != 3 or found.shape[2] != 6:
        return None
    count = min(len(pictures), len(found), most)
    if not count:
        return None
    if true is not None and (true.ndim != 3 or true.shape[2] != 5):
        true = None
    boxes = []
    for place in range(count):
        own = [
            _box(box, _name(names, label), None)
            for label, *box in (true[place].tolist() if true is not None and place < len(true) else ())
            if label >= 0
        ]
        own += [
            _box(box, _name(names, label), float(score))
            for label, score, *box in found[place].tolist()
            if label >= 0 and score >= least_score
        ]
        boxes.append(tuple(own))
    left_out = min(len(pictures), len(found)) - count
    return DetectionsData(tuple(rgb(each) for each in pictures[:count]), tuple(boxes), left_out)


def precision_listing(average_precision: npt.NDArray[Any], names: Sequence[object]) -> Listing:
    """Average precision of each class at an overlap (IoU) of 0.5, in percent; None for a class that does not occur."""
    values = tuple(100 * float(value) if np.isfinite(value) else None for value in average_precision.ravel())
    return Listing(
        (
            Field(tr("Class"), "text", tuple(_name(names, place) for place in range(len(values)))),
            Field(tr("Average precision"), "%", values, tr("area under precision over recall, at IoU 0.5")),
        )
    )


def detections_figure(
    data: DetectionsData | None, *, title: str = "", dark: bool = False, reason: str = ""
) -> go.Figure:
    """Draw pictures in rows; found boxes are solid with their class and score, true ones dashed."""
    if data is None:
        return empty_figure(plot_text(reason or tr(_NOTHING), 300), dark=dark, title=plot_text(title))
    columns = min(COLUMNS, len(data.pictures))
    rows = -(-len(data.pictures) // columns)
    figure = new_figure(dark=dark, title=plot_text(title), height=40 + PICTURE_PIXELS * rows, hovermode="closest")
    make_subplots(rows=rows, cols=columns, figure=figure, horizontal_spacing=0.01, vertical_spacing=0.02)
    for place, (picture, boxes) in enumerate(zip(data.pictures, data.boxes, strict=True)):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        figure.add_image(source=png_data_uri(picture), hoverinfo="skip", **at)
        _draw_boxes(figure, [box for box in boxes if box.score is None], at)
        _draw_boxes(figure, [box for box in boxes if box.score is not None], at)
        bare = {"visible": False, "constrain": "domain", **at}
        figure.update_xaxes(range=[-0.5, picture.shape[1] - 0.5], **bare)
        figure.update_yaxes(
            range=[picture.shape[0] - 0.5, -0.5], scaleanchor="x" if place == 0 else f"x{place + 1}", **bare
        )
    for place in range(len(data.pictures), rows * columns):
        hidden = {"visible": False, "row": place // columns + 1, "col": place % columns + 1}
        figure.update_xaxes(**hidden)
        figure.update_yaxes(**hidden)
    for name, color, dash in ((tr("found"), FOUND, "solid"), (tr("there"), TRUE, "dash")):
        figure.add_scatter(
            x=[None], y=[None], mode="lines", name=name, line={"color": color, "dash": dash}, row=1, col=1
        )
    figure.update_layout(margin={"l": 4, "r": 4, "b": 4})
    return figure


def _draw_boxes(figure: go.Figure, boxes: Sequence[Box], at: Mapping[str, int]) -> None:
    if not boxes:
        return
    x: list[float | None] = []
    y: list[float | None] = []
    hovers: list[str] = []
    for box in boxes:
        named = plot_text(box.name, 40)
        told = tr("{name} (there)", name=named) if box.score is None else f"{named} {100 * box.score:.0f} %"
        x += [box.left, box.right, box.right, box.left, box.left, None]
        y += [box.top, box.top, box.bottom, box.bottom, box.top, None]
        hovers += [told] * 6
    is_there = boxes[0].score is None
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": TRUE if is_there else FOUND, "width": 2, "dash": "dash" if is_there else "solid"},
        hovertext=hovers,
        hoverinfo="text",
        showlegend=False,
        **at,
    )


def _box(corners: Sequence[float], name: str, score: float | None) -> Box:
    left, top, right, bottom = corners
    return Box(left, top, right, bottom, name, score)


def _name(names: Sequence[object], label: float) -> str:
    place = int(label)
    return plain_text(names[place], 40) if 0 <= place < len(names) else str(place)
