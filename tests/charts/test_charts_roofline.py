"""Rooflines: work that was counted joined with time that was profiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchglass.charts.roofline import roofline_data, roofline_figure
from torchglass.store.records import Table


def table(*rows: tuple[str, int, float, float], device: bool = True) -> Table:
    """Rows of name, calls, seconds of the operator alone and with those that it calls."""
    names, calls, alone, whole = zip(*rows, strict=True)
    nothing = np.zeros(len(rows))
    return {
        "name": np.array(names),
        "calls": np.array(calls),
        "self_seconds": np.array(alone),
        "total_seconds": np.array(whole),
        "device_self_seconds": np.array(alone) if device else nothing,
        "device_total_seconds": np.array(whole) if device else nothing,
    }


def work(**changed: Any) -> dict[str, Any]:
    operators = [
        ("aten::mm", "forward", "bfloat16", 2, 4_000_000, 2_000),
        ("aten::mm", "backward", "bfloat16", 4, 8_000_000, 4_000),
        ("aten::convolution", "forward", "tf32", 1, 100, 1_000),
        ("aten::scaled_dot_product_attention_backward", "backward", "bfloat16", 1, 6_000, 100),
        ("aten::relu", "forward", "", 1, 0, 5_000),
    ]
    keys = ("name", "pass", "format", "calls", "flops", "bytes")
    peak = {
        "flops_per_second": {"bfloat16": 1000e9, "float32": 60e9},
        "memory_bytes_per_second": 2e9,
        "device": "X",
        "source": "a datasheet",
    }
    return {
        "device": "NVIDIA X",
        "formats": {"bfloat16": 12_006_000, "tf32": 100},
        "operators": [dict(zip(keys, row, strict=True)) for row in operators],
        "peak": peak,
    } | changed


WINDOW = table(
    ("aten::mm", 12, 0.03, 0.03),
    ("aten::convolution", 2, 0.0, 0.04),  # its time is that of the operator that it calls
    ("aten::cudnn_convolution", 2, 0.04, 0.04),
    ("aten::_scaled_dot_product_flash_attention_backward", 2, 0.01, 0.01),
    ("aten::relu", 2, 0.02, 0.02),
)


def test_each_operator_has_the_work_of_its_calls_over_the_time_of_all_that_it_calls() -> None:
    data = roofline_data(WINDOW, work())
    assert data.operators == ("aten::convolution", "aten::mm", "aten::scaled_dot_product_attention_backward")
    assert data.intensities == pytest.approx([0.1, 2000, 60])
    assert data.achieved == pytest.approx([2 * 100 / 0.04, 12 * 2_000_000 / 0.03, 2 * 6_000 / 0.01])
    assert data.shares == pytest.approx([0.4, 0.3, 0.1])


def test_the_roof_is_the_lower_of_memory_and_of_the_peak_of_the_format_that_ran() -> None:
    data = roofline_data(WINDOW, work())
    assert data.roofs == pytest.approx([0.1 * 2e9, 1000e9, 60 * 2e9])
    assert [tuple(each) for each in data.ceilings] == [("bfloat16", 1000e9), ("tf32", 60e9)]
    lines = [trace for trace in roofline_figure(data).data if trace.mode == "lines"]
    assert lines[0].x[1] == pytest.approx(1000e9 / 2e9)
    assert lines[0].y[1] == lines[0].y[2] == pytest.approx(1000e9)
    assert lines[0].y[0] == pytest.approx(lines[0].x[0] * 2e9)


def test_both_axes_are_logarithmic_and_hover_says_which_limit_is_near() -> None:
    figure = roofline_figure(roofline_data(WINDOW, work()))
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    points = figure.data[-1]
    assert "of what memory allows" in points.hovertext[0]
    assert "of what arithmetic allows" in points.hovertext[1]
    assert points.marker.size[0] > points.marker.size[1] > points.marker.size[2]


def test_without_a_peak_the_points_stay_and_the_reason_is_drawn() -> None:
    data = roofline_data(WINDOW, work(peak=None))
    assert np.isnan(data.roofs).all()
    figure = roofline_figure(data)
    assert len(figure.data) == 1
    assert "no peak is known for NVIDIA X" in figure.layout.annotations[0].text


def test_on_a_host_its_own_time_counts_and_no_device_peak_is_drawn() -> None:
    data = roofline_data(table(("aten::mm", 6, 0.5, 0.5), ("aten::relu", 1, 0.5, 0.5), device=False), work())
    assert data.achieved == pytest.approx([6 * 2_000_000 / 0.5])
    assert (data.ceilings, data.on_device) == ((), False)
    assert "CPU" in data.reason


def test_a_window_without_counted_operators_says_so() -> None:
    figure = roofline_figure(roofline_data(table(("CompiledFunction", 6, 0.5, 0.5)), work()))
    assert "uncompiled" in figure.layout.annotations[0].text


def test_both_axes_reach_from_a_decade_to_a_decade_with_room_around_the_points() -> None:
    operators = [{"name": "aten::mm", "pass": "forward", "format": "float32", "calls": 1, "flops": 900, "bytes": 100}]
    data = roofline_data(table(("aten::mm", 1, 1e-6, 1e-6), device=False), work(operators=operators))
    layout = roofline_figure(data).layout
    assert tuple(layout.xaxis.range) == (0, 2)  # 9 operations a byte, too near to 10 for what is written there
    assert tuple(layout.yaxis.range) == (8, 10)  # 900 operations in a microsecond
