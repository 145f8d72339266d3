"""Several samples explained: a row each, a column a method, one colour scale for each method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.explanations_words import Explained, heading, kind_of, method_name, names_of
from torchglass.charts.pictures import png_data_uri, resized, rgb
from torchglass.charts.text import plain_text, plot_text, short_label, wrapped
from torchglass.charts.theme import DIVERGING, SEQUENTIAL, Picture, colorscale, empty_figure, new_figure, paint
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats

MOST_COLUMNS = 24  # of a row of a table: those that count most in any of the samples
CELL_PIXELS = 96  # of a picture's longer side, before the page sizes it
CELL_HEIGHT, ABOVE, BELOW = 118, 34, 64  # px of a row of pictures, and around them
ROW_HEIGHT, AROUND = 26, 120  # px of a table's heat map
SIDE = 0.94  # of a cell that a picture takes
NAME_CHARACTERS, NAME_LINE = 90, 24


class Row(NamedTuple):
    """One sample: what is said of it, its `picture` (H, W, 3) if it is one, the names of its parts otherwise.

    `relevance` has a map (h, w) or (P,) for each method, None where that was not asked. Nothing is escaped.
    """

    name: str
    picture: Picture | None
    names: tuple[str, ...]
    relevance: tuple[Floats | None, ...]


class Scale(NamedTuple):
    """A method's colours: they span -limit (or 0, unless `signed`) to limit, in units of the score."""

    method: str
    limit: float
    signed: bool

    @property
    def ticks(self) -> tuple[list[float], list[str]]:
        """Where its scale has numbers, and these."""
        places = [-self.limit, 0.0, self.limit] if self.signed else [0.0, self.limit]
        return places, [number(float(f"{place:.2g}")) for place in places]


class GridData(NamedTuple):
    """Samples of one `kind` by the methods that explained any of them."""

    kind: str
    scales: tuple[Scale, ...]
    rows: tuple[Row, ...]


def grid_data(samples: Sequence[Sequence[Explained]], methods: Sequence[str]) -> GridData | None:
    """Put explanations of several samples side by side, methods in the order given; None of nothing."""
    given = [each for each in samples if each]
    if not given:
        return None
    kind = kind_of(given[0][0].artifact)
    alike = [each for each in given if kind_of(each[0].artifact) == kind]
    made = {_method(one) for each in alike for one in each}
    order = [*(method for method in methods if method in made), *sorted(made - set(methods))]
    rows = tuple(_row(each, order, kind) for each in alike)
    return GridData(kind, tuple(_scale(method, place, rows) for place, method in enumerate(order)), rows)


def _method(one: Explained) -> str:
    return str(one.artifact.meta.get("method", "explanation"))


def _row(explained: Sequence[Explained], methods: Sequence[str], kind: str) -> Row:
    newest = {_method(one): one for one in explained}
    first = explained[0]
    maps = {method: _relevance(one) for method, one in newest.items()}
    picture = rgb(first.arrays["inputs"][0]) if kind == "pictures" else None
    names = () if kind == "pictures" else tuple(names_of(first.artifact, len(next(iter(maps.values())))))
    return Row(heading(first.artifact), picture, names, tuple(maps.get(method) for method in methods))


def _relevance(one: Explained) -> Floats:
    own: Floats = np.nan_to_num(one.arrays["attributions"][0].astype(np.float64))
    relevance: Floats = own.sum(axis=0) if own.ndim == 3 else own
    return relevance


def _scale(method: str, place: int, rows: Sequence[Row]) -> Scale:
    found = [each for row in rows if (each := row.relevance[place]) is not None]
    limit = max((float(np.abs(each).max(initial=0.0)) for each in found), default=0.0) or 1.0
    # A class activation map ends in a ReLU: its zero means "no evidence for", not "neutral".
    return Scale(method, limit, "cam" not in method.lower() or any(bool((each < 0).any()) for each in found))


def limits_of(data: GridData) -> dict[str, float]:
    """The largest value of each method's scale."""
    return {scale.method: scale.limit for scale in data.scales}


def pictures_grid_figure(data: GridData | None, *, dark: bool = False) -> go.Figure:
    """Draw pictures: a row a sample, its input first, then each method's map; below each method its scale."""
    if data is None:
        return empty_figure(plot_text(tr("None of these samples is explained.")), dark=dark)
    columns, rows = 1 + len(data.scales), len(data.rows)
    figure = new_figure(dark=dark, height=ABOVE + CELL_HEIGHT * rows + BELOW, showlegend=False)
    figure.update_layout(margin={"l": 8, "r": 8, "t": ABOVE, "b": BELOW})
    for place, row in enumerate(data.rows):
        if row.picture is not None:
            _put(figure, row.picture, 0, place)
        for column, (scale, relevance) in enumerate(zip(data.scales, row.relevance, strict=True), start=1):
            if relevance is not None:
                _put(figure, _colored(relevance, scale), column, place)
    for column, scale in enumerate(data.scales, start=1):
        _put_scale(figure, scale, (column + 0.5) / columns, 0.8 / columns)
    bare = {"showgrid": False, "ticks": "", "fixedrange": True}
    titles = [tr("input"), *(plot_text(method_name(scale.method), 30) for scale in data.scales)]
    figure.update_xaxes(range=[-0.5, columns - 0.5], tickvals=list(range(columns)), ticktext=titles, side="top", **bare)
    names = [wrapped(plot_text(row.name, NAME_CHARACTERS), NAME_LINE) for row in data.rows]
    figure.update_yaxes(range=[rows - 0.5, -0.5], tickvals=list(range(rows)), ticktext=names, **bare)
    return figure


def _put(figure: go.Figure, picture: Picture, column: int, row: int) -> None:
    height, width = picture.shape[:2]
    factor = max(1, CELL_PIXELS // max(height, width))  # whole pixels: a browser would blur between small ones
    figure.add_layout_image(
        source=png_data_uri(np.asarray(resized(picture, height * factor, width * factor), np.uint8)),
        xref="x",
        yref="y",
        x=column,
        y=row,
        sizex=SIDE,
        sizey=SIDE,
        sizing="contain",
        xanchor="center",
        yanchor="middle",
        layer="above",
    )


def _colored(relevance: Floats, scale: Scale) -> Picture:
    shares = np.clip(relevance / scale.limit, -1, 1)
    return paint((shares + 1) / 2, DIVERGING) if scale.signed else paint(shares, SEQUENTIAL)


def _put_scale(figure: go.Figure, scale: Scale, center: float, length: float) -> None:
    """An invisible point that carries a colour scale below its column."""
    places, texts = scale.ticks
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        hoverinfo="skip",
        marker={
            "color": [0.0],
            "cmin": -scale.limit if scale.signed else 0.0,
            "cmax": scale.limit,
            "colorscale": colorscale(DIVERGING if scale.signed else SEQUENTIAL),
            "showscale": True,
            "colorbar": {
                "orientation": "h",
                "x": center,
                "xanchor": "center",
                "y": 0,
                "yanchor": "top",
                "len": length,
                "thickness": 8,
                "outlinewidth": 0,
                "tickvals": places,
                "ticktext": texts,
            },
        },
    )


def rows_grid_figure(data: GridData, place: int, *, dark: bool = False) -> go.Figure:
    """Draw one method on rows of a table: a line a sample, a column each of those that count most in any of them."""
    scale = data.scales[place]
    known = [(row, relevance) for row in data.rows if (relevance := row.relevance[place]) is not None]
    size = max((len(relevance) for _, relevance in known), default=0)
    same = [(row, relevance) for row, relevance in known if len(relevance) == size]
    if not same:
        return empty_figure(plot_text(tr("None of these samples is explained.")), dark=dark)
    table = np.stack([relevance for _, relevance in same])
    shown = np.sort(np.argsort(-np.abs(table).max(axis=0), kind="stable")[:MOST_COLUMNS])
    places, texts = scale.ticks
    figure = new_figure(dark=dark, height=AROUND + ROW_HEIGHT * len(same), showlegend=False)
    figure.add_heatmap(
        z=table[:, shown].astype(np.float32),
        zmin=-scale.limit,
        zmax=scale.limit,
        colorscale=colorscale(DIVERGING),
        xgap=2,
        ygap=2,
        customdata=[[plain_text(same[0][0].names[column], 60) for column in shown]] * len(same),
        hovertemplate="%{customdata}: %{z:.3g}<extra></extra>",
        colorbar={"thickness": 8, "outlinewidth": 0, "tickvals": places, "ticktext": texts},
    )
    labels = [short_label(same[0][0].names[column], 18) for column in shown]
    figure.update_xaxes(tickvals=list(range(len(shown))), ticktext=labels, showgrid=False)
    figure.update_yaxes(
        autorange="reversed",
        tickvals=list(range(len(same))),
        ticktext=[short_label(row.name.partition(",")[0], 24) for row, _ in same],
        showgrid=False,
    )
    return figure
