"""The moving average, by hand and by its invariants."""

from __future__ import annotations

import numpy as np
import pytest

from torchglass.charts.smoothing import smoothed, smoothing_of
from torchglass.store.records import Floats


def test_average_is_debiased_by_the_weight_seen_so_far() -> None:
    line = smoothed(np.array([1.0, 2.0, 3.0]), np.array([4.0, 8.0, 2.0]), 0.5)
    # Weights by hand: 1; 1/3, 2/3; 1/7, 2/7, 4/7.
    assert line == pytest.approx([4.0, 4 / 3 + 16 / 3, (4 + 16 + 8) / 7])


def test_a_constant_line_stays_exactly_as_it_is() -> None:
    values = np.full(500, 0.1)
    assert (smoothed(np.arange(500.0), values, 0.97) == 0.1).all()


def test_without_smoothing_the_line_is_the_values() -> None:
    values = np.array([3.0, -1.0, 7.5])
    assert smoothed(np.arange(3.0), values, 0.0).tolist() == values.tolist()


def test_what_is_not_finite_leaves_a_gap_and_is_forgotten() -> None:
    x = np.arange(5.0)
    line = smoothed(x, np.array([1.0, np.nan, np.inf, 1.0, 1.0]), 0.9)
    assert np.isnan(line).tolist() == [False, True, True, False, False]
    assert line[[0, 3, 4]].tolist() == [1.0, 1.0, 1.0]


def test_a_longer_distance_forgets_more_of_the_past() -> None:
    line = smoothed(np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.0, 0.0, 0.0, 1.0]), 0.5)
    # After 0.5 + 0.25 + 0.125 of weight, three distances keep 0.5 ** 3 of it.
    kept = 0.875 * 0.125
    assert line[3] == pytest.approx(0.875 / (kept + 0.875))


def test_smoothing_never_leaves_the_range_of_the_values() -> None:
    values = np.random.default_rng(3).normal(size=300)
    line = smoothed(np.arange(300.0), values, 0.8)
    assert values.min() <= line.min()
    assert line.max() <= values.max()


def one_after_another(x: Floats, values: Floats, smoothing: float) -> list[float]:
    """The definition, point by point: the mean of the past with a weight that its distance has worn off."""
    line, mean, weight, before = [], 0.0, 0.0, None
    known = x[np.isfinite(values)]
    typical = float(np.median(np.diff(known)))
    for place, value in zip(x.tolist(), values.tolist(), strict=True):
        if not np.isfinite(value):
            line.append(np.nan)
            continue
        keep = smoothing ** (1.0 if before is None else (place - before) / typical)
        weight = keep * weight + 1 - keep
        mean += (value - mean) * (1 - keep) / weight
        before = place
        line.append(mean)
    return line


@pytest.mark.parametrize("count", [2, 3, 10, 101, 5000])
@pytest.mark.parametrize("smoothing", [0.3, 0.9, 0.99])
def test_blocks_that_are_summed_at_once_give_what_one_point_after_another_gives(count: int, smoothing: float) -> None:
    generator = np.random.default_rng(count)
    x = np.cumsum(generator.integers(1, 5, count)).astype(np.float64)
    values = np.exp(generator.normal(scale=3, size=count)) - 1
    values[5::7] = np.nan
    np.testing.assert_allclose(smoothed(x, values, smoothing), one_after_another(x, values, smoothing), rtol=1e-9)


def test_the_state_after_the_last_point_goes_on_to_what_the_whole_line_is() -> None:
    values = np.random.default_rng(5).normal(size=400)
    values[199] = np.nan
    x = np.arange(0.0, 4000.0, 10.0)
    begun, whole = smoothing_of(x[:200], values[:200], 0.9), smoothed(x, values, 0.9)
    mean, weight, before = begun.mean, begun.weight, begun.last_x
    for place, value, expected in zip(x[200:], values[200:], whole[200:], strict=True):
        keep = 0.9 ** ((place - before) / begun.typical)
        weight = keep * weight + 1 - keep
        mean += (value - mean) * (1 - keep) / weight
        before = place
        assert mean == pytest.approx(expected, rel=1e-12)
