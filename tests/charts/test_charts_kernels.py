"""Operator and kernel tables: sums over windows, nothing dropped in silence."""

from __future__ import annotations

import numpy as np
import pytest

from torchglass.charts.kernels import KernelsData, kernels_data, kernels_figure
from torchglass.charts.windows import added_tables, row_tables
from torchglass.store.records import ProfilerRow, ProfilerWindow, RowKind


def window(*rows: ProfilerRow, steps: int = 4) -> ProfilerWindow:
    return ProfilerWindow(10, 0.0, steps, 1.0, {"device": "cpu"}, rows)


WINDOWS = [
    window(ProfilerRow("operator", "mm", 8, 0.2, 0.3), ProfilerRow("operator", "copy_", 4, 0.1, 0.1), steps=4),
    window(
        ProfilerRow("operator", "copy_", 2, 0.5, 0.6),
        ProfilerRow("kernel", "gemm", 1, 9.0, 9.0),
        ProfilerRow("operator", "relu_", 2, 0.2, 0.2),
        steps=6,
    ),
]


def summed(windows: list[ProfilerWindow], kind: RowKind = "operator", top: int = 20) -> KernelsData:
    """What the rows of windows come to."""
    tables = added_tables([row_tables(one) for one in windows])
    return kernels_data(tables.get(f"{kind}s"), kind, windows, top=top)


def test_rows_are_summed_by_name_and_ranked_by_self_time() -> None:
    data = summed(WINDOWS)
    assert data.names == ("copy_", "mm", "relu_")
    assert data.calls.tolist() == [6, 8, 2]
    assert data.self_seconds == pytest.approx([0.6, 0.2, 0.2])
    assert data.total_seconds == pytest.approx([0.7, 0.3, 0.2])
    assert data.shares == pytest.approx([0.6, 0.2, 0.2])
    assert (data.window_count, data.step_count) == (2, 10)


def test_the_rest_of_the_list_is_counted_and_drawn() -> None:
    data = summed(WINDOWS, top=1)
    assert data.rest_count == 2
    assert data.rest_seconds == pytest.approx(0.4)
    assert data.shares[0] == pytest.approx(0.6)
    bars = kernels_figure(data)
    assert list(bars.data[0].x) == pytest.approx([60, 40])
    assert list(bars.data[1].text) == ["copy_", "2 more"]
    assert bars.layout.xaxis.title.text == "self time, ms a step"


def test_kernels_are_a_kind_of_their_own() -> None:
    assert summed(WINDOWS, "kernel").names == ("gemm",)
    assert "Nothing recorded" in kernels_figure(summed(WINDOWS[:1], "kernel")).layout.annotations[0].text


def test_long_template_names_keep_both_ends_on_the_axis_and_are_whole_on_hover() -> None:
    name = "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>>"
    figure = kernels_figure(summed([window(ProfilerRow("kernel", name, 1, 1.0, 1.0))], "kernel"))
    label = figure.data[1].text[0]
    assert label.startswith("at::native")
    assert label.endswith("Functor&lt;float&gt;&gt;")
    assert "elementwise_kernel&lt;4, at::native" in figure.data[0].hovertext[0]


def test_operators_rank_by_the_time_of_their_kernels_where_they_have_any() -> None:
    table = {
        "name": np.array(["host only", "conv", "add"]),
        "calls": np.array([1, 2, 3]),
        "self_seconds": np.array([9.0, 0.1, 0.1]),
        "total_seconds": np.array([9.0, 0.2, 0.2]),
        "device_self_seconds": np.array([0.0, 3.0, 1.0]),
        "device_total_seconds": np.array([0.0, 3.5, 1.0]),
    }
    data = kernels_data(table, "operator", WINDOWS, top=2)
    assert data.names == ("conv", "add")
    assert data.shares == pytest.approx([0.75, 0.25])
    assert data.total_seconds == pytest.approx([3.5, 1.0])
    assert kernels_figure(data).layout.xaxis.title.text == "time of own kernels, ms a step"
    on_host = kernels_data(table | {"device_self_seconds": np.zeros(3)}, "operator", WINDOWS)
    assert (on_host.names[0], on_host.on_device) == ("host only", False)
