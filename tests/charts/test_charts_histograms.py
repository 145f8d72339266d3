"""Histograms: rows in number-line order, percentiles against numpy, and nothing lost on the way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from recorded import histogram_of

from torchglass.charts.bins import MAX_ROWS, merged, percentiles, row_shares, rows_of
from torchglass.charts.histograms import (
    MAX_COLUMNS,
    axis_ticks,
    histograms_data,
    histograms_figure,
    percentiles_figure,
    row_places,
)
from torchglass.store.bins import bin_edges
from torchglass.store.records import Histogram

GENERATOR = np.random.default_rng(11)
SETS: dict[str, npt.NDArray[np.float64]] = {
    "normal": GENERATOR.normal(0.01, 0.1, 5000),
    "positive": GENERATOR.uniform(5, 8, 300),
    "negative": -GENERATOR.lognormal(0, 3, 3000),
    "two scales": np.concatenate([GENERATOR.normal(0, 1e-6, 500), [1e6, -3e4]]),
    "half zero": np.concatenate([np.zeros(400), GENERATOR.normal(0, 1, 400)]),
    "one value": np.full(7, -0.3),
}


def of(values: npt.NDArray[np.float64], step: int = 1) -> Histogram:
    return histogram_of(values, step, 0.0)


@pytest.mark.parametrize("name", SETS)
def test_percentiles_agree_with_numpy_within_a_bin(name: str) -> None:
    values = SETS[name]
    for share in (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0):
        exact = float(np.quantile(values, share, method="inverted_cdf"))
        found = float(percentiles(of(values), [share])[0])
        assert abs(found - exact) <= 0.25 * abs(exact) + 1e-12


def test_extreme_percentiles_are_the_exact_minimum_and_maximum() -> None:
    values = SETS["normal"].astype(np.float32)
    assert percentiles(of(values.astype(np.float64)), [0.0, 1.0]).tolist() == [values.min(), values.max()]


def test_percentiles_count_zeros_between_negative_and_positive() -> None:
    histogram = of(np.array([-4.0, -4.0, 0.0, 0.0, 0.0, 0.0, 4.0, 4.0]))
    assert percentiles(histogram, [0.4, 0.5, 0.7]).tolist() == [0.0, 0.0, 0.0]
    assert percentiles(histogram, [0.2])[0] < 0 < percentiles(histogram, [0.9])[0]


@pytest.mark.parametrize("name", SETS)
def test_every_bin_lies_within_its_row_and_rows_ascend(name: str) -> None:
    histogram = of(SETS[name])
    rows = rows_of([histogram])
    assert rows is not None
    assert 1 <= len(rows.edges) - 1 <= MAX_ROWS
    assert (np.diff(rows.edges) > 0).all()
    lower, upper = bin_edges(histogram.bins)
    row = rows.row_of_bin[histogram.bins]
    assert (rows.edges[row] <= lower).all()
    assert (upper <= rows.edges[row + 1]).all()


@pytest.mark.parametrize("name", SETS)
def test_shares_of_the_rows_add_up_to_one_and_match_a_direct_count(name: str) -> None:
    values = SETS[name].astype(np.float32).astype(np.float64)
    rows = rows_of([of(values)])
    assert rows is not None
    shares = row_shares(of(values), rows)
    assert shares.sum() == pytest.approx(1.0)
    upper_half = int(np.searchsorted(rows.edges, 0.0, side="left")) + 1
    direct = float((values >= rows.edges[upper_half]).mean()) if upper_half < len(rows.edges) else 0.0
    assert shares[upper_half:].sum() == pytest.approx(direct)


def test_no_more_than_a_hundredth_of_a_step_hides_around_zero() -> None:
    early, late = of(SETS["normal"]), of(SETS["normal"] * 1e-5, step=2)
    rows = rows_of([early, late])
    assert rows is not None
    assert row_shares(late, rows)[rows.zero_row] <= 0.0101


def test_merging_counts_every_value_once() -> None:
    first = of(np.array([1.0, 1.0, 0.0, np.nan]))
    second = of(np.array([1.0, -2.0, np.inf, -np.inf]), step=5)
    both = merged([first, second])
    assert both.count == first.count + second.count == 8
    assert (both.step, both.minimum, both.maximum) == (5, -2.0, 1.0)
    assert dict(zip(both.bins.tolist(), both.counts.tolist(), strict=True))[int(first.bins[0])] == 3


def test_many_steps_share_columns() -> None:
    histograms = [of(np.array([float(step), -1.0]), step=step) for step in range(1, 2 * MAX_COLUMNS + 2)]
    data = histograms_data(histograms)
    assert data.steps_per_column == 3
    assert len(data.steps) <= MAX_COLUMNS
    assert data.steps[-1] == 2 * MAX_COLUMNS + 1
    assert data.shares.sum(axis=0) == pytest.approx(np.ones(len(data.steps)))


def test_ticks_stand_where_their_numbers_are() -> None:
    edges = np.array([-100.0, -10.0, -1.0, 1.0, 10.0, 100.0])
    places, texts = axis_ticks(edges)
    assert dict(zip(texts, places, strict=True)) == {
        "-100": -0.5,
        "-10": 0.5,
        "-1": 1.5,
        "0": 2.0,
        "1": 2.5,
        "10": 3.5,
        "100": 4.5,
    }


def test_a_value_between_two_edges_lies_between_their_places() -> None:
    assert row_places(np.array([7.0]), np.array([5.0, 6.0, 8.0])).tolist() == [1.0]


def test_values_within_one_decade_get_ticks_all_the_same() -> None:
    data = histograms_data([of(SETS["positive"])])
    _, texts = axis_ticks(data.edges)
    assert len(texts) >= 4
    assert {"5", "6", "7", "8"} <= set(texts)


def test_what_is_not_finite_is_counted_and_marked() -> None:
    data = histograms_data([of(np.array([1.0, 2.0])), of(np.array([np.nan, np.nan, np.inf, 1.0]), step=2)])
    assert data.nan_counts.tolist() == [0, 2]
    assert data.infinity_counts.tolist() == [0, 1]
    for figure in (histograms_figure(data), percentiles_figure(data)):
        assert "2 NaN and 1 infinite values at 1 of 2 steps" in figure.layout.annotations[0].text
        assert list(figure.data[-1].x) == [2]


def test_a_tensor_of_nothing_but_nan_draws_its_marks() -> None:
    data = histograms_data([of(np.array([np.nan, np.nan]))])
    figure = histograms_figure(data)
    assert [trace.type for trace in figure.data] == ["scatter"]
    assert np.isnan(data.percentiles).all()


def test_empty_cells_are_gaps_not_zeros() -> None:
    z = histograms_figure(histograms_data([of(SETS["two scales"])])).data[0].z
    assert np.isnan(np.asarray(z)).any()
    assert np.nansum(np.asarray(z)) == pytest.approx(100, rel=1e-5)


def test_no_histogram_says_so() -> None:
    for draw in (histograms_figure, percentiles_figure):
        assert "Nothing recorded" in draw(histograms_data([])).layout.annotations[0].text
