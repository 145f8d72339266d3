"""Completeness error: how far the attributions are from adding up to what they promise."""

import numpy as np

from torchglass.explainers.evaluation.case import EXPLANATION, Case, Measured, UndefinedError

COST = "nothing"
BETTER = "low"


def measure(case: Case) -> Measured:
    """Measure |sum of the attributions - (output - base value)|, as a share of that difference.

    Source: the completeness axiom of Sundararajan et al. 2017 (arXiv 1703.01365).
    """
    own = case.explanation
    if "completeness_error" not in own.checks:
        raise UndefinedError(f"method {own.method!r} does not promise to add up")
    if own.base_values is None:
        raise UndefinedError(f"method {own.method!r} names no score that its values start from")
    wanted = own.outputs.astype(np.float64) - own.base_values
    missed = np.abs(own.attributions.reshape(len(wanted), -1).sum(axis=1, dtype=np.float64) - wanted)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(wanted == 0, np.nan, missed / np.abs(wanted))
    return Measured({EXPLANATION: share.astype(np.float32)}, "there is no difference to share")
