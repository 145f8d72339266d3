"""The autograd graph of an attached model is stored once, as plain names and numbers, and holds what autograd holds."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ranks import succeed
from torch import nn
from torch.utils.checkpoint import checkpoint
from training import Small, batches, read, seeded, train_step

import torchglass
from torchglass.instrumentation import graph as graphs
from torchglass.instrumentation.graph import (
    FUNCTION,
    INPUT,
    MAX_NODES,
    OPERATION,
    PARAMETER,
    GraphReader,
    graph_arrays,
    layer_arrays,
    parameter_names,
    read_graph,
)
from torchglass.store import ArtifactBlock

Arrays = dict[str, npt.NDArray[Any]]


class Square(torch.autograd.Function):
    """x², with a backward of its own."""

    @staticmethod
    def forward(context: Any, inputs: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(inputs)
        return inputs * inputs

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = 2 * gradients[0] * context.saved_tensors[0]
        return result


class Branched(nn.Module):
    """A shared weight, a skip connection, a tensor times itself, a Function of its own and two results."""

    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Linear(4, 8)
        self.outward = nn.Linear(8, 8)
        self.outward.weight = nn.Parameter(torch.randn(8, 8) / 8)
        self.again = nn.Linear(8, 8, bias=False)
        self.again.weight = self.outward.weight
        self.unused = nn.Linear(2, 3)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(N, 4) -> (N, 8) and a number."""
        hidden = torch.relu(self.inward(inputs))
        squared: torch.Tensor = Square.apply(self.outward(hidden))  # type: ignore[no-untyped-call]
        result = self.again(squared) + hidden
        return result, {"energy": (hidden * hidden).sum()}


def walked(results: list[torch.Tensor], names: dict[int, str]) -> Counter[tuple[str, str]]:
    """Edges as autograd's own objects tell them, node by node and without places: the slow judge."""
    found: Counter[tuple[str, str]] = Counter()
    done: set[int] = set()
    alive = []

    def name_of(node: Any) -> str:
        if hasattr(node, "variable"):
            return f"parameter {names[id(node.variable)]}"
        return f"{type(node).__name__.removesuffix('Backward')} {node._sequence_nr()}"

    def visit(node: Any) -> None:
        if id(node) in done:
            return
        done.add(id(node))
        alive.append(node)
        for below, _ in node.next_functions:
            if below is not None:
                found[name_of(node), name_of(below)] += 1
                visit(below)

    for result in results:
        visit(result.grad_fn)
    return found


def edges_of(arrays: Arrays) -> Counter[tuple[str, str]]:
    """The same from what was stored."""
    texts = [
        f"parameter {label}" if kind == PARAMETER else f"{name} {number}"
        for name, kind, label, number in zip(
            arrays["names"], arrays["kinds"], arrays["labels"], arrays["sequence_numbers"], strict=True
        )
    ]
    pairs = zip(arrays["parents"].tolist(), arrays["children"].tolist(), strict=True)
    return Counter((texts[parent], texts[below]) for parent, below in pairs)


def stored(place: Path, key: str) -> list[tuple[Arrays, dict[str, Any]]]:
    """Artifacts of kind "graph" of one key, oldest first."""
    store, run = read(place)
    return [(store.arrays(each.id), dict(each.meta)) for each in store.artifacts(run.id, kind="graph", key=key)]


def attached(place: Path, model: nn.Module, steps: int = 3) -> None:
    """Train a few steps with torchglass attached."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with torchglass.attach(model, optimizer, store=place, devices=False, profile=None, histograms=None):
        for inputs in batches(steps):
            optimizer.zero_grad()
            first = model(inputs)
            first = first[0] if isinstance(first, tuple) else first
            first.sum().backward()
            optimizer.step()


def put_by_reader(model: nn.Module, output: torch.Tensor) -> list[ArtifactBlock]:
    """What a reader stores of one result."""
    blocks: list[ArtifactBlock] = []
    assert GraphReader(blocks.append, 0, lambda: 5.0).read(7, model, model, output)
    assert {(block.kind, block.step, block.time) for block in blocks} == {("graph", 7, 5.0)}
    return blocks


def test_nodes_and_edges_are_those_of_an_independent_walk() -> None:
    model = seeded(Branched)
    result, others = model(batches(1)[0])
    names = parameter_names(model)
    arrays = graph_arrays(read_graph([result, others["energy"]], names))
    wanted = walked([result, others["energy"]], names)
    assert edges_of(arrays) == wanted
    assert max(wanted.values()) == 2  # the tensor times itself
    assert len(set(zip(arrays["names"], arrays["labels"], arrays["sequence_numbers"], strict=True))) == len(
        arrays["names"]
    )


def test_what_was_stored_is_the_graph_of_the_first_step_and_of_no_other(tmp_path: Path) -> None:
    model = seeded(Branched)
    attached(tmp_path / "s.db", model)
    found = stored(tmp_path / "s.db", "autograd")
    assert len(found) == 1
    arrays, meta = found[0]
    result, others = model(batches(1)[0])
    again = graph_arrays(read_graph([result, others["energy"]], parameter_names(model)))
    for column in ("names", "kinds", "labels", "shapes", "parents", "children", "outputs"):
        np.testing.assert_array_equal(arrays[column], again[column])
    assert (meta["nodes"], meta["edges"], meta["parameters"]) == (len(arrays["names"]), len(arrays["parents"]), 4)
    assert (meta["class"], meta["reason"], meta["too_large"]) == ("Branched", None, False)


def test_a_function_of_ones_own_has_its_class_name_and_a_kind_of_its_own() -> None:
    model = seeded(Branched)
    nodes = read_graph([model(batches(1)[0])[0]], parameter_names(model)).nodes
    assert [node.name for node in nodes if node.kind == FUNCTION] == ["Square"]
    assert {node.name for node in nodes if node.kind == OPERATION} >= {"AddBackward0", "AddmmBackward0", "TBackward0"}


def test_parameters_are_named_with_their_shapes_and_a_shared_one_is_there_once() -> None:
    model = seeded(Branched)
    graph = read_graph([model(batches(1)[0])[0]], parameter_names(model))
    leaves = {node.label: node.shape for node in graph.nodes if node.kind == PARAMETER}
    assert leaves == {
        "inward.weight": "(8, 4)",
        "inward.bias": "(8,)",
        "outward.weight": "(8, 8)",
        "outward.bias": "(8,)",
    }
    assert sum(node.kind == PARAMETER for node in graph.nodes) == 4
    assert graph.unreached == ("unused.weight", "unused.bias")


def test_shapes_are_those_of_results_and_numbers_rise_with_the_forward_pass() -> None:
    model = seeded()
    graph = read_graph([model(batches(1)[0])], parameter_names(model))
    operations = sorted((node for node in graph.nodes if node.kind == OPERATION), key=lambda node: node.sequence_number)
    shapes = [node.shape for node in operations if not node.name.startswith("TB")]
    assert shapes == ["(3, 8)", "(3, 8)", "(3, 2)"]
    assert [node.sequence_number for node in graph.nodes if node.kind == PARAMETER] == [-1] * 4


def test_an_input_that_needs_a_gradient_is_a_leaf_without_a_name() -> None:
    model = seeded()
    graph = read_graph([model(batches(1)[0].requires_grad_())], parameter_names(model))
    assert [(node.label, node.shape) for node in graph.nodes if node.kind == INPUT] == [("", "(3, 4)")]


def test_a_result_without_gradient_leaves_a_reason(tmp_path: Path) -> None:
    class Detached(Small):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            super().forward(inputs)
            return torch.zeros((), requires_grad=False)

    model = Detached()
    with torchglass.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), store=tmp_path / "s.db", devices=False):
        model(batches(1)[0])
    arrays, meta = stored(tmp_path / "s.db", "autograd")[0]
    assert meta["reason"] == "no result of the model needs a gradient, so no graph is behind it"
    assert meta["nodes"] == 0
    assert not arrays["names"].size


class Chain(nn.Module):
    """As many operations as asked for, one after the other."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (N, 4)."""
        for _ in range(self.length):
            inputs = inputs * self.weight
        return inputs


@pytest.mark.parametrize(("length", "is_too_large"), [(MAX_NODES - 1, False), (MAX_NODES, True)])
def test_a_graph_that_is_too_large_is_stored_as_its_count(length: int, is_too_large: bool) -> None:
    model = Chain(length)
    _, (_, _, _, _, meta, arrays) = put_by_reader(model, model(batches(1)[0]))
    assert meta["nodes"] == length + 1  # with the weight
    assert meta["too_large"] is is_too_large
    assert meta["counted_to_the_end"]
    assert len(arrays["names"]) == (0 if is_too_large else length + 1)


def test_counting_a_huge_graph_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MAX_COUNTED", MAX_NODES + 100)
    graph = read_graph([Chain(MAX_NODES + 5_000)(batches(1)[0])], {})
    assert MAX_NODES + 100 < graph.counted < MAX_NODES + 200


def test_no_tensor_of_the_graph_is_kept_alive(tmp_path: Path) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []

    class Noted(Small):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden = self.act(self.first(inputs))
            kept.append(weakref.ref(hidden))
            result: torch.Tensor = Square.apply(self.second(hidden))  # type: ignore[no-untyped-call]
            kept.append(weakref.ref(result))
            return result

    model = Noted()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False) as run:
        result = model(batches(1)[0])
        del result
        assert [each() for each in kept] == [None, None]
        run.flush()
    assert stored(tmp_path / "s.db", "autograd")[0][1]["nodes"]


def test_evaluations_before_the_first_training_forward_are_not_read(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        with torch.no_grad():
            model(batches(1)[0])
        model.eval()
        model(batches(1)[0])
        model.train()
        train_step(model, optimizer, batches(1)[0])
        train_step(model, optimizer, batches(1)[0])
    found = stored(tmp_path / "s.db", "autograd")
    assert [meta["nodes"] for _, meta in found] == [9]


def test_each_part_that_a_loop_calls_has_a_graph_of_its_own(tmp_path: Path) -> None:
    model = nn.ModuleDict({"generator": Small(), "critic": nn.Linear(2, 1)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        for inputs in batches(2):
            model["critic"](model["generator"](inputs)).sum().backward()
            optimizer.step()
    found = stored(tmp_path / "s.db", "autograd")
    assert [(meta["part"], meta["nodes"]) for _, meta in found] == [("generator", 9), ("critic", 13)]
    assert len(stored(tmp_path / "s.db", "layers")) == 1


def test_a_failure_while_reading_is_the_stored_reason() -> None:
    class Secretive(Small):
        def named_parameters(self, *given: Any, **named: Any) -> Any:
            raise LookupError("nobody may know")

    model = Secretive()
    blocks = put_by_reader(model, model(batches(1)[0]))
    assert [(block.key, block.meta.get("reason")) for block in blocks][-1] == (
        "autograd",
        "LookupError: nobody may know",
    )
    assert not blocks[-1].arrays


def test_a_forward_that_is_traced_is_left_alone_and_the_next_one_read(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    alone = str(torch.jit.trace(seeded(), (batches(1)[0],)).graph)  # type: ignore[no-untyped-call]
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False) as run:
        traced = str(torch.jit.trace(model, (batches(1)[0],), check_trace=False).graph)  # type: ignore[no-untyped-call]
        run.flush()
        assert not stored(tmp_path / "s.db", "autograd")
        train_step(model, optimizer, batches(1)[0])
    assert traced.count("\n") == alone.count("\n")
    assert len(stored(tmp_path / "s.db", "autograd")) == 1


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_a_checkpoint_hides_is_not_called_unused(reentrant: bool) -> None:
    model = seeded()
    inputs = batches(1)[0].requires_grad_()
    result = model.second(checkpoint(model.first, inputs, use_reentrant=reentrant))  # type: ignore[operator]
    graph = read_graph([result], parameter_names(model))
    assert graph.unreached == ()
    assert not [node for node in graph.nodes if node.kind == FUNCTION]


@pytest.mark.parametrize("wrap", [lambda model: model, nn.DataParallel])
def test_layers_are_listed_with_types_and_own_parameters(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = seeded(Branched)
    model.unused.weight.requires_grad_(False)  # type: ignore[union-attr]
    model.register_buffer("mean", torch.zeros(5))
    layers = layer_arrays(wrap(model))
    rows = list(zip(*(layers[name].tolist() for name in layers), strict=True))
    assert rows == [
        ("", "Branched", 0, 0, 5),
        ("inward", "Linear", 40, 40, 0),
        ("outward", "Linear", 72, 72, 0),
        ("again", "Linear", 0, 0, 0),  # its weight is counted above
        ("unused", "Linear", 9, 3, 0),
    ]
    assert sum(row[2] for row in rows) == sum(each.numel() for each in model.parameters())


def test_layers_of_a_lazy_model_are_counted_once_their_shapes_are_known(tmp_path: Path) -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        model(batches(1)[0]).sum().backward()
    layers, _ = stored(tmp_path / "s.db", "layers")[0]
    assert layers["parameters"].tolist() == [0, 15, 0]


def test_of_several_ranks_the_first_stores_one_graph_with_names_free_of_the_wrapper(tmp_path: Path) -> None:
    script = """
model = DDP(Small())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with torchglass.attach(model, optimizer, **quiet):
    for _ in range(2):
        train_step(model, optimizer, torch.ones(3, 4))
dist.destroy_process_group()
"""
    succeed(script, tmp_path, 2)
    found = stored(tmp_path / "store.db", "autograd")
    assert len(found) == 1
    arrays, meta = found[0]
    assert meta["class"] == "DistributedDataParallel"
    assert sorted(label for label in arrays["labels"].tolist() if label) == sorted(
        name for name, _ in Small().named_parameters()
    )
    assert stored(tmp_path / "store.db", "layers")[0][0]["names"].tolist() == ["", "first", "act", "second"]
