"""Precision and recall over evenly spaced thresholds, counted as TensorBoard counts them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LARGEST_COUNT = 127  # of thresholds; TensorBoard draws no more
_SMALLEST_COUNT = 1e-7  # keeps a division by no samples at 0

Numbers = npt.NDArray[np.float64]


def precision_recall(
    labels: npt.NDArray[np.generic],
    predictions: npt.NDArray[np.generic],
    count: int,
    weights: npt.NDArray[np.generic] | float = 1.0,
) -> dict[str, Numbers]:
    """Count at each of `count` thresholds i / (count - 1): a prediction at or above it is called positive.

    Args:
        labels, predictions: (n,) true or false, and probabilities in [0, 1]; others, NaN among them, are left out.
        weights: (n,) or one for all.
    """
    chosen = np.asarray(predictions, np.float64).ravel()
    truth = np.asarray(labels, np.float64).ravel()
    weight = np.broadcast_to(np.asarray(weights, np.float64).ravel(), truth.shape)
    inside = (chosen >= 0) & (chosen <= 1)
    buckets = np.floor(chosen[inside] * (count - 1)).astype(np.int64)
    positive = _at_or_above(buckets, truth[inside] * weight[inside], count)
    negative = _at_or_above(buckets, (1 - truth[inside]) * weight[inside], count)
    return {
        "true_positive_counts": positive,
        "false_positive_counts": negative,
        "true_negative_counts": negative[0] - negative,
        "false_negative_counts": positive[0] - positive,
        "precision": positive / np.maximum(_SMALLEST_COUNT, positive + negative),
        "recall": positive / np.maximum(_SMALLEST_COUNT, positive[0]),
    }


def _at_or_above(buckets: npt.NDArray[np.int64], weights: Numbers, count: int) -> Numbers:
    return np.bincount(buckets, weights, count)[::-1].cumsum()[::-1]
