"""Randomisation: whether the map changes when the model forgets what it learned."""

import numpy as np
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.evaluation.case import EXPLANATION, Case, Measured, UndefinedError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.private.private_copy import private_copy
from torchglass.explainers.rank_correlation import rank_correlation

COST = "explanations"
BETTER = "low"

STAGES = 4
"""Explanations along the way: layers are drawn anew in so many groups, from the output down."""


def measure(case: Case) -> Measured:
    """Measure the rank correlation with the map of the same model whose weights were all drawn anew.

    Layers are drawn anew from the output to the input, and `curve` (N, stages) has the correlation on the way. A map
    that stays alike shows the input and not the model. Parts that both maps give zero are left out: where no unit is
    centred, or nothing differs from the background, a method must say zero whatever the weights are.

    Source: Adebayo et al. 2018, Sanity checks for saliency maps (arXiv 1810.03292), cascading randomisation.
    """
    network = private_copy(case.model.network)
    layers = _layers_from_the_output_down(network, case.inputs[:1])
    if not layers:
        raise UndefinedError("the model has no weights")
    groups = [group.tolist() for group in np.array_split(np.arange(len(layers)), min(STAGES, len(layers)))]
    curve = np.full((len(case.inputs), len(groups)), np.nan, dtype=np.float32)
    why = "the map of the model with random weights is constant"
    for stage, group in enumerate(groups):
        for place in group:
            _draw_anew(layers[place])
        try:
            found = case.again(network, case.inputs, case.targets, len(groups) * len(case.inputs))
        except ExplainError as error:
            why = f"with random weights there is nothing to explain: {error}"
            continue
        curve[:, stage] = _correlations(case, found)
    return Measured({EXPLANATION: curve[:, -1].copy()}, why, curve=curve, parameters={"stages": len(groups)})


def _correlations(case: Case, found: FloatArray) -> list[float]:
    maps = found.sum(axis=1) if found.ndim == 4 else found
    return [_correlation(case.explanation.relevance(i).reshape(-1), maps[i].reshape(-1)) for i in range(len(maps))]


def _correlation(one: FloatArray, other: FloatArray) -> float:
    valued = (one != 0) | (other != 0)
    return rank_correlation(one[valued], other[valued]) if valued.any() else float("nan")


def _layers_from_the_output_down(network: nn.Module, inputs: Tensor) -> list[nn.Module]:
    """List the modules that hold weights of their own, the last to be called first; those never called come last."""
    called: dict[nn.Module, None] = {}

    def note(module: nn.Module, _inputs: object, _output: object) -> None:
        called.pop(module, None)
        called[module] = None

    holders = [module for module in network.modules() if module._parameters]
    handles = [module.register_forward_hook(note) for module in holders]
    try:
        with torch.no_grad():
            network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [*reversed(called), *(module for module in holders if module not in called)]


def _draw_anew(module: nn.Module) -> None:
    """Draw weights as the layer itself does when it is made; of one that cannot, shuffle what it holds."""
    draw = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    try:
        if callable(draw):
            draw()
            return
    except (AttributeError, RuntimeError, TypeError):
        pass  # such as a weight that torch.nn.utils computes from others, or a function that wants arguments
    with torch.no_grad():
        for weights in module.parameters(recurse=False):
            order = torch.randperm(weights.numel()).to(weights.device)
            weights.copy_(weights.flatten()[order].reshape(weights.shape))
