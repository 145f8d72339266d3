"""What a median, mean or percentile of autocorrelated samples might as well have been: resampled blocks of them."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from torchglass.analysis.student import NORMAL, student
from torchglass.language import tr
from torchglass.store.records import Floats, Integers

Statistic = Literal["median", "mean", "p95"]
STATISTICS: tuple[Statistic, ...] = ("median", "mean", "p95")

RESAMPLES = 1000  # 25 of them lie beyond each end of a 95 % interval
SEED = 0
MAX_SAMPLES = 4096  # more would make the interval no narrower than the least effect that counts
STRETCH = 64  # samples kept together where there are more
RESAMPLED_AT_ONCE = 128
FEWEST_SAMPLES = 20
FEWEST_BLOCKS = 6  # of fewer independent pieces nobody can tell how far they vary


class Resampled(NamedTuple):
    """Statistics (3,) of n samples in the order of `STATISTICS`, and of each resample (RESAMPLES, 3).

    `reason` says why there are no resamples, where there are none: "has 12, and 20 are needed".
    """

    values: Floats
    replicates: Floats
    sample_count: int
    reason: str | None

    def value(self, statistic: Statistic) -> float:
        """The statistic of the samples."""
        return float(self.values[STATISTICS.index(statistic)])

    def replicated(self, statistic: Statistic) -> Floats:
        """The statistic of each resample (RESAMPLES,)."""
        return self.replicates[:, STATISTICS.index(statistic)]


def resampled(samples: Floats, seed: int = SEED) -> Resampled:
    """Resample n > 0 finite samples (n,), in the order taken, by the circular block bootstrap.

    Neighbouring steps resemble each other; drawn one by one they would look more certain than they are. Politis and
    Romano, "A circular block-resampling procedure for stationary data" (1992).
    """
    kept = samples[spread(len(samples))]
    length = block_length(kept)
    reason = _too_few(len(kept), length)
    if reason is not None:
        return Resampled(_statistics(samples), np.empty((0, len(STATISTICS))), len(samples), reason)
    generator = np.random.default_rng(seed)
    block_count = -(-len(kept) // length)
    pieces = []
    for first in range(0, RESAMPLES, RESAMPLED_AT_ONCE):
        rows = min(RESAMPLED_AT_ONCE, RESAMPLES - first)
        starts = generator.integers(0, len(kept), (rows, block_count, 1))
        drawn = ((starts + np.arange(length)) % len(kept)).reshape(rows, -1)[:, : len(kept)]
        pieces.append(_statistics(kept[drawn]))
    values = _statistics(samples)
    around = np.concatenate(pieces) - _statistics(kept)
    return Resampled(values, values + widening(block_count) * around, len(samples), None)


def spread(count: int) -> Integers:
    """Indices of at most `MAX_SAMPLES` of `count` samples, in unbroken stretches that lie evenly over all of them."""
    if count <= MAX_SAMPLES:
        return np.arange(count)
    firsts = np.linspace(0, count - STRETCH, MAX_SAMPLES // STRETCH).astype(np.int64)
    return np.asarray((firsts[:, np.newaxis] + np.arange(STRETCH)).ravel(), np.int64)


def block_length(samples: Floats) -> int:
    """How many neighbours (n,) to draw together, from how far their autocorrelation reaches.

    Politis and White, "Automatic block-length selection for the dependent bootstrap" (2004), with the correction of
    2009; of the samples' ranks, so that one very long step does not hide how the others hang together.
    """
    count = len(samples)
    if count < FEWEST_SAMPLES:
        return 1
    ranks = np.unique(samples, return_inverse=True)[1].astype(np.float64)
    centered = ranks - ranks.mean()
    patience = max(5, math.ceil(math.sqrt(math.log10(count))))
    farthest = min(math.ceil(math.sqrt(count)) + patience, count - 1)
    covariances = np.array([float(centered[lag:] @ centered[: count - lag]) / count for lag in range(farthest + 1)])
    if covariances[0] <= 0:
        return 1
    reach = _reach(covariances[1:] / covariances[0], patience, 2 * math.sqrt(math.log10(count) / count))
    window = min(2 * max(reach, 1), farthest)
    lags = np.arange(1, window + 1)
    weights = np.clip(2 * (1 - lags / window), 0, 1)
    slope = 2 * float((weights * lags * covariances[1 : window + 1]).sum())
    spectrum = float(covariances[0] + 2 * (weights * covariances[1 : window + 1]).sum())
    if spectrum <= 0:
        return 1
    length = math.cbrt(1.5 * (slope / spectrum) ** 2 * count)
    return max(1, math.ceil(min(max(length, math.cbrt(count)), 3 * math.sqrt(count), count / 3)))


def widening(block_count: int) -> float:
    """By how much resamples of so few blocks lie too close together: Student's t over the normal quantile.

    Each of m blocks also lies closer to the mean of all m than to the truth, which takes sqrt(m / (m - 1)).
    """
    return student(block_count - 1) / NORMAL * math.sqrt(block_count / (block_count - 1))


def _reach(correlations: Floats, patience: int, critical: float) -> int:
    """The lag (from 1 on) after which so many in a row are no more than chance; the last that is more if none is."""
    significant = np.abs(correlations) >= critical
    for lag in range(len(significant) - patience + 1):
        if not significant[lag : lag + patience].any():
            return lag
    return int(np.max(np.flatnonzero(significant))) + 1


def _too_few(count: int, length: int) -> str | None:
    if count < FEWEST_SAMPLES:
        return tr("has {count}, and {needed} are needed", count=count, needed=FEWEST_SAMPLES)
    if count < FEWEST_BLOCKS * length:
        return tr("has {count} that drift, so that about {length} in a row count as one", count=count, length=length)
    return None


def _statistics(samples: Floats) -> Floats:
    """The statistics (..., 3) of samples (..., n)."""
    median, p95 = np.quantile(samples, (0.5, 0.95), axis=-1)
    return np.stack([median, samples.mean(axis=-1), p95], axis=-1)
