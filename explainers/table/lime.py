"""LIME of rows: a linear model of the score around one row, whose features are "this column lies in its quartile"."""

import numpy as np
import numpy.typing as npt
import torch
from lime.lime_tabular import LimeTabularExplainer

from torchglass.errors import ExplainError
from torchglass.explainers.perturbation.surrogate import Surrogate, as_attribution, check_samples
from torchglass.explainers.private.scored_model import scores
from torchglass.explainers.problem import Attribution, Problem

FEWEST_ROWS = 8
"""Two in each quartile: the background says which values a column takes, and how often."""


def attribute(problem: Problem, *, samples: int = 5000) -> Attribution:
    """Give each column its weight in a ridge regression of the score on which columns keep to the row's quartiles.

    A sample draws a quartile for each column by its frequency in the background, and a value within it. Values (N, F):
    what the score gains where the column lies in the quartile that the row lies in; base value the intercept. Checks:
    see surrogate.as_attribution.

    Args:
        samples: drawn rows per row; lime's own default.

    Raises:
        ExplainError: the background has too few rows for quartiles.
        OptionError: samples are too few.

    Source: Ribeiro et al. 2016 (arXiv 1602.04938), through lime's LimeTabularExplainer.
    """
    rows, columns = problem.background.shape
    if rows < FEWEST_ROWS:
        raise ExplainError(f"method 'lime' has {rows} background rows: give {FEWEST_ROWS} or more of the training set")
    check_samples(samples, columns)
    found = [_surrogate(problem, i, samples) for i in problem.each()]
    parameters = {"samples": samples, "background": problem.background_name}
    return as_attribution(found, problem.outputs, "LimeTabularExplainer", parameters)


def _surrogate(problem: Problem, i: int, samples: int) -> Surrogate:
    device, target = problem.inputs.device, int(problem.targets[i])

    def score(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        batch = torch.as_tensor(rows, dtype=torch.float32, device=device)
        column: npt.NDArray[np.float64] = scores(problem.model, batch)[:, target].double().cpu().numpy()
        return column

    # One generator per row: its explanation does not depend on its neighbours in the batch.
    explainer = LimeTabularExplainer(
        problem.background.double().cpu().numpy(),
        mode="regression",
        feature_selection="none",
        random_state=np.random.RandomState(problem.seed % 2**32),
    )
    row = problem.inputs[i].double().cpu().numpy()
    found = explainer.explain_instance(row, score, num_features=len(row), num_samples=samples)
    values = np.zeros(len(row), dtype=np.float32)
    for column, weight in found.local_exp[1]:
        values[column] = weight
    return Surrogate(values, float(found.intercept[1]), float(found.score), float(found.local_pred[0]))
