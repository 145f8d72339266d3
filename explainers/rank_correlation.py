"""Compare two maps by the order in which they value the parts, whatever their scales."""

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def rank_correlation(one: Values, other: Values) -> float:
    """Give Spearman's correlation of two maps (P,), equal values sharing their mean rank; NaN where one is constant."""
    first, second = (_centred_ranks(each) for each in (one, other))
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size > 0 else float("nan")


def _centred_ranks(values: Values) -> npt.NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place.reshape(-1)]
    centred: npt.NDArray[np.float64] = ranks - ranks.mean()
    return centred
