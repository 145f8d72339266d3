"""Where the time went, from the phase down to the kernel: an icicle with as many nodes as a browser draws at ease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.phases import color_of, name_of
from torchglass.charts.text import kernel_name, plot_text, short_label
from torchglass.charts.theme import NEUTRAL, empty_figure, new_figure
from torchglass.charts.units import quantity, scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Table

Side = Literal["device", "host"]

MOST_NODES = 1000
HEIGHT = 480
LABEL_CHARACTERS = 34
LEVELS = (mark("phase"), mark("module"), mark("operator"), mark("kernel"))
NO_MODULE = "(no module)"
ROOTS: dict[Side, str] = {"device": mark("GPU time"), "host": mark("Host self time")}
_NO_LINKS = mark("The window has no links from kernels to operators.")


class Node(NamedTuple):
    """A node of the tree, after its parent; `parent` is a place in the list, -1 of the root.

    `hidden` counts the nodes that a node stands for, 0 of an ordinary one. `calls` are of the leaves below.
    """

    parent: int
    name: str
    level: int
    phase: str
    seconds: float
    calls: int
    hidden: int = 0


class IcicleData(NamedTuple):
    """Nodes, root first; the seconds of a node are the sum of those of its children. `levels` are those below it."""

    nodes: tuple[Node, ...]
    side: Side
    hidden: int
    levels: tuple[str, ...] = ()


def sides_of(links: Table | None) -> tuple[Side, ...]:
    """Which of the two trees the links of a window hold."""
    if links is None:
        return ()
    is_host = links["kernel"] == ""
    sides: tuple[Side, ...] = ("device", "host")
    return tuple(
        side for side, rows in zip(sides, (~is_host, is_host), strict=True) if links["seconds"][rows].sum() > 0
    )


def icicle_data(links: Table | None, side: Side = "device", *, most_nodes: int = MOST_NODES) -> IcicleData:
    """Build the tree phase > module > operator > kernel, and keep the nodes with the most time.

    Of the host's time there is no kernel, and where no module is known there is no such level. What is left out below a
    node becomes one node that counts it.
    """
    rows = np.empty(0, np.int64) if links is None else np.flatnonzero((links["kernel"] == "") == (side == "host"))
    if links is None or not rows.size or not links["seconds"][rows].sum() > 0:
        return IcicleData((), side, 0)
    has_modules = bool((links["module"][rows] != NO_MODULE).any())
    levels = tuple(
        level for level in LEVELS if (level != "module" or has_modules) and (level != "kernel" or side == "device")
    )
    paths = list(zip(*(links[level][rows].tolist() for level in levels), strict=True))
    seconds, calls = links["seconds"][rows], links["calls"][rows]
    sums: dict[tuple[str, ...], list[float]] = {}
    for path, took, called in zip(paths, seconds.tolist(), calls.tolist(), strict=True):
        for depth in range(len(path) + 1):
            entry = sums.setdefault(path[:depth], [0.0, 0])
            entry[0] += took
            entry[1] += called
    return _pruned(sums, side, most_nodes)._replace(levels=levels)


def _pruned(sums: dict[tuple[str, ...], list[float]], side: Side, most_nodes: int) -> IcicleData:
    # A parent never has less time than its child and is shorter, so it is always kept with it.
    ranked = sorted(sums, key=lambda path: (-sums[path][0], len(path), path))
    kept = sorted(ranked[:most_nodes], key=lambda path: (len(path), -sums[path][0], path))
    place = {path: index for index, path in enumerate(kept)}
    nodes = [
        Node(
            place[path[:-1]] if path else -1,
            path[-1] if path else tr(ROOTS[side]),
            len(path),
            path[0] if path else "",
            sums[path][0],
            int(sums[path][1]),
        )
        for path in kept
    ]
    rest: dict[tuple[str, ...], list[float]] = {}
    for path in ranked[most_nodes:]:
        if path[:-1] in place:
            entry = rest.setdefault(path[:-1], [0.0, 0, 0])
            for index, value in enumerate((*sums[path], 1)):
                entry[index] += value
    nodes += [
        Node(place[path], "", len(path) + 1, path[0] if path else "", took, int(calls), int(count))
        for path, (took, calls, count) in rest.items()
    ]
    return IcicleData(tuple(nodes), side, len(sums) - len(kept))


def icicle_figure(
    data: IcicleData, *, steps: int = 1, title: str = "", dark: bool = False, reason: str = ""
) -> go.Figure:
    """Draw the tree from left to right in milliseconds a step; a click goes into a node, and one above it back."""
    if not data.nodes:
        return empty_figure(plot_text(reason or tr(_NO_LINKS), 300), dark=dark, title=plot_text(title))
    per_step = _seconds(data.nodes) / max(steps, 1)
    scale = scale_of("s", float(per_step[0]))
    shares = tr("{parent} of what is above it, {root} of all", parent="%{percentParent:.1%}", root="%{percentRoot:.1%}")
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, showlegend=False)
    figure.add_icicle(
        ids=[str(place) for place in range(len(data.nodes))],
        parents=["" if node.parent < 0 else str(node.parent) for node in data.nodes],
        labels=[_label(node, data.levels) for node in data.nodes],
        values=_conserved(data.nodes, per_step * scale.factor),
        branchvalues="total",
        maxdepth=len(LEVELS) + 1,
        tiling={"orientation": "h", "pad": 1},
        pathbar={"visible": True, "thickness": 22},
        marker={
            "colors": [color_of(node.phase) if node.phase else NEUTRAL for node in data.nodes],
            "line": {"width": 0},
        },
        leaf={"opacity": 1},
        textfont={"size": 11},
        textposition="middle left",
        text=[_text(node, data.levels, took) for node, took in zip(data.nodes, per_step.tolist(), strict=True)],
        textinfo="text",
        hovertext=[_hover(data, place, took, steps) for place, took in enumerate(per_step.tolist())],
        hovertemplate=f"%{{hovertext}}<br>{shares}<extra></extra>",
    )
    # Where a name has no room at a size that can be read, none is drawn: it is there on hover.
    figure.update_layout(
        margin={"l": 4, "r": 4, "t": figure.layout.margin.t, "b": 4}, uniformtext={"minsize": 9, "mode": "hide"}
    )
    return figure


def _seconds(nodes: Sequence[Node]) -> Floats:
    return np.array([node.seconds for node in nodes])


def _conserved(nodes: Sequence[Node], values: Floats) -> Floats:
    """Values of which no parent is below the sum of its children by a rounding: plotly would draw nothing."""
    sums = np.zeros(len(nodes))
    exact = values.copy()
    for place in sorted(range(len(nodes)), key=lambda place: -nodes[place].level):
        exact[place] = max(exact[place], sums[place])
        if nodes[place].parent >= 0:
            sums[nodes[place].parent] += exact[place]
    return exact


def _label(node: Node, levels: Sequence[str]) -> str:
    if node.hidden:
        return tr("{count} more", count=f"{node.hidden:,}")
    if node.level == 1:
        return plot_text(name_of(node.name))
    is_kernel = node.level == len(levels) and levels[-1] == "kernel"
    if node.name == NO_MODULE:
        return tr("(no module)")
    return short_label(kernel_name(node.name) if is_kernel else node.name, LABEL_CHARACTERS)


def _text(node: Node, levels: Sequence[str], seconds: float) -> str:
    """What stands on a node: of the few large ones also how long, of the many narrow ones the name alone."""
    label = _label(node, levels)
    return f"{label}<br>{quantity(float(f'{seconds:.3g}'), 's')}" if node.level <= 1 else label


def _hover(data: IcicleData, place: int, seconds: float, steps: int) -> str:
    node = data.nodes[place]
    name = tr("{count} smaller ones", count=f"{node.hidden:,}") if node.hidden else plot_text(node.name, 200)
    level = tr(data.levels[node.level - 1]) if node.level else ""
    calls = f"{node.calls / max(steps, 1):.4g}"
    often = tr("{time} a step, {calls} calls a step", time=quantity(seconds, "s"), calls=calls)
    lines = [f"<b>{name}</b>", level, often]
    return "<br>".join(line for line in lines if line)
