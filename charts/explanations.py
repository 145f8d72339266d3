"""What the model looked at: input, attribution map and overlay side by side, for several methods of one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.pictures import png_data_uri, resized, rgb
from torchglass.charts.text import plain_text, plot_text, wrapped
from torchglass.charts.theme import DIVERGING, SEQUENTIAL, Picture, colorscale, empty_figure, new_figure, paint
from torchglass.charts.trust import trust_text
from torchglass.charts.units import number
from torchglass.store.records import Artifact, Floats

METHOD_NAMES = {"gradcam": "Grad-CAM", "shap": "SHAP", "lime": "LIME"}
ROW_HEIGHT = 306  # px a method
TRUST_CHARACTERS = 50  # a line; a phone shows no more
OVERLAY_STRENGTH = 0.8
FOR, AGAINST = (240, 90, 60), (70, 150, 235)  # bright enough to be seen on black digits and on photographs

Map = npt.NDArray[np.floating[Any]]


class Explained(NamedTuple):
    """A stored explanation and its arrays."""

    artifact: Artifact
    arrays: Mapping[str, npt.NDArray[Any]]


class MethodPanel(NamedTuple):
    """One method's view. `relevance` (h, w) is raw and summed over channels; colours span -limit (or 0) to limit.

    `picture` (h, w, 3) is the coloured map, `overlay` (H, W, 3) the same over the grey input. Texts are not escaped.
    """

    method: str
    title: str
    trust: str
    relevance: Floats
    signed: bool
    limit: float
    picture: Picture
    overlay: Picture


class ExplanationsData(NamedTuple):
    """Explanations of one sample: its `picture` (H, W, 3) as the model saw it, what it is, and one panel a method."""

    heading: str
    picture: Picture
    panels: tuple[MethodPanel, ...]


def explanations_data(
    explained: Sequence[Explained], *, limits: Mapping[str, float] | None = None
) -> ExplanationsData | None:
    """Prepare all explanations of one sample; None when there is none.

    Each method has its own unit and scale: give `limits` (method to largest value) to keep one scale over time.
    """
    if not explained:
        return None
    picture = rgb(explained[0].arrays["inputs"][0])
    panels = tuple(_panel(one, picture, (limits or {}).get(str(one.artifact.meta.get("method")))) for one in explained)
    return ExplanationsData(_heading(explained[0].artifact), picture, panels)


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
        title=_title(one, method),
        trust=trust_text(meta),
        relevance=relevance,
        signed=signed,
        limit=limit,
        picture=_coloured(relevance, limit, signed=signed),
        overlay=_overlay(relevance, limit, picture, signed=signed),
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


def class_name(meta: Mapping[str, Any], index: object) -> str:
    """Name of a class, or its index where the run gave no name."""
    names = meta.get("class_names")
    if isinstance(index, int) and isinstance(names, list) and 0 <= index < len(names):
        return plain_text(names[index], 40)
    return plain_text(index, 40)


def _heading(artifact: Artifact) -> str:
    meta = artifact.meta
    said = [f"{artifact.key}, step {artifact.step}"]
    if meta.get("label") is not None:
        said.append(f"label {class_name(meta, meta['label'])}")
    if meta.get("predicted") is not None:
        sure = meta.get("probability")
        sureness = f" ({100 * sure:.1f} %)" if isinstance(sure, float | int) else ""
        said.append(f"predicted {class_name(meta, meta['predicted'])}{sureness}")
    return plain_text("; ".join(said), 200)


def _title(one: Explained, method: str) -> str:
    meta, arrays = one.artifact.meta, one.arrays
    target = int(arrays["targets"][0]) if "targets" in arrays else meta.get("target")
    parts = [f"{METHOD_NAMES.get(method, method)} for class {class_name(meta, target)}"]
    if "outputs" in arrays:
        parts.append(f"{meta.get('output_space', 'score')} {number(round(float(arrays['outputs'][0]), 4))}")
    if meta.get("layer"):
        parts.append(f"layer {meta['layer']}")
    return plain_text(", ".join(parts), 160)


def explanations_figure(
    data: ExplanationsData | None,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "No explanation was stored for this sample: make one with torchglass explain.",
) -> go.Figure:
    """Draw a row a method: input, map with its colour scale, overlay."""
    if data is None:
        return empty_figure(plot_text(reason, 300), dark=dark, title=plot_text(title))
    rows = len(data.panels)
    figure = new_figure(dark=dark, title=plot_text(title), height=20 + ROW_HEIGHT * rows, showlegend=False)
    gap = 98 / (ROW_HEIGHT * rows)
    make_subplots(rows=rows, cols=3, figure=figure, horizontal_spacing=0.03, vertical_spacing=gap if rows > 1 else 0)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 76 + (26 if title else 0), "b": 26})
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
        hovertemplate="row %{y:.0f}, column %{x:.0f}: %{z:.3g}<extra></extra>",
        row=row,
        col=2,
    )
    figure.add_image(source=png_data_uri(panel.overlay), hoverinfo="skip", row=row, col=3)
    for column, caption in enumerate(("input", "attribution", "overlay"), start=1):
        bare = {"showticklabels": False, "ticks": "", "showgrid": False, "constrain": "domain", "row": row}
        figure.update_xaxes(title={"text": caption, "standoff": 4}, range=[-0.5, width - 0.5], col=column, **bare)
        figure.update_yaxes(range=[height - 0.5, -0.5], scaleanchor=_x_of(row, column), col=column, **bare)
    figure.add_annotation(
        text=f"<b>{plot_text(panel.title, 160)}</b><br>{wrapped(plot_text(panel.trust, 240), TRUST_CHARACTERS)}",
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


def _x_of(row: int, column: int) -> str:
    index = (row - 1) * 3 + column
    return "x" if index == 1 else f"x{index}"
