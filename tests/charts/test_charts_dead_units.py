"""Dead units: shares by layer and step, the worst layer in words, and one histogram in the rows of its heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recorded import histogram_of

from torchglass.charts.dead_units import (
    at_step,
    dead_units_data,
    dead_units_figure,
    dead_units_listing,
    dead_units_text,
)
from torchglass.charts.histogram_bars import bars_text, histogram_bars, histogram_bars_figure
from torchglass.charts.histograms import histograms_data
from torchglass.charts.layer_health import health, values_at, work_of_modules
from torchglass.charts.module_times import modules_listing
from torchglass.charts.records import Recorded
from torchglass.store import Batch, RowBlock, Store


def recorded(tmp_path: Any, values: dict[str, list[float]]) -> list[Recorded]:
    """Series "layers/<key>" at steps 0, 10, 20, ..."""
    from torchglass.charts import read_series

    with Store(tmp_path / "s.db") as store:
        run = store.start_run("r", {}, host="here", pid=1).id
        rows = [
            RowBlock.of_series(
                f"layers/{key}", "layer", "", 10 * np.arange(len(each)), np.zeros(len(each)), np.array(each)
            )
            for key, each in values.items()
        ]
        store.write(run, 0, Batch(rows=rows))
        return read_series(store, run, kind="layer")


def test_layers_without_a_zero_are_left_out_and_counted(tmp_path: Any) -> None:
    records = recorded(
        tmp_path,
        {
            "act/dead_percent": [0.0, 25.0],
            "act/zero_percent": [40.0, 60.0],
            "out/dead_percent": [0.0, 0.0],
            "out/zero_percent": [0.0, 0.0],
            "act.weight/gradient_norm": [1.0, 1.0],
        },
    )
    data = dead_units_data(records)
    assert (data.layers, data.steps.tolist(), data.without_zeros) == (("act",), [0, 10], 1)
    assert data.dead.tolist() == [[0.0, 25.0]]
    assert dead_units_figure(data).layout.meta["steps"] == ["x"]
    assert "returned a zero" in str(dead_units_figure(dead_units_data([])).layout.annotations[0].text)


def test_the_deadest_layer_of_the_nearest_step_is_named_with_what_to_do(tmp_path: Any) -> None:
    records = recorded(
        tmp_path,
        {
            "a/dead_percent": [0.0, 10.0, 90.0],
            "b/dead_percent": [0.0, 30.0, 20.0],
            "b/activation_std": [1.0, 2.0, 3.0],
        },
    )
    found = at_step(records, 13)
    assert found is not None
    assert (found.step, found.layers, found.dead) == (10, ("b", "a"), (30.0, 10.0))
    assert (found.deviation, found.mean) == ((2.0, None), (None, None))
    assert dead_units_text(found) == "At step 10, 30 % of the units of layer b are dead, the most of any."
    last = at_step(records, None)
    assert last is not None
    assert dead_units_text(last).startswith("At step 20, 90 % of the units of layer a are dead: they return zero")
    assert "LeakyReLU" in dead_units_text(last)
    first = at_step(records, 0)
    assert first is not None
    assert "every unit of every layer" in dead_units_text(first)
    listing = dead_units_listing(last, 1)
    assert (listing.fields[0].values, listing.left_out) == (("a",), 1)
    assert at_step([], 3) is None


def test_one_histogram_lies_in_the_rows_of_the_heat_map_and_counts_what_was_not_finite() -> None:
    values = np.array([-4.0, -4.0, 0.0, 0.0, 0.0, 2.0, 8.0, 8.0, np.nan, np.inf, -np.inf, -np.inf])
    histogram = histogram_of(values, 7, 0.0)
    edges = histograms_data([histogram]).edges
    bars = histogram_bars(histogram, edges)
    np.testing.assert_allclose(bars.shares.sum(), 100.0)
    np.testing.assert_allclose(bars.shares, 100 * histograms_data([histogram]).shares[:, 0], atol=1e-9)
    assert bars.marked[1] == pytest.approx(0.0)
    assert bars_text(bars) == "12 values · 3 exactly zero · 1 NaN · 1 +Inf · 2 −Inf"
    figure = histogram_bars_figure(bars)
    assert sum(figure.data[0].x) == pytest.approx(100, rel=1e-5)
    assert len(figure.layout.shapes) == 3


def test_a_histogram_of_another_span_is_cut_to_the_rows_and_one_of_nothing_finite_says_so() -> None:
    bars = histogram_bars(histogram_of(np.array([100.0, 1.0, 1.0, 1.0]), 0, 0.0), np.array([0.5, 1.5, 2.0]))
    assert bars.shares.tolist() == [75.0, 25.0]
    nothing = histogram_bars(histogram_of(np.array([np.nan]), 0, 0.0), np.array([0.5, 1.5]))
    assert bars_text(nothing) == "1 values · 1 NaN"
    assert "finite" in str(histogram_bars_figure(nothing).layout.annotations[0].text)


@pytest.mark.parametrize(
    ("gradient", "ratio", "dead", "word"),
    [
        (None, None, None, ""),
        (1.0, 1e-3, None, "fine"),
        (float("nan"), 1e-3, 0.0, "NaN or infinite"),
        (1.0, 1e-3, 60.0, "60 % dead"),
        (0.0, 1e-3, 0.0, "no gradient"),
        (1.0, 0.2, None, "moves too far"),
        (1.0, 1e-8, None, "hardly moves"),
    ],
    ids=["nothing", "fine", "NaN", "dead", "zero", "far", "still"],
)
def test_a_layer_s_health_is_one_word(
    gradient: float | None, ratio: float | None, dead: float | None, word: str
) -> None:
    assert health(gradient, ratio, dead) == word


def test_values_are_those_of_each_series_nearest_step(tmp_path: Any) -> None:
    records = recorded(tmp_path, {"a/gradient_norm": [1.0, 2.0, 3.0], "b/gradient_norm": [5.0]})
    assert values_at(records, 14) == ({"layers/a/gradient_norm": 2.0, "layers/b/gradient_norm": 5.0}, 10)
    assert values_at(records, None)[0]["layers/a/gradient_norm"] == 3.0
    assert values_at([], 3) == ({}, None)


def test_work_is_summed_over_the_passes_and_odd_facts_are_none() -> None:
    work = {"modules": [{"name": "a", "forward_flops": 2, "backward_flops": 4, "recomputed_flops": 1}, "odd"]}
    assert work_of_modules(work) == {"a": 7}
    assert work_of_modules(None) == work_of_modules({"modules": 3}) == {}


def test_the_time_of_modules_is_a_step_s_and_what_belongs_to_none_is_left_out() -> None:
    links = {
        "module": np.array(["Linear_0", "Conv2d_0", "Conv2d_0", "Conv2d_0", "(no module)"]),
        "kernel": np.array(["", "gemm", "relu", "", "copy"]),
        "seconds": np.array([8.0, 2.0, 4.0, 6.0, 99.0]),
    }
    listing = modules_listing(links, steps=2, most=9)
    assert [field.values for field in listing.fields] == [("Conv2d_0", "Linear_0"), (3.0, None), (3.0, 4.0)]
    assert len(modules_listing(None, steps=1, most=9)) == 0
