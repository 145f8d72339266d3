"""Places for the nodes of a directed graph, layer by layer, after Sugiyama, Tagawa and Toda (1981), at its simplest.

Layers by longest path, order within them by barycentre, long edges bent at invisible nodes in each layer they cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from torchglass.store.records import Floats, Integers

SWEEPS = 8  # over all layers; more change nothing that a reader would see
MAX_BENDS = 5_000  # beyond these, long edges are drawn straight
HEAVIEST = 10  # levels below a link that still make it straighter
BEND_WIDTH = 0.35  # columns that a passing edge takes, of a node's 1

Edge = tuple[int, int]


class Layout(NamedTuple):
    """Where nodes are: `columns` (n,) with at least 1 between neighbours, `ranks` (n,) from 0 for the roots.

    `paths` are the places, from parent to child, through which each edge goes.
    """

    columns: Floats
    ranks: Integers
    paths: tuple[tuple[tuple[float, int], ...], ...]


def layered(count: int, edges: Sequence[Edge]) -> Layout:
    """Lay out `count` nodes whose edges lead from parents to children; cycles are allowed and drawn backwards."""
    if not count:
        return Layout(np.empty(0), np.empty(0, np.int64), ())
    forward = _without_cycles(count, edges)
    ranks = _longest_paths(count, forward)
    chains, all_ranks = _bent(ranks, [(a, b) if ranks[a] <= ranks[b] else (b, a) for a, b in edges])
    widths = [1.0] * count + [BEND_WIDTH] * (len(all_ranks) - count)
    links = [link for chain in chains for link in pairwise(chain)]
    layers = _ordered(all_ranks, links)
    below: list[list[int]] = [[] for _ in all_ranks]
    for above, under in links:
        below[above].append(under)
    columns = _placed(layers, below, widths)
    middle = (min(columns) + max(columns)) / 2
    paths = []
    for (parent, _), chain in zip(edges, chains, strict=True):
        path = tuple((columns[place] - middle, all_ranks[place]) for place in chain)
        paths.append(path if chain[0] == parent else path[::-1])
    return Layout(np.array(columns[:count]) - middle, np.array(ranks, np.int64), tuple(paths))


def _without_cycles(count: int, edges: Sequence[Edge]) -> list[Edge]:
    """Leave out each edge that leads back to a node on the way to it."""
    children: list[list[int]] = [[] for _ in range(count)]
    for parent, child in edges:
        children[parent].append(child)
    state = [0] * count  # 1: on the way, 2: done
    back: set[Edge] = set()
    has_parent = {child for parent, child in edges if child != parent}
    for root in sorted(range(count), key=lambda node: node in has_parent):
        if state[root]:
            continue
        state[root] = 1
        way = [(root, iter(children[root]))]
        while way:
            node, rest = way[-1]
            child = next(rest, -1)
            if child < 0:
                state[node] = 2
                way.pop()
            elif state[child] == 1:
                back.add((node, child))
            elif not state[child]:
                state[child] = 1
                way.append((child, iter(children[child])))
    return [edge for edge in edges if edge not in back]


def _longest_paths(count: int, edges: Sequence[Edge]) -> list[int]:
    """Rank of each node: the number of edges of the longest way from a root."""
    children: list[list[int]] = [[] for _ in range(count)]
    waits_for = [0] * count
    for parent, child in edges:
        children[parent].append(child)
        waits_for[child] += 1
    ranks = [0] * count
    ready = [node for node in range(count) if not waits_for[node]]
    for node in ready:  # grows while it is walked
        for child in children[node]:
            ranks[child] = max(ranks[child], ranks[node] + 1)
            waits_for[child] -= 1
            if not waits_for[child]:
                ready.append(child)
    return ranks


def _bent(ranks: Sequence[int], edges: Sequence[Edge]) -> tuple[list[list[int]], list[int]]:
    """Give each edge a node of its own in each rank that it crosses; chains of nodes, and the ranks of all of them."""
    all_ranks = list(ranks)
    crossings = sum(max(0, ranks[below] - ranks[above] - 1) for above, below in edges)
    chains = []
    for above, below in edges:
        chain = [above]
        if crossings <= MAX_BENDS:
            for rank in range(ranks[above] + 1, ranks[below]):
                chain.append(len(all_ranks))
                all_ranks.append(rank)
        chains.append([*chain, below])
    return chains, all_ranks


def _ordered(ranks: Sequence[int], links: Sequence[Edge]) -> list[list[int]]:
    """Nodes of each rank from left to right: each near the middle of its neighbours in the rank before and after."""
    above: list[list[int]] = [[] for _ in ranks]
    below: list[list[int]] = [[] for _ in ranks]
    for parent, child in links:
        above[child].append(parent)
        below[parent].append(child)
    layers: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for node in _depth_first(above, below):
        layers[ranks[node]].append(node)
    best, fewest = layers, _crossings(layers, below)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        place = {node: index for layer in layers for index, node in enumerate(layer)}
        ordered = []
        for layer in layers if downwards else layers[::-1]:
            layer = sorted(layer, key=lambda node: _mean([place[each] for each in neighbours[node]], place[node]))
            place |= {node: index for index, node in enumerate(layer)}
            ordered.append(layer)
        layers = ordered if downwards else ordered[::-1]
        found = _crossings(layers, below)
        if found < fewest:
            best, fewest = layers, found
    return best


def _depth_first(above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> list[int]:
    """All nodes, so that what belongs to one branch comes together."""
    seen: dict[int, None] = {}
    waiting = [node for node in range(len(above) - 1, -1, -1) if not above[node]]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen[node] = None
            waiting.extend(reversed(below[node]))
    return [*seen, *(node for node in range(len(above)) if node not in seen)]


def _crossings(layers: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """How many pairs of links between neighbouring layers cross."""
    place = {node: index for layer in layers for index, node in enumerate(layer)}
    total = 0
    for layer in layers:
        ends = [place[child] for node in layer for child in sorted(below[node], key=place.__getitem__)]
        total += sum(left > right for index, left in enumerate(ends) for right in ends[index + 1 :])
    return total


def _placed(layers: Sequence[Sequence[int]], below: Sequence[Sequence[int]], widths: Sequence[float]) -> list[float]:
    """Columns that keep the order and the widths, and bring each node near its neighbours.

    The more lies below a link the more it counts, so that a long way through the graph comes out straight.
    """
    height = [0] * len(widths)
    for layer in reversed(layers):
        for node in layer:
            height[node] = max((height[child] + 1 for child in below[node]), default=0)
    neighbours: list[list[tuple[int, float]]] = [[] for _ in widths]
    for parent, children in enumerate(below):
        for child in children:
            weight = float(min(1 + height[child], HEAVIEST) ** 3)
            neighbours[parent].append((child, weight))
            neighbours[child].append((parent, weight))
    weights = [1 + sum(weight for _, weight in each) for each in neighbours]
    columns = [0.0] * len(widths)
    for sweep in range(-1, SWEEPS):
        for layer in layers if sweep % 2 else layers[::-1]:
            wanted = [_weighted_mean(columns, neighbours[node], columns[node]) for node in layer]
            placed = _apart(wanted, [weights[node] for node in layer], [widths[node] for node in layer])
            for node, column in zip(layer, placed, strict=True):
                columns[node] = column
    return columns


def _apart(wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The places nearest to those wanted, in the sense of weighted least squares, at which nothing overlaps.

    Pooling adjacent violators: without the room that stands before them, places need only not decrease.
    """
    room = [0.0]
    for left, right in pairwise(widths):
        room.append(room[-1] + (left + right) / 2)
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight and number of what moves together
    for value, weight, before in zip(wanted, weights, room, strict=False):
        total, whole, size = (value - before) * weight, weight, 1
        while pools and pools[-1][0] / pools[-1][1] > total / whole:
            earlier, heavy, count = pools.pop()
            total, whole, size = total + earlier, whole + heavy, size + count
        pools.append((total, whole, size))
    means = [total / whole for total, whole, size in pools for _ in range(size)]
    return [mean + before for mean, before in zip(means, room, strict=False)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _weighted_mean(columns: Sequence[float], neighbours: Sequence[tuple[int, float]], otherwise: float) -> float:
    whole = sum(weight for _, weight in neighbours)
    return sum(columns[node] * weight for node, weight in neighbours) / whole if whole else otherwise
