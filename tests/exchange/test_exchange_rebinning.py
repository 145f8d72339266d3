"""Buckets of a log in the store's bins: the number of values is exact, and so is all that a bucket says for sure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from exchanged import START, tensor_event, write_log
from hypothesis import given, settings
from hypothesis import strategies as some
from recorded import histogram_of
from tensorboard.compat.proto import summary_pb2
from torch.utils.tensorboard import SummaryWriter

from torchglass.exchange import import_tensorboard
from torchglass.store import Histogram, Store
from torchglass.store.bins import bin_edges
from torchglass.store.rebinning import buckets_of, rebin, rebin_limits

Numbers = npt.NDArray[np.float64]


def _rebin(buckets: list[tuple[float, float, float]], **options: float) -> Histogram:
    lefts, rights, counts = np.array(buckets, np.float64).reshape(-1, 3).T
    histogram = rebin(
        lefts, rights, counts, step=1, time=START, minimum=options.get("minimum"), maximum=options.get("maximum")
    )
    assert histogram is not None
    return histogram


def _shared(histogram: Histogram) -> dict[tuple[float, float], int]:
    lefts, rights = bin_edges(histogram.bins)
    return dict(zip(zip(lefts.tolist(), rights.tolist(), strict=True), histogram.counts.tolist(), strict=True))


def _slowly(buckets: list[tuple[float, float, float]]) -> dict[tuple[float, float], float]:
    """The readable twin: what each bin overlaps of each bucket, in values and fractions of such."""
    lefts, rights = bin_edges(np.concatenate((np.arange(1020), np.arange(1024, 2044))))
    shares: dict[tuple[float, float], float] = {}
    for left, right in zip(lefts.tolist(), rights.tolist(), strict=True):
        for low, high, count in buckets:
            overlap = min(right, high) - max(left, low)
            if overlap > 0:
                shares[left, right] = shares.get((left, right), 0.0) + count * overlap / (high - low)
    return shares


def test_a_bucket_over_several_bins_is_shared_by_length() -> None:
    # Bins between 1 and 2 are a quarter wide, between 2 and 4 a half.
    assert _shared(_rebin([(1.0, 3.0, 80.0)])) == {
        (1.0, 1.25): 10,
        (1.25, 1.5): 10,
        (1.5, 1.75): 10,
        (1.75, 2.0): 10,
        (2.0, 2.5): 20,
        (2.5, 3.0): 20,
    }


def test_a_bucket_within_one_bin_keeps_its_count_on_either_side_of_zero() -> None:
    assert _shared(_rebin([(-1.2, -1.1, 7.0), (1.1, 1.2, 5.0)])) == {(-1.25, -1.0): 7, (1.0, 1.25): 5}


def test_all_values_alike_land_in_the_bin_of_that_value() -> None:
    # As torch writes a constant: the bucket is wide, minimum and maximum say that all lie at one place.
    for value, edges in ((1.0, (1.0, 1.25)), (-1.0, (-1.25, -1.0)), (0.3, (0.25, 0.3125))):
        wide = [(value - 0.5, value + 0.5, 9.0)]
        assert _shared(_rebin(wide, minimum=value, maximum=value)) == {edges: 9}


def test_the_bucket_at_zero_counts_zeros_and_a_wide_one_does_not() -> None:
    narrow = _rebin([(-1e-12, 0.0, 2.0), (0.0, 1e-12, 3.0), (1e-12, 1.1e-12, 4.0)])
    assert (narrow.zero_count, int(narrow.counts.sum())) == (5, 4)
    wide = _rebin([(-1.0, 1.0, 100.0)])
    assert (wide.zero_count, int(wide.counts.sum())) == (0, 100)
    assert sum(count for (left, _), count in _shared(wide).items() if left < 0) == 50


def test_edges_at_infinity_end_where_the_values_do() -> None:
    largest = float(np.finfo(np.float64).max)
    outer = [(-largest, -2.0, 1.0), (-2.0, 2.0, 0.0), (2.0, largest, 8.0)]
    found = _rebin(outer, minimum=-2.5, maximum=4.0)
    assert _shared(found) == {(-2.5, -2.0): 1, (2.0, 2.5): 2, (2.5, 3.0): 2, (3.0, 3.5): 2, (3.5, 4.0): 2}
    assert (found.minimum, found.maximum) == (-2.5, 4.0)


def test_a_minimum_and_maximum_that_were_never_set_are_not_believed() -> None:
    assert _shared(_rebin([(2.0, 2.5, 4.0)], minimum=0.0, maximum=0.0)) == {(2.0, 2.5): 4}


def test_weighted_counts_keep_their_sum() -> None:
    found = _rebin([(float(2**k), float(2**k) * 1.1, 0.4) for k in range(10)])
    assert found.count == 4


@pytest.mark.parametrize(
    "buckets", [[(2.0, 1.0, 1.0)], [(0.0, 2.0, 1.0), (1.0, 3.0, 1.0)], [(0.0, 1.0, -1.0)], [(0.0, math.nan, 1.0)]]
)
def test_what_are_no_buckets_is_refused(buckets: list[tuple[float, float, float]]) -> None:
    lefts, rights, counts = np.array(buckets).T
    assert rebin(lefts, rights, counts, step=0, time=0.0) is None


edges = some.lists(
    some.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=2, max_size=12, unique=True
)


@settings(max_examples=100, deadline=None)
@given(edges=edges.map(sorted), data=some.data())
def test_any_buckets_are_shared_as_the_slow_twin_shares_them(edges: list[float], data: some.DataObject) -> None:
    counts = data.draw(some.lists(some.integers(0, 10**6), min_size=len(edges) - 1, max_size=len(edges) - 1))
    buckets = list(zip(edges[:-1], edges[1:], map(float, counts), strict=True))
    found = _rebin(buckets)
    assert found.count == sum(counts)
    slow, shared = _slowly(buckets), _shared(found)
    assert set(shared) <= set(slow)
    for span, share in slow.items():
        assert abs(shared.get(span, 0) - share) <= 1


@settings(max_examples=100, deadline=None)
@given(values=some.lists(some.floats(width=32, allow_nan=False, allow_infinity=False), max_size=60))
def test_bins_become_buckets_and_the_same_bins_again(values: list[float]) -> None:
    before = histogram_of(np.array(values, np.float64), 1, START)
    limits, counts = buckets_of(before)
    low, high = before.minimum or 0.0, before.maximum or 0.0
    lefts = np.concatenate(([min(low, *limits[:1])], limits[:-1])) if limits.size else limits
    after = rebin(lefts, limits, counts, step=1, time=START, minimum=low, maximum=high)
    assert after is not None
    assert after.bins.tolist() == before.bins.tolist()
    assert after.counts.tolist() == before.counts.tolist()
    assert (after.zero_count, after.minimum, after.maximum) == (before.zero_count, before.minimum, before.maximum)


def test_a_histogram_of_torch_says_what_its_buckets_say(store: Store, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0.1, 2.0, 5000)
    values[:40] = 0.0
    with SummaryWriter(tmp_path / "log") as writer:
        writer.add_histogram("w", values, 3, walltime=START)
        writer.add_histogram("constant", np.full(10, 0.3), 3)
    import_tensorboard(tmp_path / "log", store=store.path)
    run = store.run("log")
    (found,) = store.histograms(run.id, "w")
    exact = histogram_of(values, 3, START)
    assert (found.step, found.time, found.count, found.zero_count) == (3, START, 5000, 40)
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert _below(found, 0.0) == _below(exact, 0.0)  # zero is an edge of torch's buckets
    # Elsewhere a bucket, a tenth wide, may straddle an edge.
    for edge in (-4.0, -1.0, -0.25, 0.25, 1.0, 4.0):
        assert abs(_below(found, edge) - _below(exact, edge)) <= (np.abs(values / edge - 1) < 0.1).sum()
    (constant,) = store.histograms(run.id, "constant")
    assert _shared(constant) == {(0.25, 0.3125): 10}


def _below(histogram: Histogram, edge: float) -> int:
    zeros = histogram.zero_count if edge > 0 else 0
    return zeros + sum(count for (_, right), count in _shared(histogram).items() if right <= edge)


def test_a_histogram_of_tensorflow_2_is_three_columns(store: Store, tmp_path: Path) -> None:
    write_log(
        tmp_path / "log",
        [
            tensor_event("h", np.array([[1.0, 1.25, 4.0], [1.25, 1.75, 6.0]]), 2, "histograms"),
            tensor_event("empty", np.zeros((0, 3)), 2, "histograms"),
            tensor_event("odd", np.zeros((2, 2)), 2, "histograms"),
        ],
    )
    (done,) = import_tensorboard(tmp_path / "log", store=store.path)
    run = store.run("log")
    (found,) = store.histograms(run.id, "h")
    assert _shared(found) == {(1.0, 1.25): 4, (1.25, 1.5): 3, (1.5, 1.75): 3}
    (empty,) = store.histograms(run.id, "empty")
    assert (empty.count, empty.minimum) == (0, None)
    assert done.left_out == {"histograms": 1}


def test_an_old_histogram_without_as_many_counts_as_edges_is_left_out(store: Store, tmp_path: Path) -> None:
    from exchanged import event

    value = summary_pb2.Summary.Value(tag="h")
    value.histo.bucket_limit.extend([1.0, 2.0])
    value.histo.bucket.append(1.0)
    write_log(tmp_path / "log", [event(value, 0)])
    (done,) = import_tensorboard(tmp_path / "log", store=store.path)
    assert done.left_out == {"histo": 1}


def test_a_bucket_without_a_known_beginning_lies_at_its_upper_edge() -> None:
    with np.errstate(all="raise"):
        made = rebin_limits(
            np.array([0.5, np.inf]), np.array([3.0, 2.0]), step=0, time=0.0, minimum=np.nan, maximum=np.inf
        )
    assert made is not None
    below = bin_edges(made.bins)[0] <= 0.5
    assert (made.count, int(made.counts[below].sum())) == (5, 3)
