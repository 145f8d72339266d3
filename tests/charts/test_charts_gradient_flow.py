"""Gradient flow: layers by steps, zeros and non-finite values in sight."""

from __future__ import annotations

import numpy as np
import pytest

from torchglass.charts.columns import MAX_COLUMNS
from torchglass.charts.gradient_flow import MAX_HEIGHT, gradient_flow_data, gradient_flow_figure
from torchglass.charts.records import Recorded
from torchglass.store.records import Points, Series


def layer(name: str, values: list[float], quantity: str = "gradient_norm", steps: list[int] | None = None) -> Recorded:
    size = len(values)
    key = f"layers/{name}/{quantity}"
    series = Series(1, 1, 0, key, "layer", "", size, 0, None, None, None, None, None, None, None)
    at = np.array(steps if steps is not None else list(range(1, size + 1)))
    return Recorded(series, Points(at, at * 1.0, np.array(values, np.float64), size, size))


def test_layers_keep_the_models_order_and_other_quantities_stay_out() -> None:
    data = gradient_flow_data(
        [layer("conv2.weight", [1, 2]), layer("conv10.weight", [3, 4]), layer("x", [9, 9], "weight_norm")],
        "gradient_norm",
    )
    assert data.layers == ("conv2.weight", "conv10.weight")
    assert data.values.tolist() == [[1, 2], [3, 4]]
    figure = gradient_flow_figure(data)
    assert figure.layout.yaxis.autorange == "reversed"
    assert list(figure.layout.yaxis.ticktext) == ["conv2.weight", "conv10.weight"]


def test_a_step_that_a_layer_lacks_is_a_gap() -> None:
    data = gradient_flow_data([layer("a", [1, 2, 3], steps=[1, 2, 3]), layer("b", [5], steps=[2])], "gradient_norm")
    assert np.isnan(data.values[1]).tolist() == [True, False, True]


def test_colours_are_logarithms_and_zeros_and_nan_are_marked() -> None:
    data = gradient_flow_data([layer("a", [0.01, 0.0, np.nan]), layer("b", [100.0, 1.0, 1.0])], "gradient_norm")
    assert data.zero_marks.tolist() == [[0, 2]]
    assert data.nonfinite_marks.tolist() == [[0, 3]]
    heat, zeros, bad = gradient_flow_figure(data).data
    assert np.asarray(heat.z)[0][0] == pytest.approx(-2)
    assert np.isnan(np.asarray(heat.z)[0][1:]).all()
    assert (list(zeros.x), list(bad.x)) == ([2], [3])


def test_a_spike_survives_the_merging_of_steps() -> None:
    values = np.full(10 * MAX_COLUMNS, 0.5)
    values[1234] = 70.0
    data = gradient_flow_data([layer("a", values.tolist())], "gradient_norm")
    assert data.values.shape[1] <= MAX_COLUMNS
    assert data.steps_per_column == 10
    assert data.values.max() == 70.0
    assert data.steps[int(data.values[0].argmax())] <= 1235 < data.steps[int(data.values[0].argmax())] + 10


def test_update_ratios_are_centred_on_the_rule_of_thumb() -> None:
    figure = gradient_flow_figure(gradient_flow_data([layer("a", [1e-5, 1e-2], "update_ratio")], "update_ratio"))
    heat = figure.data[0]
    assert (heat.zmin + heat.zmax) / 2 == pytest.approx(-3)
    assert heat.zmin <= -5


def test_many_layers_make_a_taller_figure_with_fewer_labels() -> None:
    data = gradient_flow_data([layer(f"block{index}.weight", [1.0, 2.0]) for index in range(300)], "gradient_norm")
    figure = gradient_flow_figure(data)
    assert figure.layout.height == MAX_HEIGHT
    assert len(figure.layout.yaxis.ticktext) < 100


def test_no_layer_says_so() -> None:
    figure = gradient_flow_figure(gradient_flow_data([], "gradient_norm"))
    assert "Nothing recorded" in figure.layout.annotations[0].text
