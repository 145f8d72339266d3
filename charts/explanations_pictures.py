"""A picture explained: input, attribution map and overlay side by side, for several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.explanations_words import Explained, heading, title
from torchglass.charts.pictures import png_data_uri, resized, rgb
from torchglass.charts.text import plot_text, wrapped
from torchglass.charts.theme import DIVERGING, SEQUENTIAL, Picture, colorscale, empty_figure, new_figure, paint
from torchglass.charts.trust import MOST_CHARACTERS, trust_sentences
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats

ROW_HEIGHT, CAPTIONS = 276, 68  # px a method, and of these above its pictures
LINE_HEIGHT = 15  # px that a line of trust adds
TRUST_CHARACTERS = 50  # a line; a phone shows no more
OVERLAY_STRENGTH = 0.8
FOR, AGAINST = (240, 90, 60), (70, 150, 235)  # bright enough to be seen on black digits and on photographs
DECIDES = (0, 230, 120)  # outline of what is known to decide; in none of the colour scales

Map = npt.NDArray[np.floating[Any]]


class MethodPanel(NamedTuple):
    """One method's view. `relevance` (h, w) is raw and summed over channels; colours span -limit (or 0) to limit.

    `picture` (h, w, 3) is the coloured map, `overlay` (H, W, 3) the same over the grey input, with an outline around
    what is known to decide. Texts are not escaped.
    """

    method: str
    title: str
    trust: tuple[str, ...]
    relevance: Floats
    signed: bool
    limit: float
    picture: Picture
    overlay: Picture


class PicturesData(NamedTuple):
    """Explanations of one picture: its `picture` (H, W, 3) as the model saw it, what it is, and one panel a method."""

    heading: str
    picture: Picture
    panels: tuple[MethodPanel, ...]


def pictures_data(explained: Sequence[Explained], *, limits: Mapping[str, float] | None = None) -> PicturesData:
    """Prepare all explanations of one picture; `explained` is not empty."""
    picture = rgb(explained[0].arrays["inputs"][0])
    panels = tuple(_panel(one, picture, (limits or {}).get(str(one.artifact.meta.get("method")))) for one in explained)
    return PicturesData(heading(explained[0].artifact), picture, panels)


def _panel(one: Explained, picture: Picture, limit: float | None) -> MethodPanel:
    meta = one.artifact.meta
    method = str(meta.get("method", "explanation"))
    relevance = one.arrays["attributions"][0].astype(np.float64)
    relevance = relevance.sum(axis=0) if relevance.ndim == 3 else relevance
    finite = np.abs(relevance[np.isfinite(relevance)])
    limit = limit or float(finite.max(initial=0.0)) or 1.0
    # A class activation map ends in a ReLU: its zero means "no evidence for", not "neutral".
    signed = "cam" not in method.lower() or bool((relevance < 0).any())
    return MethodPanel(
        method=method,
        title=title(one),
        trust=trust_sentences(meta),
        relevance=relevance,
        signed=signed,
        limit=limit,
        picture=_coloured(relevance, limit, signed=signed),
        overlay=_outlined(_overlay(relevance, limit, picture, signed=signed), one.arrays.get("truth")),
    )


def _coloured(relevance: Floats, limit: float, *, signed: bool) -> Picture:
    shares = np.clip(np.nan_to_num(relevance) / limit, -1, 1)
    return paint((shares + 1) / 2, DIVERGING) if signed else paint(shares, SEQUENTIAL)


def _overlay(relevance: Floats, limit: float, picture: Picture, *, signed: bool) -> Picture:
    shares = np.clip(np.nan_to_num(resized(relevance, *picture.shape[:2])) / limit, -1, 1)[..., None]
    grey = picture.mean(axis=2, keepdims=True)
    color = np.where(shares >= 0, FOR, AGAINST) if signed else paint(shares[..., 0], SEQUENTIAL)
    cover = np.sqrt(np.abs(shares)) * OVERLAY_STRENGTH
    return np.asarray((grey * (1 - cover) + color * cover).round(), np.uint8)


def _outlined(overlay: Picture, truth: npt.NDArray[Any] | None) -> Picture:
    """Mark the pixels around what decides, truth (1, H, W), where that is known."""
    if truth is None or truth.shape[1:] != overlay.shape[:2]:
        return overlay
    decides = np.pad(truth[0].astype(bool), 1)
    near = decides[:-2, 1:-1] | decides[2:, 1:-1] | decides[1:-1, :-2] | decides[1:-1, 2:]
    outlined = overlay.copy()
    outlined[near & ~truth[0].astype(bool)] = DECIDES
    return outlined


def explanations_figure(
    data: PicturesData | None,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw a row a method: input, map with its colour scale, overlay."""
    if data is None:
        return empty_figure(
            plot_text(
                reason or tr("No explanation was stored for this sample: make one with torchglass explain."), 300
            ),
            dark=dark,
            title=plot_text(title),
        )
    rows = len(data.panels)
    # Every row leaves as much room for words as the one that says most.
    said = LINE_HEIGHT * max(_trust(panel).count("<br>") + 1 for panel in data.panels)
    height = ROW_HEIGHT + said
    figure = new_figure(dark=dark, title=plot_text(title), height=20 + height * rows, showlegend=False)
    gap = (CAPTIONS + said) / (height * rows)
    make_subplots(rows=rows, cols=3, figure=figure, horizontal_spacing=0.03, vertical_spacing=gap if rows > 1 else 0)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 46 + said + (26 if title else 0), "b": 26})
    for row, panel in enumerate(data.panels, start=1):
        _draw_row(figure, row, panel, data.picture)
    return figure


def _draw_row(figure: go.Figure, row: int, panel: MethodPanel, picture: Picture) -> None:
    height, width = picture.shape[:2]
    map_height, map_width = panel.relevance.shape
    subplot = next(iter(figure.select_yaxes(row=row, col=1)))
    low, high = subplot.domain
    ticks = [-panel.limit, 0.0, panel.limit] if panel.signed else [0.0, panel.limit]
    figure.add_image(source=png_data_uri(picture), hoverinfo="skip", row=row, col=1)
    figure.add_heatmap(
        z=panel.relevance.astype(np.float32),
        x0=width / map_width / 2 - 0.5,
        dx=width / map_width,
        y0=height / map_height / 2 - 0.5,
        dy=height / map_height,
        zmin=-panel.limit if panel.signed else 0,
        zmax=panel.limit,
        colorscale=colorscale(DIVERGING if panel.signed else SEQUENTIAL),
        colorbar={
            "len": high - low,
            "y": (low + high) / 2,
            "thickness": 8,
            "outlinewidth": 0,
            "tickvals": ticks,
            "ticktext": [number(float(f"{tick:.2g}")) for tick in ticks],
        },
        hovertemplate=tr("row {row}, column {column}", row="%{y:.0f}", column="%{x:.0f}") + ": %{z:.3g}<extra></extra>",
        row=row,
        col=2,
    )
    figure.add_image(source=png_data_uri(panel.overlay), hoverinfo="skip", row=row, col=3)
    for column, caption in enumerate((tr("input"), tr("attribution"), tr("overlay")), start=1):
        bare = {"showticklabels": False, "ticks": "", "showgrid": False, "constrain": "domain", "row": row}
        figure.update_xaxes(title={"text": caption, "standoff": 4}, range=[-0.5, width - 0.5], col=column, **bare)
        figure.update_yaxes(range=[height - 0.5, -0.5], scaleanchor=_x_of(row, column), col=column, **bare)
    figure.add_annotation(
        text=f"<b>{plot_text(panel.title, 160)}</b><br>{_trust(panel)}",
        x=0,
        y=high,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        align="left",
        showarrow=False,
        yshift=4,
    )


def _trust(panel: MethodPanel) -> str:
    return "<br>".join(wrapped(plot_text(said, MOST_CHARACTERS), TRUST_CHARACTERS) for said in panel.trust)


def _x_of(row: int, column: int) -> str:
    index = (row - 1) * 3 + column
    return "x" if index == 1 else f"x{index}"
