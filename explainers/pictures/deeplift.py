"""DeepLIFT: each pixel's share of the difference from a reference, carried back through the network in one pass."""

import warnings
from dataclasses import dataclass

import captum
import torch
from captum.attr import DeepLift
from torch import Tensor

from torchglass.errors import ExplainError
from torchglass.explainers.checking.checks import first_line
from torchglass.explainers.gradients.integration import FINEST, IMPLEMENTATION, Integral, integrate
from torchglass.explainers.gradients.maps import passes
from torchglass.explainers.private.canonical import canonical
from torchglass.explainers.private.scored_model import inputs_per_pass, scores
from torchglass.explainers.problem import Attribution, Problem

TOLERANCE = 0.05
"""Miss of the sum, as a share of the difference to share, above which DeepLIFT's values are not given out."""
STEPS = 256
"""Most points on a path of the integrated gradients that stand in."""


def attribute(problem: Problem, *, fallback: bool = True) -> Attribution:
    """Share f(x) - f(mean of the background) among the pixels by the rescale rule.

    Values (N, C, H, W), base value f(mean of the background). The rule holds module by module, so it runs on a
    rewritten copy, which also parts activations that follow each other (see canonical.py), where captum's sums
    would be off. Still it does not always add up: poolings that overlap lose shares, and modules that captum does not
    know (GELU, layer norm) pass the plain gradient. The sum of each picture is therefore checked, and where one misses
    its difference by more than 5 % integrated gradients take the place of all; `implementation` names which and
    `parameters["fallback_reason"]` why.

    Checks: `completeness_error`, in score units, and `completeness_error_relative`, each the worst of the pictures.

    Args:
        fallback: off keeps DeepLIFT's values however wrong their sums; `parameters["doubt"]` then says so.

    Raises:
        ExplainError: captum cannot run DeepLIFT on this model, and fallback is off.

    Source: Shrikumar et al. 2017 (arXiv 1704.02685), through captum's DeepLift.
    """
    baseline = problem.background.mean(dim=0, keepdim=True)
    base = scores(problem.model, baseline)[0, problem.targets].double()
    found = _deeplift(problem, baseline, base)
    if found.values is None and not fallback:
        raise ExplainError(f"{found.doubt}: leave fallback on, or use method 'integrated_gradients'")
    parameters = {"baseline": f"mean of {problem.background_name}"}
    if found.doubt is not None:
        parameters["fallback_reason" if fallback else "doubt"] = found.doubt
    if found.values is None or (found.doubt is not None and fallback):
        name, integral = IMPLEMENTATION, _integrated(problem, baseline)
    else:
        miss = _missed(problem, found.values, base)
        name, integral = f"captum {captum.__version__} DeepLift", Integral(found.values, base, miss, 1)
    return Attribution(
        values=integral.values.cpu().numpy(),
        implementation=name,
        parameters={**parameters, "fallback": fallback},
        checks=integral.checks(problem.outputs),
        base_values=integral.base.float().cpu().numpy(),
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """DeepLIFT's values, None where it cannot run, and why they are not to be trusted, None where they add up."""

    values: Tensor | None
    doubt: str | None


def _deeplift(problem: Problem, baseline: Tensor, base: Tensor) -> _Found:
    twin, untraced = canonical(problem.model, problem.inputs[:1])
    method = DeepLift(twin)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its hooks, which the copy takes along
            values = torch.cat(
                [
                    method.attribute(pictures, baseline.expand_as(pictures), target=targets).detach()
                    for pictures, targets in passes(problem)
                ]
            )
    except Exception as error:
        return _Found(None, f"captum's DeepLift failed ({first_line(error)})")
    finally:
        problem.model.inputs_seen += twin.inputs_seen
    if not bool(torch.isfinite(values).all()):
        return _Found(None, "DeepLift gave NaN or infinity")
    miss = _missed(problem, values, base)
    difference = (problem.outputs.double() - base).abs()
    allowed = torch.maximum(TOLERANCE * difference, FINEST * (problem.outputs.double().abs() + base.abs()))
    if bool((miss <= allowed).all()):
        return _Found(values, None)
    worst = int((miss / allowed.clamp(min=1e-30)).argmax())
    why = f" ({untraced})" if untraced is not None else ""
    return _Found(values, f"DeepLift's sum misses {float(difference[worst]):.4g} by {float(miss[worst]):.2g}{why}")


def _missed(problem: Problem, values: Tensor, base: Tensor) -> Tensor:
    return (values.double().flatten(1).sum(1) - (problem.outputs.double() - base)).abs()


def _integrated(problem: Problem, baseline: Tensor) -> Integral:
    return integrate(
        problem.model,
        baseline.expand_as(problem.inputs),
        problem.inputs,
        problem.targets,
        beside=None,
        steps=STEPS,
        per_pass=inputs_per_pass(problem.inputs[0]),
    )
