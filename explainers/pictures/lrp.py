"""Layer-wise relevance propagation: the score is handed back layer by layer until the pixels hold it."""

import operator
import warnings

import captum
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule, PropagationRule
from torch import Tensor, fx, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers.checking.checks import first_line
from torchglass.explainers.gradients.maps import passes
from torchglass.explainers.private.canonical import Sum, canonical
from torchglass.explainers.private.scored_model import ScoredModel
from torchglass.explainers.problem import Attribution, Problem

RULES = ("epsilon", "gamma", "composite")

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
_WEIGHTED = (nn.Linear, *_CONVOLUTIONS)
_SHARING = (
    *(Sum, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Flatten, nn.Unflatten, nn.Identity),
    *(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.MaxPool1d, nn.MaxPool2d),
    *(nn.MaxPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool2d),
)
"""Layers whose output's relevance is shared out in proportion alone."""
FINEST = 1e-9
"""Their epsilon, captum's default: there is no noise for it to take away."""
_PASSING = (nn.ReLU, nn.Tanh, nn.Dropout)
"""Layers that hand relevance on as it is: what captum takes for activations, by exact type."""
_FUNCTIONS = {torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze, torch.cat}
_FUNCTIONS |= {operator.getitem, getattr}
_METHODS = {"flatten", "reshape", "view", "permute", "transpose", "squeeze", "unsqueeze", "contiguous", "size", "clone"}


def attribute(problem: Problem, *, rule: str = "epsilon", epsilon: float = 1e-6, gamma: float = 0.25) -> Attribution:
    """Share each layer's relevance among its inputs in proportion to what each contributed.

    epsilon: R_i = sum_j a_i w_ij / (z_j + epsilon sign z_j) R_j. gamma: the same with w + gamma max(0, w), which lets
    what speaks for a unit weigh more. Values (N, C, H, W) in score units. Relevance is conserved but for what biases
    and epsilon keep: `completeness_error` is the worst |sum - f(x)| in score units, `completeness_error_relative` as a
    share of f(x). The rules hold module by module, so they run on a rewritten copy (see canonical.py) in which batch
    norm is part of the convolution before it.

    Args:
        rule: "epsilon" or "gamma" for all layers with weights, or "composite": gamma for convolutions, epsilon for
            linear layers. Gamma suits convolutions between ReLUs; where an output is read with its sign, as the last
            of a residual block is, its denominators come near zero and relevance runs off, which the check shows.
        epsilon: what is added to each denominator of a layer with weights, in units of its output.
        gamma: how much more positive weights count.

    Raises:
        ExplainError: a layer or function of the model has no rule, or the model cannot be rewritten.
        OptionError: an option has a value that it cannot take.

    Source: Bach et al. 2015 (PLoS ONE 10), Montavon et al. 2019 (LRP: an overview), through captum's LRP.
    """
    if rule not in RULES:
        raise OptionError(f"rule is {rule!r}: choose one of {', '.join(RULES)}")
    for name, value in (("epsilon", epsilon), ("gamma", gamma)):
        if not 0 < value < float("inf"):
            raise OptionError(f"{name} is {value}: give a number above 0")
    values = _propagated(problem, rule, epsilon, gamma)
    missed = (values.double().flatten(1).sum(1) - problem.outputs.double()).abs()
    return Attribution(
        values=values.float().cpu().numpy(),
        implementation=f"captum {captum.__version__} LRP",
        parameters={"rule": rule, "epsilon": epsilon} | ({} if rule == "epsilon" else {"gamma": gamma}),
        checks={
            "completeness_error": float(missed.max()),
            "completeness_error_relative": float((missed / problem.outputs.double().abs().clamp(min=1e-12)).max()),
        },
    )


def _propagated(problem: Problem, rule: str, epsilon: float, gamma: float) -> Tensor:
    twin, untraced = canonical(problem.model, problem.inputs[:1], relevance=True)
    name = type(problem.model.network).__name__
    if untraced is not None:
        raise ExplainError(f"relevance cannot be followed through {name}, {untraced}: use method 'deeplift'")
    strangers = _without_rule(twin)
    if strangers:
        raise ExplainError(f"LRP has no rule for {', '.join(strangers)} of {name}: use method 'deeplift'")
    _unshare_weights(twin)
    found = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its hooks, which the copy takes along
            for pictures, targets in passes(problem):
                # captum takes the rules off after each call.
                _attach_rules(twin, rule, epsilon, gamma)
                found.append(LRP(twin).attribute(pictures, target=targets).detach())
    except Exception as error:
        raise ExplainError(f"captum's LRP failed on {name} ({first_line(error)}): use method 'deeplift'") from error
    finally:
        problem.model.inputs_seen += twin.inputs_seen
    return torch.cat(found)


def _leaves(twin: ScoredModel) -> list[nn.Module]:
    return [module for module in twin.network.modules() if not list(module.children())]


def _without_rule(twin: ScoredModel) -> list[str]:
    """Name the kinds of layers and the functions that would hand relevance on wrongly."""
    known = (*_WEIGHTED, *_SHARING)
    layers = {
        type(module).__name__
        for module in _leaves(twin)
        if not isinstance(module, known) and type(module) not in _PASSING
    }
    assert isinstance(twin.network.graph, fx.Graph)
    functions = {
        str(getattr(node.target, "__name__", node.target))
        for node in twin.network.graph.nodes
        if (node.op == "call_function" and node.target not in _FUNCTIONS)
        or (node.op == "call_method" and node.target not in _METHODS)
    }
    return [*sorted(layers), *sorted(f"the function {function}" for function in functions)]


def _unshare_weights(twin: ScoredModel) -> None:
    """Give each layer weights of its own: captum changes them in place, and would change shared ones twice."""
    seen: set[int] = set()
    for module in twin.modules():
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) in seen:
                setattr(module, name, nn.Parameter(weight.detach().clone(), requires_grad=False))
            seen.add(id(weight))


def _attach_rules(twin: ScoredModel, rule: str, epsilon: float, gamma: float) -> None:
    for module in _leaves(twin):
        if type(module) in _PASSING:
            continue
        raises_weights = isinstance(module, _CONVOLUTIONS if rule == "composite" else _WEIGHTED) and rule != "epsilon"
        own: PropagationRule = GammaRule(gamma) if raises_weights else EpsilonRule(epsilon)
        own.STABILITY_FACTOR = epsilon if isinstance(module, _WEIGHTED) else FINEST
        module.rule = own
