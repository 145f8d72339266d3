"""The histogram's bins are what they say: fixed, ordered, and the same for every tensor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from blocks import start
from hypothesis import given
from hypothesis import strategies as st

from torchglass.store import Batch, Histogram, HistogramBlock, Store
from torchglass.store.bins import BIN_COUNT, MAX_FLOAT32, NONFINITE_BIN, SHIFT, SIGN_BIN, bin_edges, number_line_order

FINITE = np.array([b for b in range(BIN_COUNT) if b % SIGN_BIN < NONFINITE_BIN])


def bin_of(value: float) -> int:
    return int(np.array(value, np.float32).view(np.uint32) >> SHIFT)


def counted(values: npt.NDArray[np.float64]) -> dict[int, int]:
    bins, counts = np.unique([bin_of(each) for each in values], return_counts=True)
    return dict(zip(bins.tolist(), counts.tolist(), strict=True))


def test_each_octave_has_four_equal_bins() -> None:
    low, high = bin_edges(np.array([bin_of(1.0), bin_of(1.25), bin_of(1.5), bin_of(1.75)]))
    assert low.tolist() == [1.0, 1.25, 1.5, 1.75]
    assert high.tolist() == [1.25, 1.5, 1.75, 2.0]


def test_a_negative_bin_mirrors_its_positive_twin() -> None:
    low, high = bin_edges(np.array([bin_of(-3.2)]))
    assert (low.tolist(), high.tolist()) == ([-3.5], [-3.0])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda value: value != 0))
def test_every_number_lies_between_the_edges_of_its_bin(value: float) -> None:
    low, high = bin_edges(np.array([bin_of(value)]))
    inside = low[0] <= value < high[0] if value > 0 else low[0] < value <= high[0]
    assert inside or abs(value) == MAX_FLOAT32


def test_in_the_order_of_the_number_line_each_bin_ends_where_the_next_begins() -> None:
    ordered = FINITE[np.argsort(number_line_order(FINITE))]
    low, high = bin_edges(ordered)
    assert (low < high).all()
    assert (high[:-1] == low[1:]).all()
    assert (low[0], high[-1]) == (-MAX_FLOAT32, MAX_FLOAT32)


def test_two_histograms_merge_by_adding_their_counts() -> None:
    generator = np.random.default_rng(5)
    one, two = generator.normal(size=500), generator.normal(0, 9, 700)
    merged = counted(one)
    for index, count in counted(two).items():
        merged[index] = merged.get(index, 0) + count
    assert merged == counted(np.concatenate([one, two]))


def test_a_histogram_comes_back_as_it_was_and_the_same_step_is_replaced(store: Store) -> None:
    run = start(store)

    def histogram(step: int, count: int) -> HistogramBlock:
        counts = np.array([count, 2**40])
        return HistogramBlock("weights/w", Histogram(step, 9.5, np.array([3, 2047]), counts, 5, 6, 7, 8, None, 1.5))

    store.write(run, 0, Batch(histograms=[histogram(20, 1), histogram(10, 2), histogram(20, 3)]))
    early, late = store.histograms(run, "weights/w")
    assert (early.step, late.step) == (10, 20)
    assert (late.bins.tolist(), late.counts.tolist()) == ([3, 2047], [3, 2**40])
    assert (late.zero_count, late.nan_count) == (5, 6)
    assert (late.positive_infinity_count, late.negative_infinity_count) == (7, 8)
    assert (late.minimum, late.maximum, late.time) == (None, 1.5, 9.5)
    assert late.count == 3 + 2**40 + 5 + 6 + 7 + 8
    assert store.histogram_keys(run) == ["weights/w"]
    assert store.histograms(run, "weights/none") == []
