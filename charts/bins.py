"""Arithmetic on stored histograms: merging, rows for a heat map or an outline, percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from torchglass.store.bins import BIN_COUNT, NONFINITE_BIN, SIGN_BIN, bin_edges, number_line_order
from torchglass.store.records import Floats, Histogram, Integers

MAX_ROWS = 64
TAIL = 0.01  # so much of every step may fall into the row around zero, or log bins would never end


class Rows(NamedTuple):
    """Rows of a heat map, or steps of an outline, in number-line order.

    `edges` (r + 1,) bound the rows, `row_of_bin` (2048,) says where each store bin goes, `zero_row` holds zero or is
    the nearest to it.
    """

    edges: Floats
    row_of_bin: Integers
    zero_row: int


def merged(histograms: Sequence[Histogram]) -> Histogram:
    """One histogram of all the values, at the last one's step: stored bins never move, so counts just add."""
    if len(histograms) == 1:
        return histograms[0]
    bins = np.concatenate([histogram.bins for histogram in histograms])
    counts = np.concatenate([histogram.counts for histogram in histograms])
    unique, place = np.unique(bins, return_inverse=True)
    total = np.zeros(len(unique), np.int64)
    np.add.at(total, place, counts)
    last = histograms[-1]
    return Histogram(
        step=last.step,
        time=last.time,
        bins=unique,
        counts=total,
        zero_count=sum(histogram.zero_count for histogram in histograms),
        nan_count=sum(histogram.nan_count for histogram in histograms),
        positive_infinity_count=sum(histogram.positive_infinity_count for histogram in histograms),
        negative_infinity_count=sum(histogram.negative_infinity_count for histogram in histograms),
        minimum=min((h.minimum for h in histograms if h.minimum is not None), default=None),
        maximum=max((h.maximum for h in histograms if h.maximum is not None), default=None),
    )


def rows_of(histograms: Sequence[Histogram], max_rows: int = MAX_ROWS) -> Rows | None:
    """Rows that suit all the histograms; None when none of them holds a finite value.

    Neighbouring bins share a row until `max_rows` are enough. Values nearer to zero than 99 % of the others of their
    step share one row with zero itself.
    """
    magnitudes = [histogram for histogram in histograms if histogram.bins.size]
    if not magnitudes:
        return Rows(np.array([-0.5, 0.5]), np.zeros(BIN_COUNT, np.int64), 0) if _any_zero(histograms) else None
    bins = np.concatenate([histogram.bins for histogram in magnitudes])
    signs = [sign for sign in (1, 0) if (bins // SIGN_BIN == sign).any()]
    top = int((bins % SIGN_BIN).max()) + 1
    floor = max(1, min(_tail_of(histogram) for histogram in magnitudes))
    width = _bins_per_row(floor, top, (max_rows - 1) // len(signs))
    starts = np.arange(floor // width * width, top, width)
    starts[0] = max(starts[0], 1)  # bin 0 reaches down to zero and belongs to its row
    bounds = bin_edges(np.append(starts, -(-top // width) * width))[0]
    negative, positive = -bounds[::-1] if 1 in signs else [0.0], bounds if 0 in signs else [0.0]
    edges = np.concatenate([negative, positive])
    zero_row = len(negative) - 1
    offset = (np.arange(BIN_COUNT) % SIGN_BIN - starts[0]) // width + 1
    offset = np.clip(np.where(np.arange(BIN_COUNT) % SIGN_BIN < starts[0], 0, offset), 0, len(starts))
    row_of_bin = np.where(np.arange(BIN_COUNT) >= SIGN_BIN, zero_row - offset, zero_row + offset)
    return Rows(edges, np.clip(row_of_bin, 0, len(edges) - 2), zero_row)


def even_rows(histograms: Sequence[Histogram], max_rows: int = MAX_ROWS) -> Rows | None:
    """Rows as even on the number line as whole bins allow; None when no histogram holds a finite value.

    Bins too narrow to be seen share a row until it is 1 / `max_rows` of the range; wide ones stay as they are.
    """
    magnitudes = [histogram.bins for histogram in histograms if histogram.bins.size]
    if not magnitudes:
        return rows_of(histograms, max_rows)
    lower, upper = bin_edges(np.concatenate(magnitudes))
    reach = [0.0] if _any_zero(histograms) else []
    low, high = min([float(lower.min()), *reach]), max([float(upper.max()), *reach])
    bounds = _even_bounds(max(-low, high), (high - low) / max_rows)
    between = [] if low < 0 < high else [0.0]  # with both signs one row lies across zero
    edges = np.concatenate([-bounds[::-1], between, bounds])
    edges = edges[np.searchsorted(edges, low, side="right") - 1 : np.searchsorted(edges, high) + 1]
    every = np.arange(BIN_COUNT)
    lower, upper = bin_edges(every - np.maximum(every % SIGN_BIN - (NONFINITE_BIN - 1), 0))
    rows = np.clip(np.searchsorted(edges, [*(lower + upper) / 2, 0.0], side="right") - 1, 0, len(edges) - 2)
    return Rows(edges, rows[:-1], int(rows[-1]))


def _even_bounds(top: float, width: float) -> Floats:
    """Edges of bins from half a `width` up to `top`, ascending, each at least `width` from the next."""
    bounds = [top]
    upper_edges = bin_edges(np.arange(NONFINITE_BIN))[1]
    for edge in upper_edges[(upper_edges >= width / 2) & (upper_edges < top)][::-1].tolist():
        if bounds[-1] - edge >= width:
            bounds.append(edge)
    return np.array(bounds[::-1])


def _any_zero(histograms: Sequence[Histogram]) -> bool:
    return any(histogram.zero_count for histogram in histograms)


def _tail_of(histogram: Histogram) -> int:
    """Magnitude bin below which lies at most `TAIL` of the histogram's non-zero values."""
    magnitude = histogram.bins % SIGN_BIN
    order = np.argsort(magnitude)
    below = np.cumsum(histogram.counts[order])
    return int(magnitude[order][np.searchsorted(below, TAIL * below[-1], side="right")])


def _bins_per_row(floor: int, top: int, max_rows: int) -> int:
    width = 1
    while -(-top // width) - floor // width > max_rows:
        width *= 2
    return width


def row_shares(histogram: Histogram, rows: Rows) -> Floats:
    """Share (r,) of the finite values that falls into each row; they sum to one, or are NaN without finite values."""
    counts = np.bincount(rows.row_of_bin[histogram.bins], histogram.counts, minlength=len(rows.edges) - 1)
    counts[rows.zero_row] += histogram.zero_count
    total = counts.sum()
    return counts / total if total else np.full(len(counts), np.nan)


def percentiles(histogram: Histogram, shares: Sequence[float]) -> Floats:
    """Values (p,) below which the given shares (in [0, 1]) of the finite values lie; NaN where there are none.

    Values are taken as evenly spread within their bin, cut at the exact minimum and maximum: the error is below the
    bin's width, a quarter of the value or less.
    """
    if histogram.minimum is None or histogram.maximum is None:
        return np.full(len(shares), np.nan)
    lower, upper = bin_edges(histogram.bins)
    order = np.argsort(number_line_order(histogram.bins))
    negatives = int((histogram.bins >= SIGN_BIN).sum())
    counts = np.insert(histogram.counts[order].astype(np.float64), negatives, histogram.zero_count)
    lower = np.insert(lower[order], negatives, 0.0)
    upper = np.insert(upper[order], negatives, 0.0)
    filled = counts > 0
    ends = np.cumsum(counts[filled])
    positions = np.asarray(shares) * ends[-1]
    place = np.minimum(np.searchsorted(ends, positions), len(ends) - 1)
    within = 1 - (ends[place] - positions) / counts[filled][place]
    values = lower[filled][place] + within * (upper[filled][place] - lower[filled][place])
    return np.asarray(np.clip(values, histogram.minimum, histogram.maximum), np.float64)
