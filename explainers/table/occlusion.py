"""Occlusion of columns: what the score loses when one column tells nothing."""

import numpy as np

from torchglass.explainers.perturbation.hiding import without_each, worth_of_columns
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem) -> Attribution:
    """Replace each column in turn by those of the background: f(x) - E f(x with the column of a reference row).

    Values (N, F). They need not add up: of two columns that say the same, each may be spared.

    Source: Robnik-Šikonja and Kononenko 2008, Explaining classifications for individual instances.
    """
    columns = problem.inputs.shape[1]
    values = [without_each(worth_of_columns(problem, i), columns) for i in problem.each()]
    return Attribution(
        values=np.stack(values).astype(np.float32),
        implementation="torchglass occlusion",
        parameters={"background": problem.background_name},
    )
