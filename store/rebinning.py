"""Counts in any buckets <-> counts in the store's fixed bins.

What is exact: the number of values, and each count whose bucket lies within one bin. What is not: where a bucket spans
several bins, its values are taken to lie evenly in it, which is how TensorBoard draws them too. Zeros cannot be told
from their neighbours in a log: a bucket that touches zero and reaches no further than 1e-12, the innermost of
TensorFlow's default buckets, is counted as zeros.
"""

from __future__ import annotations

import math

import numpy as np

from torchglass.store import Histogram
from torchglass.store.bins import BIN_COUNT, MAX_FLOAT32, NONFINITE_BIN, SIGN_BIN, bin_edges, number_line_order
from torchglass.store.records import Floats, Integers

ZERO_REACH = 1e-12

_ALL_BINS = np.arange(BIN_COUNT, dtype=np.int64)
_FINITE_BINS = _ALL_BINS[_ALL_BINS % SIGN_BIN < NONFINITE_BIN]
_BINS: Integers = _FINITE_BINS[np.argsort(number_line_order(_FINITE_BINS))]
_EDGES: Floats = np.append(bin_edges(_BINS)[0], MAX_FLOAT32)  # (bins + 1,), ascending


def rebin(
    lefts: Floats,
    rights: Floats,
    counts: Floats,
    *,
    step: int,
    time: float,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Histogram | None:
    """Return a histogram of buckets (m,) from `lefts` to `rights` that hold `counts`; None for no proper buckets.

    `minimum` and `maximum` are those of the values, where the log knows them; else the outermost occupied edges stand
    in. Values beyond the largest float32 are counted in the outermost bin.
    """
    if not (np.isfinite(counts) & (counts >= 0)).all():
        return None
    held = counts > 0
    lefts, rights, counts = lefts[held], rights[held], counts[held]
    if not ((lefts <= rights).all() and (rights[:-1] <= lefts[1:]).all()):
        return None
    if not counts.size:
        return _histogram(step, time, np.zeros(len(_BINS), np.int64), 0, None, None)
    lowest, highest = float(lefts[0]), float(rights[-1])
    if minimum is not None and maximum is not None and minimum <= rights[0] and maximum >= lefts[-1]:
        # The outermost buckets often reach to infinity; the values do not.
        lowest, highest = max(lowest, minimum), min(highest, maximum)
    lefts, rights = (np.clip(np.clip(edges, lowest, highest), -MAX_FLOAT32, MAX_FLOAT32) for edges in (lefts, rights))
    whole = _whole_counts(counts)
    zero = (lefts <= 0) & (rights >= 0) & (lefts >= -ZERO_REACH) & (rights <= ZERO_REACH)
    single = (lefts == rights) & ~zero
    wide = ~(single | zero)
    binned = _spread(lefts[wide], rights[wide], whole[wide])
    np.add.at(binned, _bin_of(lefts[single]), whole[single])
    return _histogram(step, time, binned, int(whole[zero].sum()), lowest, highest)


def rebin_limits(
    limits: Floats, counts: Floats, *, step: int, time: float, minimum: float, maximum: float
) -> Histogram | None:
    """Do as `rebin` does for buckets (m,) that touch, each named by its upper edge; the first begins at `minimum`.

    A minimum that is NaN, unknown, has the first bucket lie at its edge.
    """
    lefts = np.concatenate([np.fmin(minimum, limits[:1]), limits[:-1]])
    return rebin(lefts, limits, counts, step=step, time=time, minimum=minimum, maximum=maximum)


def _whole_counts(counts: Floats) -> Integers:
    """Whole numbers of the same sum, rounded: counts are broken where values were weighted. Each is less than 1 off."""
    return np.diff(np.rint(np.cumsum(counts)), prepend=0.0).astype(np.int64)


def _spread(lefts: Floats, rights: Floats, counts: Integers) -> Integers:
    """Share each bucket's count among the bins that it overlaps, by length: (bins,) whole numbers of the same sum."""
    if not counts.size:
        return np.zeros(len(_BINS), np.int64)
    reached = np.cumsum(counts)
    knots = np.column_stack((lefts, rights)).ravel()
    below = np.column_stack((reached - counts, reached)).ravel()
    # Rounding what lies below each edge, not what lies between two, is what keeps the sum.
    return np.diff(np.rint(np.interp(_EDGES, knots, below))).astype(np.int64)


def _bin_of(values: Floats) -> Integers:
    """Position in `_BINS` of each value, none of them zero; an edge belongs to the bin that lies away from zero."""
    above = np.searchsorted(_EDGES, values, side="right") - 1
    below = np.searchsorted(_EDGES, values, side="left") - 1
    return np.clip(np.where(values > 0, above, below), 0, len(_BINS) - 1)


def _histogram(
    step: int, time: float, binned: Integers, zero_count: int, minimum: float | None, maximum: float | None
) -> Histogram:
    occupied = np.flatnonzero(binned)
    bins, counts = _BINS[occupied], binned[occupied]
    order = np.argsort(bins)
    return Histogram(
        step=step,
        time=time,
        bins=bins[order],
        counts=counts[order],
        zero_count=zero_count,
        nan_count=0,
        positive_infinity_count=0,
        negative_infinity_count=0,
        minimum=_finite(minimum),
        maximum=_finite(maximum),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def buckets_of(histogram: Histogram) -> tuple[Floats, Floats]:
    """Return buckets that touch, as upper edges (m,) and counts (m,): the occupied bins, and empty ones between them.

    The first begins at the histogram's minimum. Zeros get a bucket of their own, from -1e-12 to 1e-12 unless
    other values lie in there; so `rebin` makes the same histogram of it, but for NaN and infinities.
    """
    lefts, rights = bin_edges(histogram.bins)
    near = np.minimum(np.abs(lefts), np.abs(rights))
    reach = ZERO_REACH if near.min(initial=math.inf) >= ZERO_REACH else math.ulp(0.0)
    lefts, rights = np.where(lefts == 0, reach, lefts), np.where(rights == 0, -reach, rights)
    occupied = sorted(zip(lefts.tolist(), rights.tolist(), histogram.counts.tolist(), strict=True))
    if histogram.zero_count:
        occupied = sorted([*occupied, (-reach, reach, histogram.zero_count)])
    limits: list[float] = []
    counts: list[float] = []
    for left, right, count in occupied:
        if limits and limits[-1] != left:
            limits.append(left)
            counts.append(0.0)
        limits.append(right)
        counts.append(count)
    return np.array(limits, np.float64), np.array(counts, np.float64)
