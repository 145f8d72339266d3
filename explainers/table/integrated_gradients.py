"""Integrated gradients of rows: each column's share of the score, along the path from the background's mean."""

from torchglass.explainers.gradients.integration import IMPLEMENTATION, integrate
from torchglass.explainers.private.scored_model import inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, steps: int = 1024) -> Attribution:
    """Integrate the score's gradient along the straight path from the mean of the background to the input.

    Values like the inputs, which add up to f(x) - f(mean of the background), the base value. Checks:
    `completeness_error`, in score units, and `completeness_error_relative`, as a share of the difference, each the
    worst of the inputs. A model that jumps on the path, as a step function does, cannot add up and says so there.

    Args:
        steps: most points on a path; an input whose sum is right to 1e-3 with fewer takes fewer.

    Raises:
        OptionError: steps are too few.

    Source: Sundararajan et al. 2017 (arXiv 1703.01365), through captum's IntegratedGradients.
    """
    baseline = problem.background.mean(dim=0, keepdim=True)
    found = integrate(
        problem.model,
        baseline.expand_as(problem.inputs),
        problem.inputs,
        problem.targets,
        beside=None,
        steps=steps,
        per_pass=inputs_per_pass(problem.inputs[0]),
    )
    return Attribution(
        values=found.values.cpu().numpy(),
        implementation=IMPLEMENTATION,
        parameters={"steps": found.steps, "most_steps": steps, "baseline": f"mean of {problem.background_name}"},
        checks=found.checks(problem.outputs),
        base_values=found.base.float().cpu().numpy(),
    )
