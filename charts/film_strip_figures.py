"""The film strip drawn: a mosaic of maps with one colour scale, or words and columns against the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.cursor import at_places
from torchglass.charts.film_strip import FilmStripData, Frame, Strip
from torchglass.charts.pictures import png_data_uri, resized
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import DIVERGING, SEQUENTIAL, Picture, colorscale, empty_figure, new_figure, paint
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats

CELL_PIXELS = 64  # of a frame's side in the picture; the page draws it larger or smaller
CELL_HEIGHT, PART_HEIGHT, AROUND = 84, 17, 84  # px
GAP = 0.06  # of a cell, between two frames
LARGE_PIXELS, LARGE_HEIGHT = 224, 230  # px
OUTLINE = "#d55e00"
FOR, AGAINST = "#d6604d", "#4393c3"
DECIDES_MARK = "● "  # before a word or column that is known to decide


def film_strip_figures(
    data: FilmStripData | None, *, dark: bool = False, outlined: int | None = None
) -> list[go.Figure]:
    """Draw one figure of pictures, a row for each input; or one figure for each text or row.

    The frames of the step `outlined` are framed.
    """
    if data is None:
        return [empty_figure(tr("No explanation over the steps is stored."), dark=dark)]
    if data.kind != "pictures":
        return [_outline(_parts_figure(data, one, dark=dark), _place(one.frames, outlined)) for one in data.strips]
    place = data.steps.index(outlined) + 1 if outlined in data.steps else None
    return [_outline(_pictures_figure(data, dark=dark), place)]


def _place(frames: Sequence[Frame], step: int | None) -> int | None:
    return next((place for place, frame in enumerate(frames) if frame.step == step), None)


def _outline(figure: go.Figure, column: int | None) -> go.Figure:
    if column is not None:
        line = {"color": OUTLINE, "width": 2}
        box = {"x0": column - 0.49, "x1": column + 0.49, "y0": 0.0, "y1": 1.0}
        figure.add_shape(type="rect", xref="x", yref="paper", line=line, **box)
    return figure


def enlarged_figure(data: FilmStripData, step: int, *, dark: bool = False) -> go.Figure:
    """Draw the frames of one step large: of pictures each input beside its map, of words and columns bars."""
    found = [(strip, frame) for strip in data.strips for frame in strip.frames if frame.step == step]
    if not found:
        return empty_figure(tr("No explanation over the steps is stored."), dark=dark)
    if data.kind != "pictures":
        return _bars(data, *found[0], dark=dark)
    columns = 2 * len(found)
    figure = new_figure(dark=dark, height=LARGE_HEIGHT, showlegend=False)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 40})
    for place, (strip, frame) in enumerate(found):
        if strip.picture is not None:
            _put(figure, strip.picture, 2 * place, 0, LARGE_PIXELS)
        _put(figure, _colored(frame.relevance, data), 2 * place + 1, 0, LARGE_PIXELS)
    bare = {"showgrid": False, "ticks": "", "fixedrange": True}
    figure.update_xaxes(
        range=[-0.5, max(columns, 4) - 0.5],
        tickvals=[2 * place + 0.5 for place in range(len(found))],
        ticktext=[short_label(strip.name, 22) for strip, _ in found],
        constrain="domain",
        **bare,
    )
    figure.update_yaxes(range=[0.5, -0.5], showticklabels=False, scaleanchor="x", constrain="domain", **bare)
    return figure


def _bars(data: FilmStripData, strip: Strip, frame: Frame, *, dark: bool) -> go.Figure:
    figure = new_figure(dark=dark, height=PART_HEIGHT * len(strip.names) + AROUND, showlegend=False)
    figure.add_bar(
        x=frame.relevance.astype(np.float32),
        y=list(range(len(strip.names))),
        orientation="h",
        marker_color=[FOR if value >= 0 else AGAINST for value in frame.relevance.tolist()],
        hovertemplate="%{x:.3g}<extra></extra>",
    )
    figure.update_xaxes(title_text=plot_text(strip.name, 60), range=[-data.limit, data.limit], zeroline=True)
    figure.update_yaxes(
        autorange="reversed",
        tickvals=list(range(len(strip.names))),
        ticktext=[short_label(name, 26) for name in strip.names],
        showgrid=False,
    )
    return figure


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


def _put(figure: go.Figure, picture: Picture, column: int, row: int, pixels: int = CELL_PIXELS) -> None:
    height, width = picture.shape[:2]
    factor = max(1, pixels // max(height, width))  # whole pixels: a browser would blur between small ones
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
