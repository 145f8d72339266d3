"""A gallery of samples: thumbnails in one picture, each with its label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.explanations import class_name
from torchglass.charts.pictures import contact_sheet, png_data_uri, rgb
from torchglass.charts.text import plot_text
from torchglass.charts.theme import Picture, empty_figure, new_figure

MAX_SAMPLES = 60
PER_ROW = 10
CELL = 84  # px a thumbnail with its caption


class SamplesData(NamedTuple):
    """Thumbnails in a sheet (H, W, 3) of rows of `per_row`, and one caption each; `left_out` counts the others."""

    sheet: Picture
    captions: tuple[str, ...]
    per_row: int
    cell_size: tuple[int, int]
    left_out: int


def samples_data(arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> SamplesData | None:
    """Prepare the arrays `images` (n, C, H, W) and `labels` (n,) of a samples artifact; None when it is empty."""
    images, labels = arrays["images"], arrays["labels"]
    if not len(images):
        return None
    shown = min(len(images), MAX_SAMPLES)
    height, width = images.shape[-2:]
    band = max(4, height // 3)  # room for the caption below each picture
    cells = [np.pad(rgb(image), ((0, band), (0, 0), (0, 0)), constant_values=128) for image in images[:shown]]
    return SamplesData(
        sheet=contact_sheet(cells, min(PER_ROW, shown)),
        captions=tuple(f"{index}: {class_name(meta, int(labels[index]))}" for index in range(shown)),
        per_row=min(PER_ROW, shown),
        cell_size=(height + band + 2, width + 2),
        left_out=len(images) - shown,
    )


def samples_figure(
    data: SamplesData | None,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "No samples were stored with this run.",
) -> go.Figure:
    """Draw the sheet with "index: class" below each thumbnail."""
    if data is None:
        return empty_figure(plot_text(reason, 300), dark=dark, title=plot_text(title))
    count = len(data.captions)
    rows = -(-count // data.per_row)
    figure = new_figure(dark=dark, title=plot_text(title), height=34 + CELL * rows, showlegend=False)
    figure.add_image(source=png_data_uri(data.sheet), hoverinfo="skip")
    places = np.arange(count)
    cell_height, cell_width = data.cell_size
    figure.add_scatter(
        x=(places % data.per_row * cell_width + cell_width / 2 - 1.5).astype(np.float32),
        y=(places // data.per_row * cell_height + cell_height * 0.89).astype(np.float32),
        mode="text",
        text=np.array([plot_text(caption, 16) for caption in data.captions]),
        textfont={"size": 10, "color": "#ffffff"},
        hoverinfo="skip",
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(margin={"l": 8, "r": 8, "b": 8})
    return figure
