"""Smoothing that adds nothing: a debiased moving average that knows how far apart its points are."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from torchglass.store.records import Floats

MAX_SMOOTHING = 0.99  # beyond it the line says more about its first points than about the run


class Smoothing(NamedTuple):
    """A smoothed line (n,) and what it takes to go on with it when points arrive after its last one.

    The next finite point, k typical distances after `last_x`, keeps smoothing**k of `weight` and of the `mean`.
    """

    line: Floats
    mean: float
    weight: float
    last_x: float
    typical: float


def smoothed(x: Floats, values: Floats, smoothing: float) -> Floats:
    """Exponential moving average (n,) of values (n,) at ascending x (n,), with `smoothing` in [0, 1) kept per step.

    Debiased as in Adam (Kingma and Ba, 2015): the first value is not pulled towards zero. A point that lies k typical
    distances after the one before keeps smoothing**k of the past, so thinning a line does not bend it. What is not
    finite leaves a gap and is not remembered; a constant line stays exactly as it is.
    """
    return smoothing_of(x, values, smoothing).line


def smoothing_of(x: Floats, values: Floats, smoothing: float) -> Smoothing:
    """What `smoothed` gives, with the state after the last point; without a finite value, mean and weight are zero."""
    line = np.full(len(values), np.nan)
    finite = np.flatnonzero(np.isfinite(values))
    if not finite.size:
        return Smoothing(line, 0.0, 0.0, 0.0, 1.0)
    known = values[finite]
    distances = np.diff(x[finite])
    typical = float(np.median(distances)) if distances.size else 1.0
    keep = np.power(min(smoothing, MAX_SMOOTHING), np.append(1.0, distances / (typical or 1.0)))
    sums, weights = _accumulated(keep, np.stack([known, np.ones(len(known))]))
    # A mean lies within the values so far; rounding would take that of a constant line off it.
    line[finite] = np.clip(sums / weights, np.minimum.accumulate(known), np.maximum.accumulate(known))
    last = finite[-1]
    return Smoothing(line, float(line[last]), float(weights[-1]), float(x[last]), typical or 1.0)


def _accumulated(keep: Floats, values: Floats) -> Floats:
    """Sums (m, n) with sums[:, i] = keep[i] * sums[:, i - 1] + (1 - keep[i]) * values[:, i].

    All blocks of about the square root of n points are summed at once, each from zero; then each block adds what is
    left of the sum before it.
    """
    count = len(keep)
    size = math.isqrt(count - 1) + 1
    blocks = -(-count // size)
    padding = (0, blocks * size - count)
    kept = np.pad(keep, padding, constant_values=1.0).reshape(blocks, size).T.copy()
    added = np.pad((1 - keep) * values, ((0, 0), padding))
    sums = added.reshape(len(values), blocks, size).transpose(2, 0, 1).copy()
    for place in range(1, size):
        sums[place] += kept[place] * sums[place - 1]
        kept[place] *= kept[place - 1]
    before = np.zeros_like(sums[0])
    for block in range(1, blocks):
        before[:, block] = sums[-1, :, block - 1] + kept[-1, block - 1] * before[:, block - 1]
    sums += kept[:, None, :] * before
    return np.asarray(sums.transpose(1, 2, 0).reshape(len(values), blocks * size)[:, :count])
