"""The moving average, by hand and by its invariants."""

from __future__ import annotations

import numpy as np
import pytest

from torchglass.charts.smoothing import smoothed


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
