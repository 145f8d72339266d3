"""How alike two maps order their places."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def rank_correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float | None:
    """Spearman's correlation of two arrays of one shape, ties sharing their mean rank; None where one is constant."""
    ranks = [_ranks(each.ravel()) for each in (first, second)]
    centred = [each - each.mean() for each in ranks]
    lengths = [float(np.sqrt(np.square(each).sum())) for each in centred]
    return None if min(lengths, default=0.0) == 0 else float(centred[0] @ centred[1]) / (lengths[0] * lengths[1])


def _ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: npt.NDArray[np.float64] = last - (counts - 1) / 2
    return means[places.ravel()]
