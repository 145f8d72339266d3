"""Compare two maps by the order in which they value the parts, whatever their scales."""

import numpy as np
import numpy.typing as npt

from torchglass.explainers.explanation import FloatArray


def rank_correlation(one: FloatArray, other: FloatArray) -> float:
    """Give Spearman's correlation of two maps (P,), equal values sharing their mean rank; NaN where one is constant."""
    first, second = (_centred_ranks(each) for each in (one, other))
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size > 0 else float("nan")


def _centred_ranks(values: FloatArray) -> npt.NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place.reshape(-1)]
    centred: npt.NDArray[np.float64] = ranks - ranks.mean()
    return centred
