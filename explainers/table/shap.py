"""SHAP of rows: share the difference between a row's score and the background's among the columns."""

from collections.abc import Iterator

import numpy as np

from torchglass.explainers.coalitions import Shares, as_attribution, shapley_values
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.hiding import worth_of_columns
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, evaluations: int | None = None) -> Attribution:
    """Give each column its Shapley value in the game whose coalitions are the columns that are shown.

    Columns that are not shown come from each row of the background in turn, and the scores are averaged. Values (N, F)
    add up to f(x) - E f(background), the base value; of a linear model they are w * (x - E x). Up to ten columns all
    coalitions are asked, more are sampled twice, and the difference of the two is in `standard_errors`. Checks: see
    coalitions.as_attribution.

    Args:
        evaluations: coalitions to ask of a row of more than ten columns, each costing one row per row of the
            background; None for twice 2 F + 2048.

    Raises:
        OptionError: evaluations are fewer than sampling needs.

    Source: Lundberg and Lee 2017 (arXiv 1705.07874), through shap.
    """

    def each() -> Iterator[tuple[Shares, FloatArray, FloatArray]]:
        for i in range(len(problem.inputs)):
            shares = shapley_values(worth_of_columns(problem, i), problem.inputs.shape[1], evaluations)
            yield shares, shares.values.astype(np.float32), shares.errors.astype(np.float32)

    return as_attribution(each(), {"evaluations": evaluations, "background": problem.background_name})
