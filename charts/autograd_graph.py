"""The autograd graph of a model, layer by layer: data flow from top to bottom, parameters beside what uses them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.layering import Edge, Layout, layered
from torchglass.charts.listings import Field, Listing
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import NEUTRAL, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.records import Table

Kind = Literal["operation", "parameter", "input", "function", "module"]

MAX_DRAWN = 300  # nodes that can still be told apart on a page
KINDS: tuple[Kind, ...] = ("operation", "parameter", "input", "function")  # in the order in which they are stored
NAMES: Mapping[Kind, str] = {
    "operation": mark("operation"),
    "parameter": mark("parameter"),
    "input": mark("leaf without a name"),
    "function": mark("custom Function"),
    "module": mark("module"),
}
# White text on these reads at 6:1 and more, on light and dark pages alike.
COLORS: Mapping[Kind, str] = {
    "operation": "#4a5160",
    "parameter": "#0f5f8f",
    "input": "#00664b",
    "function": "#a84700",
    "module": "#4a5160",
}
RANK_HEIGHT = 34  # px
MAX_HEIGHT = 6_000
FEWEST_COLUMNS = 4.0  # a narrow graph is not pulled apart over a wide page
FEWEST_CHARACTERS, MOST_CHARACTERS = 8, 24  # of a name; fewer where its neighbours leave less room
PAGE_WIDTH = 900  # px, of the page's content on a laptop
CHARACTER_WIDTH, BOX_PADDING = 6.2, 16  # px
HOVERED_PARAMETERS = 8
OUTSIDE = mark("inputs")  # what is computed from no module's parameters
MODEL = mark("(the model itself)")
PARAMETRIZED = ".parametrizations."  # torch's own name for what makes a weight from others
# What a weight goes through on its way to the operation that it belongs to.
VIEWS = frozenset(
    [
        "Alias",
        "AsStrided",
        "Clone",
        "Expand",
        "Flatten",
        "Permute",
        "ReshapeAlias",
        "Select",
        "Slice",
        "Split",
        "SplitWithSizes",
        "Squeeze",
        "T",
        "ToCopy",
        "Transpose",
        "Unbind",
        "UnsafeView",
        "Unsqueeze",
        "View",
    ]
)
_NO_GRAPH = mark("No autograd graph was stored: it is read at the first training forward of an attached model.")


class Drawn(NamedTuple):
    """A node or a folded module: its short name, its kind, what is told of it (not escaped), the nodes within."""

    label: str
    kind: Kind
    told: tuple[str, ...]
    size: int


class AutogradGraphData(NamedTuple):
    """What is drawn and where; of a graph that is not drawn the reason why. `node_count` counts nodes before folding.

    Edges lead from what is nearer to the result to its inputs, as autograd walks.
    """

    nodes: tuple[Drawn, ...]
    edges: tuple[Edge, ...]
    layout: Layout
    node_count: int
    folded: bool
    reason: str = ""


def autograd_graph_data(
    table: Table, meta: Mapping[str, Any], *, folded: bool = False, most: int = MAX_DRAWN
) -> AutogradGraphData:
    """Lay out a stored graph: every node, or folded by module, which is also done where there are more than `most`.

    Modules are folded further, by the first parts of their paths, until there are few enough.
    """
    count = _whole(meta.get("nodes"))
    reason = _reason_of(table, meta, count)
    if reason:
        return _undrawn(count, reason)
    edges = list(zip(table["parents"].tolist(), table["children"].tolist(), strict=True))
    if not folded and count <= most:
        nodes = tuple(_node(table, place) for place in range(count))
        return AutogradGraphData(nodes, tuple(edges), layered(count, edges), count, folded=False)
    groups = _groups(modules_of(table), most)
    if groups is None:
        return _undrawn(count, tr("too large to draw ({count} nodes)", count=number(count)))
    places = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    between = list(
        dict.fromkeys(
            (places[groups[above]], places[groups[below]]) for above, below in edges if groups[above] != groups[below]
        )
    )
    members: dict[str, list[int]] = {}
    for place, name in enumerate(groups):
        members.setdefault(name, []).append(place)
    nodes = tuple(_module(table, name, members[name]) for name in places)
    return AutogradGraphData(nodes, tuple(between), layered(len(nodes), between), count, folded=True)


def modules_of(table: Table) -> list[str]:
    """The module of each node, as far as parameters tell: an operation without any belongs to whose result it takes."""
    count = len(table["names"])
    below: list[list[int]] = [[] for _ in range(count)]
    for above, place in zip(table["parents"].tolist(), table["children"].tolist(), strict=True):
        below[above].append(place)
    names, labels, numbers = table["names"].tolist(), table["labels"].tolist(), table["sequence_numbers"].tolist()
    modules = [_module_path(label) if label else OUTSIDE for label in labels]
    is_weight = [bool(label) for label in labels]  # a parameter, or one that was turned, cast or put together
    # In the order of the forward pass: what a node takes comes before it.
    for place in sorted(range(count), key=numbers.__getitem__):
        taken = below[place]
        if not taken or labels[place]:
            continue
        weights = [each for each in taken if is_weight[each]]
        modules[place] = modules[weights[0] if weights else max(taken, key=numbers.__getitem__)]
        keeps = short_name(names[place]) in VIEWS or all(PARAMETRIZED in f".{modules[each]}." for each in taken)
        is_weight[place] = len(weights) == len(taken) and keeps
    return [f".{name}".partition(PARAMETRIZED)[0].removeprefix(".") or MODEL for name in modules]


def kinds_listing(table: Table, *, most: int) -> Listing:
    """Kinds of nodes by how many there are: what stands in for a graph that is too large to draw."""
    names = [str(name) for name in table.get("names", ())]
    if not names:
        return Listing(())
    kinds = dict(zip(names, (KINDS[kind] for kind in table["kinds"].tolist()), strict=True))
    counted = Counter(names).most_common()
    shown = counted[:most]
    return Listing(
        (
            Field(tr("Node"), "text", tuple(name for name, _ in shown)),
            Field(tr("What"), "text", tuple(_what(name, kinds[name]) for name, _ in shown)),
            Field(tr("Share"), "share", tuple(100 * count / len(names) for _, count in shown)),
            Field(tr("Nodes"), "count", tuple(count for _, count in shown)),
        ),
        left_out=len(counted) - len(shown),
    )


def autograd_graph_figure(
    data: AutogradGraphData, *, title: str = "", dark: bool = False, reason: str = ""
) -> go.Figure:
    """Draw boxes with names and lines between them; hover tells the rest."""
    if not data.nodes:
        return empty_figure(plot_text(data.reason or reason or tr(_NO_GRAPH), 300), dark=dark, title=plot_text(title))
    ranks = int(data.layout.ranks.max()) + 1
    figure = new_figure(
        dark=dark,
        title=plot_text(title),
        height=min(MAX_HEIGHT, 60 + RANK_HEIGHT * ranks),
        showlegend=False,
        hovermode="closest",
        dragmode="pan",
    )
    _draw_edges(figure, data.layout)
    reach = max(FEWEST_COLUMNS, float(np.ptp(data.layout.columns)) + 1) / 2
    _draw_nodes(figure, data, reach)
    bare = {"visible": False, "showgrid": False}
    figure.update_xaxes(range=[-reach, reach], **bare)
    figure.update_yaxes(range=[-0.7, ranks - 0.3], **bare)
    figure.update_layout(margin={"l": 4, "r": 4, "b": 8})
    return figure


def _draw_edges(figure: go.Figure, layout: Layout) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    for path in layout.paths:
        for column, rank in path:
            x.append(round(column, 3))
            y.append(rank)
        x.append(None)
        y.append(None)
    figure.add_scatter(x=x, y=y, mode="lines", line={"color": NEUTRAL, "width": 1}, hoverinfo="skip", name="edges")


def _draw_nodes(figure: go.Figure, data: AutogradGraphData, reach: float) -> None:
    """Boxes are annotations, which are as wide as their text; a mark below each of them answers to the pointer."""
    columns, ranks = data.layout.columns.round(3).tolist(), data.layout.ranks.tolist()
    figure.add_scatter(
        x=columns,
        y=ranks,
        mode="markers",
        marker={"size": 22, "opacity": 0, "color": [COLORS[node.kind] for node in data.nodes]},
        hovertext=["<br>".join(plot_text(line, 200) for line in node.told) for node in data.nodes],
        hoverinfo="text",
        name="nodes",
    )
    figure.update_layout(
        annotations=[
            {
                "x": column,
                "y": rank,
                "text": f"<b>{label}</b>" if node.kind == "function" else label,
                "showarrow": False,
                "bgcolor": COLORS[node.kind],
                "borderpad": 3,
                "font": {"color": "#ffffff", "size": 10},
            }
            for column, rank, node, room in zip(columns, ranks, data.nodes, _rooms(data, reach), strict=True)
            for label in [short_label(node.label, room)]
        ]
    )


def _rooms(data: AutogradGraphData, reach: float) -> list[int]:
    """Characters that fit into each box before it meets its neighbours, of which short ones leave more, or the edge."""
    columns, ranks = data.layout.columns, data.layout.ranks
    column_width = PAGE_WIDTH / (2 * reach)
    lengths = np.array([min(len(node.label), MOST_CHARACTERS) for node in data.nodes])
    wanted = (lengths * CHARACTER_WIDTH + BOX_PADDING) / column_width
    free = 2 * (reach - np.abs(columns))
    for rank in np.unique(ranks):
        places = np.flatnonzero(ranks == rank)
        places = places[np.argsort(columns[places], kind="stable")]
        gaps = np.diff(columns[places])
        left, right = places[:-1], places[1:]
        free[right] = np.minimum(free[right], np.maximum(gaps, 2 * gaps - wanted[left]))
        free[left] = np.minimum(free[left], np.maximum(gaps, 2 * gaps - wanted[right]))
    fitting = (free * column_width - BOX_PADDING) / CHARACTER_WIDTH
    return [int(each) for each in np.clip(fitting, FEWEST_CHARACTERS, MOST_CHARACTERS)]


def _reason_of(table: Table, meta: Mapping[str, Any], count: int) -> str:
    """Why a graph cannot be drawn; empty where it can."""
    if meta.get("reason"):
        return str(meta["reason"])
    if meta.get("too_large"):
        if meta.get("counted_to_the_end", True):
            return tr("too large to draw ({count} nodes)", count=number(count))
        return tr("too large to draw (more than {count} nodes)", count=number(count))
    return "" if count and len(table.get("names", ())) == count else tr("the stored graph holds no nodes")


def _undrawn(count: int, reason: str) -> AutogradGraphData:
    return AutogradGraphData((), (), layered(0, ()), count, folded=False, reason=reason)


def _groups(modules: Sequence[str], most: int) -> list[str] | None:
    """Modules by paths short enough that there are at most `most` of them; None where there are more even so."""
    for depth in range(max((name.count(".") for name in modules), default=0) + 1, 0, -1):
        cut = [".".join(name.split(".")[:depth]) for name in modules]
        if len(set(cut)) <= most:
            return cut
    return None


def _node(table: Table, place: int) -> Drawn:
    name, label, shape = (str(table[column][place]) for column in ("names", "labels", "shapes"))
    kind = KINDS[int(table["kinds"][place])]
    told = [
        f"{name} ({tr(NAMES[kind])})",
        label,
        _shaped(kind, shape),
    ]
    return Drawn(label or short_name(name), kind, tuple(line for line in told if line), 1)


def _shaped(kind: Kind, shape: str) -> str:
    if not shape:
        return ""
    return tr("shape {shape}", shape=shape) if kind == "parameter" else tr("result {shape}", shape=shape)


def _module(table: Table, name: str, places: Sequence[int]) -> Drawn:
    kinds = [KINDS[int(table["kinds"][place])] for place in places]
    operations = Counter(
        short_name(str(table["names"][place]))
        for place, kind in zip(places, kinds, strict=True)
        if kind in ("operation", "function")
    )
    parameters = [
        f"{table['labels'][place]} {table['shapes'][place]}"
        for place, kind in zip(places, kinds, strict=True)
        if kind == "parameter"
    ]
    done = ", ".join(f"{what} ×{count}" if count > 1 else what for what, count in operations.most_common())
    told = [module_name(name), done, *parameters[:HOVERED_PARAMETERS]]
    if len(parameters) > HOVERED_PARAMETERS:
        told.append(tr("and {count} more parameters", count=len(parameters) - HOVERED_PARAMETERS))
    kind: Kind = "function" if "function" in kinds else "module"
    return Drawn(module_name(name), kind, tuple(line for line in told if line), len(places))


def module_name(path: str) -> str:
    """A module as it is shown; ours are the names of the model itself and of what belongs to no module."""
    return tr(path) if path in (MODEL, OUTSIDE) else path


def _module_path(label: str) -> str:
    return label.rpartition(".")[0] or MODEL


def short_name(name: str) -> str:
    """What an operation is called: "ConvolutionBackward0" is the backward of Convolution."""
    return re.sub(r"Backward\d*$", "", name) or name


def _what(name: str, kind: Kind) -> str:
    return tr("parameters and other leaves") if name == "AccumulateGrad" else tr(NAMES[kind])


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
