"""Pictures that a model made, side by side on one sheet."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.pictures import png_data_uri, resized, rgb
from torchglass.charts.text import plot_text
from torchglass.charts.theme import Picture, empty_figure, new_figure
from torchglass.language import mark, tr

MAX_PICTURES = 64
COLUMNS = 8
TILE_PIXELS = 64  # of a smaller picture's longer side, each pixel a square; a larger one keeps its own
GAP = 2  # px between pictures
GREY = 128  # between pictures, where black and white ones alike end
_NOTHING = mark("No generated picture was stored: runs of generative models keep some over their epochs.")


class SheetData(NamedTuple):
    """A sheet (H, W, 3) of `shown` pictures; `left_out` more did not fit."""

    picture: Picture
    shown: int
    left_out: int


def sheet_data(pictures: npt.NDArray[Any], *, columns: int = COLUMNS, most: int = MAX_PICTURES) -> SheetData | None:
    """Lay pictures (N, C, H, W), uint8 or in 0..1, in rows; None where there is none."""
    if pictures.ndim != 4 or not pictures.size:
        return None
    tiles = [enlarged(rgb(each), TILE_PIXELS) for each in pictures[:most]]
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), GREY, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return SheetData(sheet, len(tiles), len(pictures) - len(tiles))


def sheet_figure(data: SheetData | None, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw the sheet with square pixels."""
    if data is None:
        return empty_figure(plot_text(reason or tr(_NOTHING), 300), dark=dark, title=plot_text(title))
    return picture_figure(data.picture, title=title, dark=dark)


def picture_figure(picture: Picture, *, title: str = "", dark: bool = False) -> go.Figure:
    """A figure that is a picture (H, W, 3), without axes."""
    height, width = picture.shape[:2]
    figure = new_figure(dark=dark, title=plot_text(title), height=min(720, height + 40), showlegend=False)
    figure.add_image(source=png_data_uri(picture), hoverinfo="skip")
    bare = {"visible": False, "showgrid": False, "constrain": "domain"}
    figure.update_xaxes(range=[-0.5, width - 0.5], **bare)
    figure.update_yaxes(range=[height - 0.5, -0.5], scaleanchor="x", **bare)
    figure.update_layout(margin={"l": 4, "r": 4, "t": 8 + (26 if title else 0), "b": 4})
    return figure


def enlarged(picture: Picture, pixels: int) -> Picture:
    """The picture (h, w, 3) so many times as large that its longer side is `pixels` or a little less."""
    factor = max(1, pixels // max(picture.shape[:2]))
    return np.asarray(resized(picture, picture.shape[0] * factor, picture.shape[1] * factor), np.uint8)
