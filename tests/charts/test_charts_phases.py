"""Phases: shares of the whole, conservation of time, bounded columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchglass.charts.columns import MAX_COLUMNS
from torchglass.charts.phases import phase_shares_figure, phases_data, phases_figure, shares_data
from torchglass.charts.records import Recorded
from torchglass.store.records import Points, Series


def phase(name: str, seconds: list[float], first_step: int = 1) -> Recorded:
    size = len(seconds)
    series = Series(1, 1, 0, f"phase/{name}", "phase", "s", size, 0, None, None, None, None, None, None, None)
    steps = np.arange(first_step, first_step + size)
    return Recorded(series, Points(steps, steps.astype(np.float64), np.array(seconds, np.float64), size, size))


def test_shares_are_of_the_time_of_all_steps_not_the_mean_of_shares() -> None:
    data = phases_data([phase("forward", [0.1, 0.7]), phase("data", [0.1, 0.1]), phase("step", [0.2, 0.8])])
    assert data.phases == ("data", "forward")
    assert data.totals == pytest.approx([0.2, 0.8])
    assert data.shares == pytest.approx([0.2, 0.8])
    assert data.step_seconds == pytest.approx([0.2, 0.8])


def test_the_mean_step_is_of_whole_steps_else_of_what_phases_add_up_to() -> None:
    parts = [phase("forward", [0.1, 0.7]), phase("data", [0.1, 0.1])]
    assert phases_data([phase("step", [0.25, 0.35, float("nan")])]).mean_step == pytest.approx(0.3)
    assert phases_data([*parts, phase("step", [0.2, 0.9])]).mean_step == pytest.approx(0.55)
    assert phases_data(parts).mean_step == pytest.approx(0.5)
    assert phases_data([]).mean_step is None


def test_stacked_phases_add_up_to_the_step_after_averaging() -> None:
    generator = np.random.default_rng(0)
    size = 3 * MAX_COLUMNS + 7
    forward, data_wait = generator.uniform(0, 1, size), generator.uniform(0, 1, size)
    whole = forward + data_wait
    data = phases_data(
        [phase("step", whole.tolist()), phase("forward", forward.tolist()), phase("data", data_wait.tolist())]
    )
    assert len(data.steps) <= MAX_COLUMNS
    assert (data.steps_per_column, data.step_count) == (4, size)
    assert data.seconds.sum(axis=0) == pytest.approx(data.step_seconds)
    assert data.seconds[1][0] == pytest.approx(forward[:4].mean())
    assert "mean of 4" in phases_figure(data).layout.xaxis.title.text


def test_phases_keep_their_order_and_colours_and_unknown_ones_are_drawn_too() -> None:
    data = phases_data([phase("warp", [0.001]), phase("other", [0.002]), phase("data", [0.001])])
    assert data.phases == ("data", "other", "warp")
    figure = phases_figure(data)
    assert len({trace.line.color for trace in figure.data}) == 3
    assert figure.layout.yaxis.title.text == "ms a step"


def test_each_share_is_a_bar_with_its_percentage_under_the_name_that_people_use() -> None:
    figure = phase_shares_figure(phases_data([phase("to_device", [0.25]), phase("data", [0.75])]))
    assert list(figure.layout.yaxis.ticktext) == ["data wait", "host to device"]
    assert list(figure.data[0].text) == ["75.0 %", "25.0 %"]
    assert [float(x) for x in figure.data[0].x] == [75.0, 25.0]


def test_shares_need_no_point_and_leave_out_the_whole_step() -> None:
    summary = phase("forward", [0.1, 0.7]).series
    parts = [
        replace(summary, key="phase/step", mean=0.5, count=4),
        replace(summary, key="phase/other", mean=0.1, count=4),
        replace(summary, key="phase/forward", mean=0.6, count=3, nonfinite_count=1),
        replace(summary, key="work/mfu_percent", mean=9.0, count=4),
    ]
    data = shares_data(parts)
    assert data.phases == ("forward", "other")
    assert data.totals == pytest.approx([1.2, 0.4])
    assert data.shares == pytest.approx([0.75, 0.25])


def test_no_phase_says_so() -> None:
    for draw in (phases_figure, phase_shares_figure):
        assert "Nothing recorded" in draw(phases_data([])).layout.annotations[0].text
