"""Rewrite a private copy so that every non-linearity is a module, which is all that rules for modules can see."""

import copy
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from torchglass.explainers.checking.checks import first_line
from torchglass.explainers.private.private_copy import graphs_cut
from torchglass.explainers.private.scored_model import ScoredModel, scores

_FUNCTIONS: dict[Any, type[nn.Module]] = {
    F.relu: nn.ReLU,
    F.relu_: nn.ReLU,
    torch.relu: nn.ReLU,
    torch.relu_: nn.ReLU,
    F.leaky_relu: nn.LeakyReLU,
    F.elu: nn.ELU,
    F.selu: nn.SELU,
    F.gelu: nn.GELU,
    F.softplus: nn.Softplus,
    F.tanh: nn.Tanh,
    torch.tanh: nn.Tanh,
    F.sigmoid: nn.Sigmoid,
    torch.sigmoid: nn.Sigmoid,
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
}
_METHODS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    "tanh": nn.Tanh,
    "tanh_": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "sigmoid_": nn.Sigmoid,
}
# Only the methods: `x += y` is traced as `x + y`.
_OUT_OF_PLACE = {"add_": "add", "sub_": "sub", "mul_": "mul", "div_": "div"}
_NONLINEAR = (*dict.fromkeys((*_FUNCTIONS.values(), nn.MaxPool1d, nn.MaxPool3d, nn.Softmax)),)
_SUMS = {operator.add, operator.iadd, torch.add}
_POOLINGS: dict[Any, type[nn.Module]] = {
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}
AGREEMENT = 1e-5
"""Largest difference of outputs, relative to their size, that a rewritten network may show."""


class Sum(nn.Module):
    """Add two tensors, as a module."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Add them."""
        return first + second


def canonical(model: ScoredModel, probe: Tensor, *, relevance: bool = False) -> tuple[ScoredModel, str | None]:
    """Return a rewritten twin of a model and None, or a plain twin and the reason why it was not rewritten.

    Functional activations and poolings become modules, a module called twice is split (weights stay shared), neighbours
    are parted by a copy, and in-place arithmetic is taken out of place. The twin is traced by torch.fx, so
    data-dependent Python is out of reach; its scores of the probe pictures (P, C, H, W) must agree with the model's.

    With `relevance`, what shares relevance out becomes modules too: sums of two tensors, mean poolings and means of
    maps; and batch norm goes into the convolution before it, as alone it would divide relevance by outputs near zero.
    """
    network = _copied(model.network)
    try:
        tracer = fx.Tracer()
        graph = tracer.trace(network)
        # Tracer and twin are in circles of references: what they hold would stay until somebody collects garbage.
        tracer.root, tracer.tensor_attrs = nn.Module(), {}
        _rewrite(network, graph)
        if relevance:
            _rewrite_sharing(network, graph)
        rewritten = fx.GraphModule(network, graph)
        rewritten.graph.owning_module = None
        twin = ScoredModel(rewritten).eval()
        wanted, got = scores(model, probe), scores(twin, probe)
    except Exception as error:
        return _plain_twin(model), f"torch.fx cannot rewrite it: {first_line(error)}"
    if not torch.allclose(got, wanted, rtol=AGREEMENT, atol=AGREEMENT * float(wanted.abs().max())):
        return _plain_twin(model), "its rewritten form gives other scores"
    return twin, None


def _plain_twin(model: ScoredModel) -> ScoredModel:
    return ScoredModel(_copied(model.network)).eval()


def _copied(network: nn.Module) -> nn.Module:
    # A network that has run keeps what it computed, and autograd's results cannot be copied with their graphs.
    return copy.deepcopy(network, graphs_cut(network))


def _rewrite(root: nn.Module, graph: fx.Graph) -> None:
    called: set[str] = set()
    for node in list(graph.nodes):
        if node.op == "call_module":
            if node.target in called:
                _split(root, node)
            called.add(node.target)
        elif node.op == "call_method" and node.target in _OUT_OF_PLACE:
            node.target = _OUT_OF_PLACE[node.target]
        elif node.op == "call_function" and node.target in _FUNCTIONS:
            _give_module(root, node, _FUNCTIONS[node.target])
        elif node.op == "call_method" and node.target in _METHODS:
            _give_module(root, node, _METHODS[node.target])
    for node in list(graph.nodes):
        _part(root, graph, node)
    graph.lint()


def _part(root: nn.Module, graph: fx.Graph, node: fx.Node) -> None:
    """Put a copy between a non-linearity and the one before: captum's backward hooks on one tensor mix the two up."""
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or {node.op, before.op} != {"call_module"}:
        return
    if all(isinstance(root.get_submodule(str(each.target)), _NONLINEAR) for each in (node, before)):
        with graph.inserting_after(before):
            node.replace_input_with(before, graph.call_method("clone", (before,)))


def _rewrite_sharing(root: nn.Module, graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "call_module":
            _fuse(root, graph, node)
        elif _is_sum(node):
            node.op, node.target, node.args, node.kwargs = "call_module", _added(root, node, Sum()), node.args, {}
        elif node.op == "call_function" and node.target in _POOLINGS:
            _give_module(root, node, _POOLINGS[node.target])
        elif _is_mean_of_maps(node):
            keeps = node.kwargs.get("keepdim", node.args[2] if len(node.args) > 2 else False)
            pooling = nn.AdaptiveAvgPool2d(1) if keeps else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            node.op, node.target, node.args = "call_module", _added(root, node, pooling), (node.args[0],)
            node.kwargs = {}
    graph.lint()


def _is_sum(node: fx.Node) -> bool:
    called = (node.op == "call_function" and node.target in _SUMS) or (
        node.op == "call_method" and node.target in ("add", "add_")
    )
    return called and len(node.args) == 2 and not node.kwargs and all(isinstance(arg, fx.Node) for arg in node.args)


def _is_mean_of_maps(node: fx.Node) -> bool:
    called = (node.op == "call_method" and node.target == "mean") or node.target is torch.mean
    axes = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    # Positive axes 2 and 3 exist in (N, C, h, w) alone; of other ranks the twin would differ.
    return called and isinstance(axes, list | tuple) and sorted(axes) == [2, 3]


def _fuse(root: nn.Module, graph: fx.Graph, node: fx.Node) -> None:
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
        return
    norm, convolution = root.get_submodule(str(node.target)), root.get_submodule(str(before.target))
    if isinstance(norm, nn.BatchNorm2d) and type(convolution) is nn.Conv2d and norm.running_mean is not None:
        before.target = _added(root, before, fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(before)
        graph.erase_node(node)


def _split(root: nn.Module, node: fx.Node) -> None:
    module = root.get_submodule(str(node.target))
    # Weights by reference: copying them would double the memory and explains nothing.
    weights = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    node.target = _added(root, node, copy.deepcopy(module, dict(weights)))


def _give_module(root: nn.Module, node: fx.Node, kind: type[nn.Module]) -> None:
    settings = {key: value for key, value in node.kwargs.items() if key not in ("input", "inplace")}
    module = kind(*node.args[1:], **settings)
    if "inplace" in module.__dict__:
        module.__dict__["inplace"] = False
    picture = node.args[0] if node.args else node.kwargs["input"]
    node.op, node.target, node.args, node.kwargs = "call_module", _added(root, node, module), (picture,), {}


def _added(root: nn.Module, node: fx.Node, module: nn.Module) -> str:
    name = f"torchglass_{node.name}"
    root.add_module(name, module)
    return name
