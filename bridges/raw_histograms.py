"""A histogram counted elsewhere, in buckets of its own -> the store's fixed bins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from torchglass.store import Histogram
from torchglass.store.bins import MAX_FLOAT32, SHIFT

POINTS_PER_BUCKET = 64  # places over which a bucket's values are spread: finer than the bins of any usual bucket

Numbers = npt.NDArray[np.float64]


def to_store_bins(
    limits: Numbers, counts: Numbers, minimum: float, maximum: float, *, step: int, time: float
) -> Histogram:
    """Spread each bucket's values evenly over its width; the sum of the counts is kept, rounded to whole values.

    Args:
        limits: (n,) upper edge of each bucket; the first begins at `minimum`, or lies at its edge if that is unknown.
        counts: (n,) values in each.
        minimum, maximum: of the values; NaN where unknown.
    """
    known = np.isfinite(counts) & (counts > 0) & ~np.isnan(limits)
    lower = np.concatenate([np.fmin(minimum, limits[:1]), limits[:-1]])
    places, weights = [np.empty(0)], [np.empty(0)]
    for low, high, count in zip(lower[known], limits[known], counts[known], strict=True):
        near, far = _inside(low, high, minimum, maximum)
        steps = (np.arange(POINTS_PER_BUCKET) + 0.5) / POINTS_PER_BUCKET
        places.append(near + (far - near) * steps)
        weights.append(np.full(POINTS_PER_BUCKET, count / POINTS_PER_BUCKET))
    values, shares = np.concatenate(places).astype(np.float32), np.concatenate(weights)
    order = np.argsort(values, kind="stable")
    whole = np.diff(np.round(np.cumsum(shares[order])), prepend=0.0).astype(np.int64)
    values = values[order]
    zero = values == 0
    bins, index = np.unique(values[~zero].view(np.uint32) >> SHIFT, return_inverse=True)
    summed = np.zeros(len(bins), np.int64)
    np.add.at(summed, index, whole[~zero])
    return Histogram(
        step=step,
        time=time,
        bins=bins[summed > 0].astype(np.int64),
        counts=summed[summed > 0],
        zero_count=int(whole[zero].sum()),
        nan_count=0,
        positive_infinity_count=0,
        negative_infinity_count=0,
        minimum=minimum if np.isfinite(minimum) else None,
        maximum=maximum if np.isfinite(maximum) else None,
    )


def _inside(low: float, high: float, minimum: float, maximum: float) -> tuple[float, float]:
    """The bucket's edges, within the smallest and largest value and within float32."""
    near = float(np.clip(np.fmin(np.fmax(low, minimum), maximum), -MAX_FLOAT32, MAX_FLOAT32))
    far = float(np.clip(np.fmin(high, maximum), near, MAX_FLOAT32))
    return near, far
