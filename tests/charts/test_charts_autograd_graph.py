"""The drawn graph is the stored one: every node and edge, or folded by the modules that parameters name."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from judged import FUNCTION, INPUT, OPERATION, PARAMETER, Arrays, graph_meta, graph_table, lenet_graph

from torchglass.charts.autograd_graph import (
    BOX_PADDING,
    CHARACTER_WIDTH,
    COLORS,
    MODEL,
    OUTSIDE,
    PAGE_WIDTH,
    autograd_graph_data,
    autograd_graph_figure,
    kinds_listing,
    modules_of,
    short_name,
)

HOSTILE = "<img src=x onerror=alert(1)> %{y}"


def test_every_node_and_every_edge_is_drawn_and_edges_end_at_their_nodes() -> None:
    table = lenet_graph()
    data = autograd_graph_data(table, graph_meta(table))
    figure = autograd_graph_figure(data)
    edges, nodes = figure.data
    assert len(figure.layout.annotations) == len(nodes.x) == len(table["names"])
    ends = [(edges.x[0], edges.y[0])]
    places = list(zip(edges.x, edges.y, strict=True))
    for before, after in pairwise([*places, (None, None)]):
        if before == (None, None) and after != (None, None):
            ends.append(after)
        elif after == (None, None) and before != (None, None):
            ends.append(before)
    at = list(zip(nodes.x, nodes.y, strict=True))
    wanted = [at[end] for pair in zip(table["parents"], table["children"], strict=True) for end in pair]
    assert np.allclose(np.array(ends, np.float64), np.array(wanted, np.float64))


def test_what_is_nearer_to_the_result_is_below_and_parameters_are_beside_what_uses_them() -> None:
    table = lenet_graph()
    ranks = autograd_graph_data(table, graph_meta(table)).layout.ranks
    assert ranks[0] == 0
    for parent, child in zip(table["parents"], table["children"], strict=True):
        assert ranks[child] > ranks[parent]
        if table["kinds"][child] == PARAMETER:
            assert ranks[child] == ranks[parent] + 1


def test_names_get_shorter_where_many_boxes_share_a_rank_and_stay_whole_where_there_is_room() -> None:
    labels = [f"backwards.weight_of_gate_{gate}" for gate in range(8)]
    crowded = graph_table(
        [("AddmmBackward0", OPERATION, "", ""), *(("AccumulateGrad", PARAMETER, label, "") for label in labels)],
        [(0, place) for place in range(1, 9)],
    )
    boxes = autograd_graph_figure(autograd_graph_data(crowded, graph_meta(crowded))).layout.annotations
    column = PAGE_WIDTH / 8
    assert all(len(box.text) * CHARACTER_WIDTH + BOX_PADDING <= column + 1 for box in boxes if box.text != "Addmm")
    assert len({box.text for box in boxes}) == 9
    roomy = lenet_graph()
    boxes = autograd_graph_figure(autograd_graph_data(roomy, graph_meta(roomy))).layout.annotations
    assert "conv1.weight" in {box.text for box in boxes}


def test_a_custom_function_is_bold_and_of_its_own_colour_and_hover_tells_shapes() -> None:
    table = lenet_graph()
    figure = autograd_graph_figure(autograd_graph_data(table, graph_meta(table)))
    bold = [box for box in figure.layout.annotations if box.text.startswith("<b>")]
    assert [box.text for box in bold] == ["<b>SiLU</b>"]
    assert bold[0].bgcolor == COLORS["function"] != COLORS["operation"]
    hovers = list(figure.data[1].hovertext)
    assert "AccumulateGrad (parameter)<br>conv1.weight<br>shape (6, 1, 5, 5)" in hovers
    assert "SiLU (custom Function)<br>result (64, 84)" in hovers


def test_folded_a_graph_is_the_chain_of_its_modules() -> None:
    table = lenet_graph()
    data = autograd_graph_data(table, graph_meta(table), folded=True)
    labels = [node.label for node in data.nodes]
    assert labels == ["fc3", "fc2", "fc1", "conv2", "conv1"]
    assert set(data.edges) == {(0, 1), (1, 2), (2, 3), (3, 4)}
    assert sum(node.size for node in data.nodes) == data.node_count == len(table["names"])
    assert [node.kind for node in data.nodes] == ["module", "function", "module", "module", "module"]
    assert data.nodes[-1].told == (
        "conv1",
        "AvgPool2D, Tanh, Convolution",
        "conv1.weight (6, 1, 5, 5)",
        "conv1.bias (6,)",
    )


def test_an_operation_belongs_to_the_module_whose_result_it_takes_last() -> None:
    nodes = [
        ("AddBackward0", OPERATION, "", ""),
        ("MulBackward0", OPERATION, "", ""),
        ("AccumulateGrad", PARAMETER, "late.scale", ""),
        ("ExpBackward0", OPERATION, "", ""),
        ("AccumulateGrad", INPUT, "", ""),
        ("SinBackward0", OPERATION, "", ""),
    ]
    table = graph_table(nodes, [(0, 1), (0, 3), (1, 2), (1, 3), (3, 4), (0, 5)])
    table["sequence_numbers"] = np.array([9, 8, -1, 3, -1, 4])
    assert modules_of(table) == ["late", "late", "late", OUTSIDE, OUTSIDE, OUTSIDE]
    data = autograd_graph_data(table, graph_meta(table), folded=True)
    assert [node.label for node in data.nodes] == ["late", OUTSIDE]
    assert data.edges == ((0, 1),)


def test_a_residual_block_keeps_its_modules_apart() -> None:
    nodes = [
        ("AddmmBackward0", OPERATION, "", ""),
        ("TBackward0", OPERATION, "", ""),
        ("AccumulateGrad", PARAMETER, "head.weight", ""),
        ("ReluBackward0", OPERATION, "", ""),
        ("AddBackward0", OPERATION, "", ""),
        ("NativeBatchNormBackward0", OPERATION, "", ""),
        ("AccumulateGrad", PARAMETER, "block.norm.weight", ""),
        ("ConvolutionBackward0", OPERATION, "", ""),
        ("AccumulateGrad", PARAMETER, "block.conv.weight", ""),
        ("ConvolutionBackward0", OPERATION, "", ""),  # the first one takes nothing but its weight: its input is data
        ("AccumulateGrad", PARAMETER, "stem.weight", ""),
        ("MulBackward0", OPERATION, "", ""),
        ("AccumulateGrad", PARAMETER, "scale", ""),
    ]
    edges = [
        (0, 3),
        (0, 1),
        (1, 2),
        (3, 4),
        (4, 5),
        (4, 11),
        (5, 7),
        (5, 6),
        (7, 11),
        (7, 8),
        (11, 9),
        (11, 12),
        (9, 10),
    ]
    table = graph_table(nodes, edges)
    data = autograd_graph_data(table, graph_meta(table), folded=True)
    assert [node.label for node in data.nodes] == ["head", "block.norm", "block.conv", "stem", MODEL]
    assert set(data.edges) == {(0, 1), (1, 2), (1, 4), (2, 4), (4, 3)}


@pytest.mark.parametrize(("module", "said"), [("in.", "in"), ("", MODEL)])
def test_what_makes_a_weight_from_others_is_a_part_of_its_module(module: str, said: str) -> None:
    nodes = [
        ("AddmmBackward0", OPERATION, "", ""),
        ("WeightNormBackward0", OPERATION, "", ""),
        ("AccumulateGrad", PARAMETER, f"{module}parametrizations.weight.original0", ""),
        ("AccumulateGrad", PARAMETER, f"{module}parametrizations.weight.original1", ""),
        ("SinBackward0", OPERATION, "", ""),
        ("AccumulateGrad", PARAMETER, "other.w", ""),
    ]
    table = graph_table(nodes, [(0, 4), (0, 1), (1, 2), (1, 3), (4, 5)])
    assert modules_of(table) == [said] * 4 + ["other"] * 2


def chain(blocks: int, layers: int) -> Arrays:
    """A chain of operations with a parameter each, in `blocks` blocks of `layers` modules."""
    nodes: list[tuple[str, int, str, str]] = []
    edges: list[tuple[int, int]] = []
    for block in reversed(range(blocks)):
        for layer in reversed(range(layers)):
            place = len(nodes)
            nodes += [("MulBackward0", OPERATION, "", ""), ("AccumulateGrad", PARAMETER, f"b{block}.l{layer}.w", "")]
            edges.append((place, place + 1))
            if place:
                edges.append((place - 2, place))
    return graph_table(nodes, edges)


@pytest.mark.parametrize(
    ("most", "drawn", "folded"), [(40, 40, False), (39, 20, True), (20, 20, True), (19, 4, True), (3, 0, False)]
)
def test_a_graph_is_folded_only_as_far_as_it_must_be(most: int, drawn: int, folded: bool) -> None:
    table = chain(4, 5)
    data = autograd_graph_data(table, graph_meta(table), most=most)
    assert (len(data.nodes), data.folded) == (drawn, folded)
    assert (data.reason == "too large to draw (40 nodes)") is (drawn == 0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reason": "no result needs a gradient"}, "no result needs a gradient"),
        ({"too_large": True, "nodes": 4321}, "too large to draw (4,321 nodes)"),
        (
            {"too_large": True, "nodes": 20_001, "counted_to_the_end": False},
            "too large to draw (more than 20,001 nodes)",
        ),
        ({}, "the stored graph holds no nodes"),
    ],
)
def test_a_graph_that_is_not_there_says_why(changed: dict[str, object], said: str) -> None:
    table = graph_table([], [])
    data = autograd_graph_data(table, graph_meta(table, **changed))
    assert data.reason == said
    assert said.split("(")[0].split()[0] in autograd_graph_figure(data).layout.annotations[0].text


def test_kinds_are_counted_and_their_shares_add_up() -> None:
    table = lenet_graph()
    names, what, shares, counts = (field.values for field in kinds_listing(table, most=100).fields)
    assert dict(zip(names, counts, strict=True))["AccumulateGrad"] == 10
    assert sum(counts) == len(table["names"])
    assert sum(shares) == pytest.approx(100)
    assert dict(zip(names, what, strict=True))["SiLU"] == "custom Function"
    assert kinds_listing(table, most=2).left_out == len(names) - 2


def test_names_of_strangers_are_shown_and_never_obeyed() -> None:
    nodes = [(HOSTILE, FUNCTION, "", HOSTILE), ("AccumulateGrad", PARAMETER, f"{HOSTILE}.w", "")]
    table = graph_table(nodes, [(0, 1)])
    for folded in (False, True):
        figure = autograd_graph_figure(autograd_graph_data(table, graph_meta(table), folded=folded))
        said = [box.text for box in figure.layout.annotations] + list(figure.data[1].hovertext)
        assert not [text for text in said if "<img" in text]
        assert figure.data[1].hovertemplate is None


@pytest.mark.parametrize(
    ("name", "short"),
    [("ConvolutionBackward0", "Convolution"), ("AddBackward12", "Add"), ("SiLU", "SiLU"), ("Backward0", "Backward0")],
)
def test_operations_are_called_by_what_they_do(name: str, short: str) -> None:
    assert short_name(name) == short
