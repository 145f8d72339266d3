"""Smoothing that adds nothing: a debiased moving average that knows how far apart its points are."""

from __future__ import annotations

import numpy as np

from torchglass.store.records import Floats

MAX_SMOOTHING = 0.99  # beyond it the line says more about its first points than about the run


def smoothed(x: Floats, values: Floats, smoothing: float) -> Floats:
    """Exponential moving average (n,) of values (n,) at ascending x (n,), with `smoothing` in [0, 1) kept per step.

    Debiased as in Adam (Kingma and Ba, 2015): the first value is not pulled towards zero. A point that lies k typical
    distances after the one before keeps smoothing**k of the past, so thinning a line does not bend it. What is not
    finite leaves a gap and is not remembered; a constant line stays exactly as it is.
    """
    average = np.full(len(values), np.nan)
    finite = np.flatnonzero(np.isfinite(values))
    distances = np.diff(x[finite])
    typical = float(np.median(distances)) if distances.size else 1.0
    keep = np.power(min(smoothing, MAX_SMOOTHING), np.append(1.0, distances / (typical or 1.0)))
    mean, weight = 0.0, 0.0
    for index, kept in zip(finite, keep, strict=True):
        weight = kept * weight + 1 - kept
        if weight > 0:
            mean += (values[index] - mean) * (1 - kept) / weight
        average[index] = mean
    return average
