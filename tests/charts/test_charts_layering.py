"""Layouts keep order and room, draw every edge from layer to layer, and take graphs of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from torchglass.charts import layering
from torchglass.charts.layering import Edge, layered
from torchglass.store.records import Floats, Integers


def spacing(columns: Floats, ranks: Integers) -> float:
    """The smallest distance between two nodes of one layer."""
    distances = [
        np.diff(np.sort(columns[ranks == rank])).min() for rank in np.unique(ranks) if (ranks == rank).sum() > 1
    ]
    return float(min(distances, default=np.inf))


def crossings(edges: list[Edge], columns: Floats, ranks: Integers) -> int:
    """Pairs of edges between the same two layers that cross, the slow way."""
    return sum(
        bool((columns[a] - columns[c]) * (columns[b] - columns[d]) < 0)
        for index, (a, b) in enumerate(edges)
        for c, d in edges[index + 1 :]
        if ranks[a] == ranks[c] and ranks[b] == ranks[d]
    )


def test_a_rank_is_the_longest_way_from_a_root() -> None:
    edges = [(0, 1), (1, 2), (0, 3), (3, 2), (2, 4), (0, 4)]
    assert layered(5, edges).ranks.tolist() == [0, 1, 2, 1, 3]


def test_a_long_edge_passes_every_layer_between_its_ends_and_no_node() -> None:
    edges = [(0, 1), (1, 2), (2, 3), (0, 3)]
    layout = layered(4, edges)
    skip = layout.paths[3]
    assert [rank for _, rank in skip] == [0, 1, 2, 3]
    assert skip[0][0] == pytest.approx(layout.columns[0])
    for column, rank in skip[1:-1]:
        assert abs(column - layout.columns[rank]) > 0.5


def test_nodes_of_a_layer_never_overlap_and_the_middle_is_zero() -> None:
    generator = np.random.default_rng(3)
    edges = [(int(generator.integers(0, node)), node) for node in range(1, 60)]
    layout = layered(60, edges)
    assert spacing(layout.columns, layout.ranks) >= 1 - 1e-9
    assert abs(layout.columns.min() + layout.columns.max()) < 40


def test_a_tree_is_drawn_without_a_crossing() -> None:
    generator = np.random.default_rng(5)
    nodes = generator.permutation(40)
    edges = [(int(nodes[generator.integers(0, place)]), int(nodes[place])) for place in range(1, 40)]
    layout = layered(40, edges)
    assert crossings(edges, layout.columns, layout.ranks) == 0


def test_a_ladder_that_is_given_crossed_is_untangled() -> None:
    edges = [(0, 1), (0, 2), (1, 4), (2, 3), (3, 6), (4, 5), (5, 7), (6, 7)]
    layout = layered(8, edges)
    assert crossings(edges, layout.columns, layout.ranks) == 0


def test_a_chain_is_a_straight_line() -> None:
    layout = layered(6, [(node, node + 1) for node in range(5)])
    assert np.ptp(layout.columns) == pytest.approx(0)
    assert layout.ranks.tolist() == list(range(6))


def test_a_cycle_is_drawn_with_each_edge_from_its_parent_to_its_child() -> None:
    edges = [(0, 1), (1, 2), (2, 1), (2, 3)]
    layout = layered(4, edges)
    for (parent, child), path in zip(edges, layout.paths, strict=True):
        ends = [[layout.columns[node], layout.ranks[node]] for node in (parent, child)]
        np.testing.assert_allclose([path[0], path[-1]], ends)
    assert layout.ranks.tolist() == [0, 1, 2, 3]


def test_two_edges_between_the_same_nodes_and_nodes_without_edges_are_fine() -> None:
    layout = layered(4, [(0, 1), (0, 1)])
    assert len(layout.paths) == 2
    assert layout.ranks.tolist() == [0, 1, 0, 0]
    assert spacing(layout.columns, layout.ranks) >= 1 - 1e-9
    assert layered(0, []).paths == ()


def test_very_many_bends_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layering, "MAX_BENDS", 1)
    edges = [(0, 1), (1, 2), (2, 3), (0, 3)]
    assert [len(path) for path in layered(4, edges).paths] == [2, 2, 2, 2]


def test_a_long_way_is_straight_whatever_hangs_beside_it() -> None:
    trunk = [(node, node + 1) for node in range(9)]
    leaves = [(node, 10 + node) for node in range(9)] + [(node, 19 + node) for node in range(0, 9, 2)]
    layout = layered(28, [*trunk, *leaves])
    assert np.ptp(layout.columns[:6]) < 0.2
    assert spacing(layout.columns, layout.ranks) >= 1 - 1e-9
