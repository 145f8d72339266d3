"""Gradient times input: each column's share of the score if the model were as linear as it is at the row."""

import captum
import torch
from captum.attr import Saliency

from torchglass.explainers.private.scored_model import inputs_per_pass, scores
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem) -> Attribution:
    """Multiply the score's gradient at the row by the row's distance from the mean of the background.

    Values (N, F); of a linear model they are w * (x - E x), the base value f(E x). Checks: `completeness_error`, in
    score units, and `completeness_error_relative`, as a share of f(x) - f(E x), each the worst of the rows: how far the
    model is from linear between the two.

    Source: Shrikumar et al. 2016 (arXiv 1605.01713), through captum's Saliency.
    """
    mean = problem.background.mean(dim=0, keepdim=True)
    saliency, per_pass = Saliency(problem.model), inputs_per_pass(problem.inputs[0])
    slopes = [
        saliency.attribute(rows.requires_grad_(), target=targets, abs=False).detach()
        for rows, targets in zip(
            torch.split(problem.inputs.clone(), per_pass), torch.split(problem.targets, per_pass), strict=True
        )
    ]
    values = torch.cat(slopes) * (problem.inputs - mean)
    base = scores(problem.model, mean)[0, problem.targets]
    differences = problem.outputs.double() - base.double()
    missed = (values.double().sum(dim=1) - differences).abs()
    return Attribution(
        values=values.cpu().numpy(),
        implementation=f"captum {captum.__version__} Saliency",
        parameters={"baseline": f"mean of {problem.background_name}"},
        checks={
            "completeness_error": float(missed.max()),
            "completeness_error_relative": float((missed / differences.abs().clamp(min=1e-12)).max()),
        },
        base_values=base.cpu().numpy(),
    )
