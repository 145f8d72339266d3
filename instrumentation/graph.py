"""The autograd graph behind a model's result and the layers that made it, read once at the first training forward.

Only names, shapes and numbers leave this file: whoever held a node would hold every tensor saved for the backward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.autograd.function import BackwardCFunction

from torchglass.instrumentation.outputs import tensors_with_gradient
from torchglass.store import ArtifactBlock

KIND = "graph"
AUTOGRAD, LAYERS = "autograd", "layers"
MAX_NODES = 2_000  # of a graph that is kept; reading these costs some 10 ms, once
MAX_COUNTED = 20_000  # nodes of a larger graph are counted so far, which costs some 30 ms
MAX_LAYERS = 5_000
MAX_UNREACHED = 100  # parameters that are named as having no part in the result
NODE_KINDS = ("operation", "parameter", "input", "function")
OPERATION, PARAMETER, INPUT, FUNCTION = range(4)
NOTHING_TO_READ = "no result of the model needs a gradient, so no graph is behind it"

Arrays = dict[str, npt.NDArray[Any]]


class Node(NamedTuple):
    """A node in plain text: what autograd calls it, its place in `NODE_KINDS`, its parameter's name, its result."""

    name: str
    kind: int
    label: str
    shape: str
    sequence_number: int  # operators are numbered in the order of the forward pass; -1 for a leaf


class Graph(NamedTuple):
    """Nodes, breadth first from the results; edges as pairs of places, from what is nearer to the result to its inputs.

    `outputs` are the places of the results' own nodes, in order. Of a graph that is too large `counted` alone is told.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]
    counted: int
    unreached: tuple[str, ...] = ()  # parameters that train and have no part in the result


class GraphReader:
    """Stores the graph of each part of a watched model that is called, and the model's layers with the first of them.

    A failure of its own is stored as the reason why there is no graph; it never disarms the rest.
    """

    def __init__(self, put: Callable[[ArtifactBlock], None], rank: int, clock: Callable[[], float]) -> None:
        self._put = put
        self._rank = rank
        self._clock = clock
        self._has_layers = False

    def read(self, step: int, model: nn.Module, part: nn.Module, output: Any) -> bool:
        """Read what is behind a result of `part`, which is the model or one of its parts; false where nothing was."""
        if self._rank != 0:
            return False  # every rank's model is the same
        name = _name_of_part(model, part)
        meta: dict[str, Any] = {"class": type(part).__name__, "part": name, "reason": None}
        arrays: Arrays = {}
        try:
            if not self._has_layers:
                self._has_layers = True
                self._store(LAYERS, step, {"class": type(model).__name__}, layer_arrays(model))
            graph = read_graph(tensors_with_gradient(output), parameter_names(part))
            arrays = graph_arrays(graph)
            meta |= {
                "nodes": graph.counted,
                "edges": len(graph.edges),
                "parameters": sum(node.kind == PARAMETER for node in graph.nodes),
                "unreached": list(graph.unreached[:MAX_UNREACHED]),
                "unreached_count": len(graph.unreached),
                "too_large": graph.counted > MAX_NODES,
                "counted_to_the_end": graph.counted <= MAX_COUNTED,
                "reason": None if graph.counted else NOTHING_TO_READ,
            }
        except Exception as error:  # the loop and all other records go on
            meta["reason"] = f"{type(error).__name__}: {error}"
        self._store(AUTOGRAD, step, meta, arrays)
        return True

    def _store(self, key: str, step: int, meta: Mapping[str, Any], arrays: Arrays) -> None:
        self._put(ArtifactBlock(KIND, key, step, self._clock(), meta, arrays))


def read_graph(results: Sequence[torch.Tensor], names: Mapping[int, str]) -> Graph:
    """Walk from results to everything that they were computed from.

    Args:
        results: tensors that need a gradient; one that is a leaf itself has no graph.
        names: names of parameters by `id`.
    """
    entries = [result.grad_fn for result in results if result.grad_fn is not None]
    places: dict[Any, int] = {node: place for place, node in enumerate(dict.fromkeys(entries))}
    waiting = list(places)  # in the order of their places; grows while it is walked
    edges: list[tuple[int, int]] = []
    for node in waiting:
        above = places[node]
        for below, _ in node.next_functions:
            if below is None:
                continue
            place = places.get(below)
            if place is None:
                place = places[below] = len(waiting)
                waiting.append(below)
            edges.append((above, place))
        if len(waiting) > MAX_COUNTED:
            break
    if len(waiting) > MAX_NODES:
        return Graph((), (), (), len(waiting))
    nodes = tuple(_describe(node, names) for node in waiting)
    reached = {id(variable) for node in waiting if (variable := getattr(node, "variable", None)) is not None}
    return Graph(
        nodes=nodes,
        edges=tuple(edges),
        outputs=tuple(places[entry] for entry in entries),
        counted=len(waiting),
        unreached=tuple(name for key, name in names.items() if key not in reached) if _shows_all(nodes) else (),
    )


def graph_arrays(graph: Graph) -> Arrays:
    """Nodes as columns (n,), edges as `parents` and `children` (m,), `outputs` (k,)."""
    names, kinds, labels, shapes, numbers = zip(*graph.nodes, strict=True) if graph.nodes else ((),) * 5
    edges = np.array(graph.edges, np.int64).reshape(-1, 2)
    return {
        "names": np.array(names, np.str_),
        "kinds": np.array(kinds, np.uint8),
        "labels": np.array(labels, np.str_),
        "shapes": np.array(shapes, np.str_),
        "sequence_numbers": np.array(numbers, np.int64),
        "parents": edges[:, 0].copy(),
        "children": edges[:, 1].copy(),
        "outputs": np.array(graph.outputs, np.int64),
    }


def layer_arrays(model: nn.Module) -> Arrays:
    """Modules as columns (n,): path, class, own parameters and those within, how many of them train, and buffers.

    A parameter that several modules share counts once, where it is met first; one of a lazy module counts nothing yet.
    """
    rows: list[tuple[str, str, int, int, int]] = []
    seen: set[int] = set()
    for name, module in model.named_modules():
        if len(rows) == MAX_LAYERS:
            break
        own = [each for each in module.parameters(recurse=False) if id(each) not in seen]
        own = [each for each in own if not nn.parameter.is_lazy(each)]
        seen.update(map(id, own))
        if _is_wrapper(module):
            continue
        trains = sum(each.numel() for each in own if each.requires_grad)
        buffers = sum(each.numel() for each in module.buffers(recurse=False) if not nn.parameter.is_lazy(each))
        rows.append((plain_name(name), type(module).__name__, sum(each.numel() for each in own), trains, buffers))
    names, types, counts, training, held = zip(*rows, strict=True) if rows else ((),) * 5
    return {
        "names": np.array(names, np.str_),
        "types": np.array(types, np.str_),
        "parameters": np.array(counts, np.int64),
        "trainable": np.array(training, np.int64),
        "buffers": np.array(held, np.int64),
    }


def parameter_names(model: nn.Module) -> dict[int, str]:
    """Names of the parameters that train, by `id`; a shared one has the name under which it is met first."""
    return {id(each): plain_name(name) for name, each in model.named_parameters() if each.requires_grad}


def plain_name(name: str) -> str:
    """The name of a module or parameter as it would be without torch.compile or a data-parallel wrapper."""
    plain = f"{name}.".replace("_orig_mod.", "").removeprefix("module.")
    return plain.removesuffix(".")


def _shows_all(nodes: Sequence[Node]) -> bool:
    """Tell whether no parameter can hide: a reentrant checkpoint makes its part of the graph in the backward."""
    return bool(nodes) and not any(node.name == "CheckpointFunction" for node in nodes)


def _is_wrapper(module: nn.Module) -> bool:
    return type(module).__name__ in ("DistributedDataParallel", "DataParallel", "OptimizedModule")


def _name_of_part(model: nn.Module, part: nn.Module) -> str:
    return next((plain_name(name) for name, module in model.named_modules() if module is part), "")


def _describe(node: Any, names: Mapping[int, str]) -> Node:
    metadata = getattr(node, "_input_metadata", None)  # of what flows in backward: what the node returned
    shape = _shape_text(metadata[0].shape) if metadata and not metadata[0].is_nested_tensor else ""
    variable = getattr(node, "variable", None)
    if variable is not None:
        label = names.get(id(variable))
        return Node("AccumulateGrad", INPUT if label is None else PARAMETER, label or "", shape, -1)
    if isinstance(node, BackwardCFunction):
        function = getattr(type(node), "_forward_cls", type(node))
        is_of_torch = function.__module__.partition(".")[0] == "torch"
        kind = OPERATION if is_of_torch else FUNCTION
        return Node(function.__name__, kind, "", shape, node._sequence_nr())
    return Node(node.name().rpartition("::")[2], OPERATION, "", shape, node._sequence_nr())


def _shape_text(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
