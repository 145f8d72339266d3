"""The film strip drawn: a mosaic of maps with one colour scale, or words and columns against the steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.cursor import at_places
from torchglass.charts.film_strip import FilmStripData, Frame, Strip
from torchglass.charts.pictures import png_data_uri, resized
from torchglass.charts.text import short_label
from torchglass.charts.theme import DIVERGING, SEQUENTIAL, Picture, colorscale, empty_figure, new_figure, paint
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats

CELL_PIXELS = 64  # of a frame's side in the picture; the page draws it larger or smaller
CELL_HEIGHT, PART_HEIGHT, AROUND = 84, 17, 84  # px
GAP = 0.06  # of a cell, between two frames
DECIDES_MARK = "● "  # before a word or column that is known to decide


def film_strip_figures(data: FilmStripData | None, *, dark: bool = False) -> list[go.Figure]:
    """Draw one figure of pictures, a row for each input; or one figure for each text or row."""
    if data is None:
        return [empty_figure(tr("No explanation over the steps is stored."), dark=dark)]
    if data.kind != "pictures":
        return [_parts_figure(data, strip, dark=dark) for strip in data.strips]
    return [_pictures_figure(data, dark=dark)]


def _pictures_figure(data: FilmStripData, *, dark: bool) -> go.Figure:
    columns, rows = len(data.steps) + 1, len(data.strips)
    figure = new_figure(dark=dark, height=CELL_HEIGHT * rows + AROUND, showlegend=False)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 46})
    for row, strip in enumerate(data.strips):
        if strip.picture is not None:
            _put(figure, strip.picture, 0, row)
        for frame in strip.frames:
            _put(figure, _colored(frame.relevance, data), 1 + data.steps.index(frame.step), row)
    _put_words(figure, data)
    ticks = {"showgrid": False, "ticks": "", "fixedrange": True}
    figure.update_xaxes(
        range=[-0.5, columns - 0.5],
        tickvals=list(range(columns)),
        ticktext=[tr("input"), *(f"{step:,}" for step in data.steps)],
        title_text=tr("step"),
        constrain="domain",
        **ticks,
    )
    figure.update_yaxes(
        range=[rows - 0.5, -0.5],
        tickvals=list(range(rows)),
        ticktext=[short_label(strip.name, 22) for strip in data.strips],
        scaleanchor="x",
        constrain="domain",
        constraintoward="top",
        **ticks,
    )
    return at_places(figure, "x", data.steps, range(1, columns))


def _put(figure: go.Figure, picture: Picture, column: int, row: int) -> None:
    height, width = picture.shape[:2]
    factor = max(1, CELL_PIXELS // max(height, width))  # whole pixels: a browser would blur between small ones
    drawn = resized(picture, height * factor, width * factor)
    side = 1 - 2 * GAP
    figure.add_layout_image(
        source=png_data_uri(drawn),
        xref="x",
        yref="y",
        x=column - side / 2,
        y=row - side / 2,
        sizex=side,
        sizey=side,
        sizing="contain",
        xanchor="left",
        yanchor="top",
        layer="above",
    )


def _colored(relevance: Floats, data: FilmStripData) -> Picture:
    shares = np.clip(relevance / data.limit, -1, 1)
    return paint((shares + 1) / 2, DIVERGING) if data.signed else paint(shares, SEQUENTIAL)


def _put_words(figure: go.Figure, data: FilmStripData) -> None:
    """Invisible points that carry what a reader finds by pointing, and the scale of the colours."""
    places = [
        (1 + data.steps.index(frame.step), row, frame)
        for row, strip in enumerate(data.strips)
        for frame in strip.frames
    ]
    figure.add_scatter(
        x=[column for column, _, _ in places],
        y=[row for _, row, _ in places],
        text=[_told(frame) for _, _, frame in places],
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        marker={
            "symbol": "square",
            "size": 36,
            "opacity": 0,
            "color": [0.0] * len(places),
            "cmin": -data.limit if data.signed else 0.0,
            "cmax": data.limit,
            "colorscale": colorscale(DIVERGING if data.signed else SEQUENTIAL),
            "showscale": True,
            "colorbar": _colorbar(data),
        },
    )


def _told(frame: Frame) -> str:
    told = [tr("step {step}", step=f"{frame.step:,}")]
    if frame.score is not None:
        told.append(tr("score {score}", score=number(float(f"{frame.score:.3g}"))))
    largest = number(float(f"{np.abs(frame.relevance).max(initial=0.0):.3g}"))
    return "<br>".join([*told, tr("largest {value}", value=largest)])


def _colorbar(data: FilmStripData) -> dict[str, Any]:
    ticks = [-data.limit, 0.0, data.limit] if data.signed else [0.0, data.limit]
    return {
        "thickness": 8,
        "outlinewidth": 0,
        "tickvals": ticks,
        "ticktext": [number(float(f"{tick:.2g}")) for tick in ticks],
    }


def _parts_figure(data: FilmStripData, strip: Strip, *, dark: bool) -> go.Figure:
    rows = len(strip.names)
    figure = new_figure(dark=dark, height=PART_HEIGHT * rows + AROUND, showlegend=False)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 46})
    decides = strip.decides if strip.decides is not None else np.zeros(rows, dtype=bool)
    figure.add_heatmap(
        z=np.stack([frame.relevance for frame in strip.frames], axis=1).astype(np.float32),
        zmin=-data.limit,
        zmax=data.limit,
        colorscale=colorscale(DIVERGING),
        colorbar=_colorbar(data),
        xgap=2,
        ygap=1,
        customdata=np.tile([f"{frame.step:,}" for frame in strip.frames], (rows, 1)),
        hovertemplate=tr("{part}, step {step}", part="%{y}", step="%{customdata}") + ": %{z:.3g}<extra></extra>",
    )
    figure.update_xaxes(
        tickvals=list(range(len(strip.frames))),
        ticktext=[f"{frame.step:,}" for frame in strip.frames],
        title_text=tr("step"),
        showgrid=False,
    )
    figure.update_yaxes(
        autorange="reversed",
        tickvals=list(range(rows)),
        ticktext=[
            f"{DECIDES_MARK if marked else ''}{short_label(name, 26)}"
            for name, marked in zip(strip.names, decides, strict=True)
        ],
        showgrid=False,
    )
    return at_places(figure, "x", [frame.step for frame in strip.frames], range(len(strip.frames)))
