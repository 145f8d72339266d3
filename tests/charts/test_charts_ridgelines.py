"""Ridgelines: areas that are counts, rows of whole bins, every step marked that has something to mark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from recorded import histogram_of

from torchglass.charts.bins import even_rows
from torchglass.charts.ridgelines import MAX_RIDGES, NOTE_HEIGHT, ridgelines_data, ridgelines_figure
from torchglass.store.bins import bin_edges
from torchglass.store.records import Histogram

GENERATOR = np.random.default_rng(5)
SETS: dict[str, npt.NDArray[np.float64]] = {
    "normal": GENERATOR.normal(0.01, 0.1, 5000),
    "positive": GENERATOR.uniform(5, 8, 300),
    "negative": -GENERATOR.lognormal(0, 0.5, 3000),
    "two scales": np.concatenate([GENERATOR.normal(0, 1e-6, 500), [1e6, -3e4]]),
    "half zero": np.concatenate([np.zeros(400), GENERATOR.normal(0, 1, 400)]),
    "one value": np.full(7, -0.3),
    "the ends of float32": np.array([-3.4e38, 1e-45, 3.4e38]),
    "zeros beside": np.concatenate([np.zeros(30), GENERATOR.uniform(5, 8, 70)]),
}


def of(values: npt.NDArray[np.float64], step: int = 1) -> Histogram:
    return histogram_of(values, step, 0.0)


@pytest.mark.parametrize("name", SETS)
def test_area_and_zeros_make_one_and_every_row_holds_its_values(name: str) -> None:
    values = SETS[name].astype(np.float32).astype(np.float64)
    data = ridgelines_data([of(values)])
    areas = data.densities[:, 0] * np.diff(data.places)
    assert areas.sum() + data.zero_shares[0] == pytest.approx(1)
    assert data.zero_shares[0] == (values == 0).mean()
    for row, (low, high) in enumerate(zip(data.edges[:-1], data.edges[1:], strict=True)):
        # A negative bin holds its lower edge in magnitude, so the upper one on the number line.
        inside = ((values >= low) & (values < high) & (values > 0)) | ((values > low) & (values <= high) & (values < 0))
        assert areas[row] == pytest.approx(inside.mean())


@pytest.mark.parametrize("name", SETS)
def test_even_rows_are_whole_bins_that_cover_the_values_and_no_row_is_a_sliver(name: str) -> None:
    histogram = of(SETS[name])
    rows = even_rows([histogram], 40)
    assert rows is not None
    lower, upper = bin_edges(histogram.bins)
    row = rows.row_of_bin[histogram.bins]
    assert (rows.edges[row] <= lower).all()
    assert (upper <= rows.edges[row + 1]).all()
    widths = np.diff(rows.edges)
    assert len(widths) <= 40 + 1
    assert widths.min() >= (rows.edges[-1] - rows.edges[0]) / 40 / 2


def test_density_is_share_per_unit_of_value_whatever_the_width_of_the_bin() -> None:
    # Bins are [1, 1.25), [2, 2.5) and [4, 5): as many values in a bin twice as wide are half as dense.
    data = ridgelines_data([of(np.repeat([1.1, 2.2, 4.4], [10, 10, 20]))])
    assert not data.logarithmic
    row = np.searchsorted(data.edges, [1.1, 2.2, 4.4]) - 1
    assert data.densities[row, 0] == pytest.approx([0.25 / 0.25, 0.25 / 0.5, 0.5 / 1])


def test_a_step_with_half_its_values_zero_has_half_the_area_of_one_without() -> None:
    values = GENERATOR.normal(0, 1, 500)
    data = ridgelines_data([of(values), of(np.concatenate([values, np.zeros(500)]), 2)])
    assert data.densities[:, 1] == pytest.approx(data.densities[:, 0] / 2)
    assert data.zero_shares.tolist() == [0, 0.5]


def test_values_that_shrink_to_a_needle_get_the_logarithmic_axis_and_wide_ones_the_linear() -> None:
    values = GENERATOR.normal(0, 1, 2000)
    assert not ridgelines_data([of(values), of(values / 4, 2)]).logarithmic
    data = ridgelines_data([of(values), of(values / 1000, 2)])
    assert data.logarithmic
    assert (data.densities.max(axis=0) < 0.2).all()
    assert "logarithmic" in ridgelines_figure(data).layout.xaxis.title.text


def test_a_constant_parameter_is_no_needle() -> None:
    assert not ridgelines_data([of(np.ones(64)), of(GENERATOR.normal(1, 0.02, 64), 2)]).logarithmic


def test_many_steps_are_thinned_evenly_back_from_the_last_and_the_figure_says_so() -> None:
    histograms = [of(np.array([1.0, -1.0]), 10 * step) for step in range(1, 2 * MAX_RIDGES + 4)]
    data = ridgelines_data(histograms)
    assert data.steps.tolist() == list(range(10, 10 * (2 * MAX_RIDGES + 4), 30))
    assert data.steps[-1] == histograms[-1].step
    assert "15 of 43 steps" in ridgelines_figure(data).layout.annotations[0].text
    assert not ridgelines_figure(ridgelines_data(histograms[:MAX_RIDGES])).layout.annotations


def test_later_steps_lie_below_and_in_front_and_their_outlines_meet_their_ticks() -> None:
    figure = ridgelines_figure(ridgelines_data([of(SETS["normal"], step) for step in (1000, 2000, 3000)]))
    baselines = [min(trace.y) for trace in figure.data]
    assert baselines == [2, 1, 0] == list(figure.layout.yaxis.tickvals)
    assert list(figure.layout.yaxis.ticktext) == ["1,000", "2,000", "3,000"]
    assert {trace.fill for trace in figure.data} == {"toself"}
    heights = [float(np.ptp(trace.y)) for trace in figure.data]
    assert heights == pytest.approx([heights[0]] * 3)


def test_hover_says_step_bounds_density_and_share() -> None:
    trace = ridgelines_figure(ridgelines_data([of(np.repeat([1.1, 2.2, 4.4], [10, 10, 20]), 1234)])).data[0]
    assert "step 1,234" in trace.hovertemplate
    assert "2 to 2.5<br>density 0.5, 25 % of the values" in set(trace.text)
    assert len(trace.text) == len(trace.x) == len(trace.y)


def test_what_is_not_finite_is_marked_at_its_step_and_counted_also_where_steps_were_left_out() -> None:
    bad = of(np.array([np.nan, np.inf, -np.inf, -2.0, 1.0]), 2)
    data = ridgelines_data([bad, of(np.array([np.nan, 1.0]), 3), bad, of(np.array([1.0, 2.0]), 5)], max_ridges=2)
    assert data.steps.tolist() == [3, 5]
    assert data.nan_counts.tolist() == [1, 0]
    figure = ridgelines_figure(data)
    marks = figure.data[-1]
    assert list(marks.text) == ["step 3<br>1 NaN, 0 infinite"]
    assert list(marks.y) == [1]
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert "3 NaN and 4 infinite values at 3 of 4 steps" in texts
    assert "2 of 4 steps" in texts
    assert sorted(annotation.yshift for annotation in figure.layout.annotations) == [0, NOTE_HEIGHT]


@pytest.mark.parametrize("scale", [1, 1e-4])
def test_exact_zeros_are_circles_where_the_axis_has_its_zero(scale: float) -> None:
    values = np.array([-4.0, -4.0, -2.0, 1.0, 2.0, 4.0])
    data = ridgelines_data([of(values), of(np.concatenate([values * scale, [0.0, 0.0]]), 2)])
    assert data.logarithmic == (scale < 1)
    figure = ridgelines_figure(data)
    circles = figure.data[-1]
    assert list(circles.text) == ["step 2<br>25 % exactly 0"]
    assert list(circles.y) == [0]
    assert circles.x[0] == pytest.approx(np.interp(0, data.edges, data.places))
    assert "up to 25 %" in figure.layout.annotations[0].text


def test_a_step_of_nothing_but_nan_keeps_its_place_without_an_outline() -> None:
    figure = ridgelines_figure(ridgelines_data([of(np.full(3, np.nan)), of(SETS["normal"], 2)]))
    assert [trace.mode for trace in figure.data] == ["lines", "markers"]
    assert list(figure.layout.yaxis.ticktext) == ["1", "2"]


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan, np.inf]])
def test_a_tensor_without_an_outline_draws_its_marks(values: list[float]) -> None:
    figure = ridgelines_figure(ridgelines_data([of(np.array(values))]))
    assert [trace.mode for trace in figure.data] == ["markers"]


def test_a_title_is_text_and_no_markup() -> None:
    title = ridgelines_figure(ridgelines_data([of(SETS["normal"])]), title="<b>a</b>").layout.title.text
    assert title == "&lt;b&gt;a&lt;/b&gt;"


def test_no_histogram_says_so_in_words() -> None:
    assert "Nothing recorded" in ridgelines_figure(ridgelines_data([])).layout.annotations[0].text
