"""Rewrite a private copy so that every non-linearity is a module of its own, which is what DeepLIFT's rule can see."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from torchglass.explainers.checks import first_line
from torchglass.explainers.scored_model import ScoredModel, scores

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
AGREEMENT = 1e-5
"""Largest difference of outputs, relative to their size, that a rewritten network may show."""


def canonical(model: ScoredModel, probe: Tensor) -> tuple[ScoredModel, str | None]:
    """Return a rewritten twin of a model and None, or a plain twin and the reason why it was not rewritten.

    Functional activations and poolings become modules, a module called twice is split (weights stay shared), and
    in-place arithmetic is taken out of place. The twin is traced by torch.fx, so data-dependent Python is out of reach;
    its scores of the probe pictures (P, C, H, W) must agree with the model's.
    """
    network = copy.deepcopy(model.network)
    try:
        graph = fx.Tracer().trace(network)
        _rewrite(network, graph)
        twin = ScoredModel(fx.GraphModule(network, graph)).eval()
        wanted, got = scores(model, probe), scores(twin, probe)
    except Exception as error:
        return _plain_twin(model), f"torch.fx cannot rewrite it: {first_line(error)}"
    if not torch.allclose(got, wanted, rtol=AGREEMENT, atol=AGREEMENT * float(wanted.abs().max())):
        return _plain_twin(model), "its rewritten form gives other scores"
    return twin, None


def _plain_twin(model: ScoredModel) -> ScoredModel:
    return ScoredModel(copy.deepcopy(model.network)).eval()


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
    graph.lint()


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
