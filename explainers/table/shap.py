"""SHAP of rows: share the difference between a row's score and the background's among the columns."""

from collections.abc import Iterator
from typing import Any, Literal, cast, get_args

import numpy as np
import shap

from torchglass.errors import OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.gradients.deep_shap import Sums, deep_shap
from torchglass.explainers.gradients.expected_gradients import IMPLEMENTATION, expected_gradients
from torchglass.explainers.perturbation import coalitions
from torchglass.explainers.perturbation.coalitions import Asked, Backend, Shares, as_attribution, shapley_values
from torchglass.explainers.perturbation.hiding import worth_of_columns
from torchglass.explainers.problem import Attribution, Problem

GRADIENT_DRAWS = 200

Algorithm = Literal["auto", "exact", "kernel", "sampling", "deep", "gradient"]


def attribute(
    problem: Problem,
    *,
    algorithm: Algorithm = "auto",
    evaluations: int | None = None,
    stop_early: bool = True,
    backend: Backend = "own",
) -> Attribution:
    """Give each column its Shapley value in the game whose coalitions are the columns that are shown.

    Columns that are not shown come from each row of the background in turn, and the scores are averaged. Values (N, F)
    add up to f(x) - E f(background), the base value; of a linear model they are w * (x - E x).

    "auto", "exact", "kernel" and "sampling" ask the model alone, whatever it is made of; see coalitions.py. "deep" is
    DeepSHAP, one backward pass per reference: it shares the same difference by the rescale rule, which gives Shapley
    values of a linear model and something near them of others. Where it cannot run or its sums miss, "auto" answers
    instead, and `parameters["fallback_reason"]` says why. "gradient" averages gradients between the row and the
    background's; it adds up in expectation only. Where something was drawn, `standard_errors` say how far off that may
    be. Checks: see coalitions.as_attribution.

    Args:
        algorithm: one of those; "auto" is exact where the evaluations reach all coalitions, else kernel.
        evaluations: coalitions to ask at most about a row, each costing one row per row of the background; None for
            twice 2 F + 2048. Of "gradient" the points that are drawn, None for 200.
        stop_early: end drawing once the values are certain enough; a budget of `explain` ends it in any case.
        backend: "library" lets captum draw the orders of "sampling" in the place of our paired ones.

    Raises:
        OptionError: an option has a value that it cannot take.

    Source: Lundberg and Lee 2017 (arXiv 1705.07874), through shap.
    """
    if algorithm not in get_args(Algorithm):
        raise OptionError(f"algorithm is {algorithm!r}: choose one of {', '.join(get_args(Algorithm))}")
    parameters: dict[str, Any] = {
        "algorithm": algorithm,
        "evaluations": evaluations,
        "background": problem.background_name,
    }
    if algorithm == "gradient":
        return _gradient(problem, GRADIENT_DRAWS if evaluations is None else evaluations, parameters)
    by = algorithm
    if algorithm == "deep":
        found = _deep(problem, parameters)
        if isinstance(found, Attribution):
            return found
        parameters["fallback_reason"], by = found, "auto"
    asked = Asked(cast(coalitions.Algorithm, by), evaluations, stop_early, backend, problem.seed, problem.pace)

    def each() -> Iterator[tuple[Shares, FloatArray, FloatArray | None]]:
        for i in problem.each():
            shares = shapley_values(worth_of_columns(problem, i), problem.inputs.shape[1], asked)
            errors = None if shares.errors is None else shares.errors.astype(np.float32)
            yield shares, shares.values.astype(np.float32), errors

    return as_attribution(each(), parameters)


def _deep(problem: Problem, parameters: dict[str, Any]) -> Attribution | str:
    """Answer by DeepSHAP, or say why it is not to be trusted."""
    sums = Sums.wanted(problem, problem.background)
    deep = deep_shap(problem, sums)
    if deep.values is None or deep.doubt is not None:
        return str(deep.doubt)
    return Attribution(
        values=deep.values,
        implementation=f"shap {shap.__version__} DeepExplainer",
        parameters=parameters,
        checks=sums.checks(deep.values),
        base_values=sums.base.astype(np.float32),
    )


def _gradient(problem: Problem, draws: int, parameters: dict[str, Any]) -> Attribution:
    sums = Sums.wanted(problem, problem.background)
    found = expected_gradients(problem, draws)
    size = max(float(np.mean(np.square(found.values))), 1e-24)
    return Attribution(
        values=found.values,
        implementation=IMPLEMENTATION,
        parameters=parameters | {"evaluations": draws},
        checks=sums.checks(found.values)
        | {"sampling_error_relative": (float(np.mean(np.square(found.errors))) / size) ** 0.5},
        base_values=sums.base.astype(np.float32),
        standard_errors=found.errors,
    )
