"""What the Shapley values of many rows say together: which columns count, and which change the effect of which."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchglass.errors import ExplainError
from torchglass.explainers.explanation import Explanation, FloatArray

Floats = npt.NDArray[np.float64]

FEWEST_ROWS = 10
"""Rows below which no column is said to change the effect of another: any would seem to."""
ROUNDING = 1e-6
"""Spread of a column's values, as a share of the largest of all, that is none."""


@dataclass(frozen=True, eq=False)
class Summary:
    """The values of N rows, column by column."""

    values: FloatArray
    """(N, F), in score units"""
    inputs: FloatArray
    """(N, F), as the model saw them"""
    mean_absolute: Floats
    """(F,), mean |value|: how far a column moves the score of a row"""
    order: npt.NDArray[np.int64]
    """(F,), the columns, the one that counts most first"""
    partners: npt.NDArray[np.int64]
    """(F,), the column that goes best with what a column's own value leaves unsaid about its effect; -1 for none"""


def summarize(explanation: Explanation) -> Summary:
    """Summarize an explanation of rows, of one target for all.

    Raises:
        ExplainError: the explanation is not of rows.
    """
    if explanation.kind != "table":
        raise ExplainError(f"the explanation is of {explanation.kind}: summarize one of rows (N, F)")
    values, inputs = explanation.attributions, np.asarray(explanation.inputs, dtype=np.float32)
    mean_absolute = np.abs(values.astype(np.float64)).mean(axis=0)
    partners = [_partner(column, values, inputs) for column in range(values.shape[1])]
    return Summary(
        values=values,
        inputs=inputs,
        mean_absolute=mean_absolute,
        order=np.argsort(-mean_absolute, kind="stable"),
        partners=np.array(partners, dtype=np.int64),
    )


def _partner(column: int, values: FloatArray, inputs: FloatArray) -> int:
    if len(values) < FEWEST_ROWS or np.ptp(values[:, column]) <= ROUNDING * np.abs(values).max():
        return -1
    import shap

    # Columns that never change go with nothing, and shap would divide by their spread.
    varied = [other for other in range(inputs.shape[1]) if other == column or np.ptp(inputs[:, other]) > 0]
    if len(varied) < 2:
        return -1
    ranked = shap.approximate_interactions(varied.index(column), values[:, varied], inputs[:, varied])
    best = next(int(place) for place in ranked if varied[int(place)] != column)
    return varied[best]
