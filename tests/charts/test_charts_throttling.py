"""Throttling over step time: stretches last as long as readings say, and slowness is told by medians."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from torchglass.charts.records import Recorded
from torchglass.charts.throttling import PREFIX, REASONS, Stretch, read_throttling, throttling_data, throttling_figure
from torchglass.instrumentation.devices import throttling as names
from torchglass.store import Batch, RowBlock, Store
from torchglass.store.records import Points, Series

# A reading a second, ten steps apart.
STEPS = np.arange(0, 100, 10)
NORMAL, SLOW = 0.1, 0.13


def reading(reason: str, values: list[float], device: str = "gpu0", times: list[float] | None = None) -> Recorded:
    """A throttling series of one GPU."""
    at = np.array(times if times is not None else range(len(values)), float)
    points = Points(STEPS[: len(values)].astype(np.int64), at, np.array(values), len(values), len(values))
    key = f"{device}/{PREFIX}{reason}"
    return Recorded(Series(1, 1, 0, key, "device", "", 2, 0, None, None, None, None, None, None, None), points)


def step_time(slow_from: int, slow_to: int) -> Points:
    """Steps 0 to 99, slower within a range."""
    steps = np.arange(100, dtype=np.int64)
    seconds = np.where((steps >= slow_from) & (steps <= slow_to), SLOW, NORMAL)
    return Points(steps, steps / 10, seconds, 100, 100)


def test_the_reasons_and_their_words_are_those_that_training_records() -> None:
    slowing = {reason.key: reason.words for reason in names.REASONS if reason.slows}
    assert (slowing, names.PREFIX) == (REASONS, PREFIX)


def test_a_stretch_lasts_from_the_reading_that_finds_it_to_the_one_that_no_longer_does() -> None:
    data = throttling_data(step_time(30, 50), [reading("software_power_cap", [0, 0, 0, 1, 1, 0, 0, 0, 1, 1])])
    assert data.stretches == (
        Stretch("gpu0", "software_power_cap", 30, 50),
        Stretch("gpu0", "software_power_cap", 80, 90),  # still held back at the last reading
    )
    assert data.share == 0.4
    assert (data.median_within, data.median_outside) == (SLOW, NORMAL)
    assert data.slowdown == pytest.approx(1.3)


def test_a_stretch_does_not_reach_over_a_time_without_readings() -> None:
    times = [0.0, 1.0, 2.0, 3.0, 60.0, 61.0]
    data = throttling_data(step_time(0, 0), [reading("sync_boost", [0, 1, 1, 1, 0, 0], times=times)])
    assert data.stretches == (Stretch("gpu0", "sync_boost", 10, 30),)


def test_reasons_that_hold_at_once_count_a_reading_once_and_each_gpu_counts() -> None:
    both = [reading("software_power_cap", [1, 1, 0, 0]), reading("hardware_slowdown", [1, 0, 0, 0])]
    assert throttling_data(step_time(0, 0), both).share == 0.5
    other = reading("hardware_slowdown", [0, 0, 0, 0], device="gpu1")
    assert throttling_data(step_time(0, 0), [*both, other]).share == 0.25


def test_being_idle_or_set_to_lower_clocks_is_not_throttling() -> None:
    data = throttling_data(step_time(0, 0), [reading("idle", [1, 1]), reading("applications_clocks", [1, 1])])
    assert (data.stretches, data.share, data.slowdown) == ((), None, None)
    (note,) = throttling_figure(data).layout.annotations
    assert "Nothing recorded" in note.text


def test_the_figure_shades_a_trace_for_each_reason_and_names_the_gpus() -> None:
    records = [
        reading("software_power_cap", [0, 1, 0, 1, 0]),
        reading("software_power_cap", [0, 0, 0, 1, 0], device="gpu1"),
        reading("hardware_thermal_slowdown", [1, 0, 0, 0, 0]),
    ]
    figure = throttling_figure(throttling_data(step_time(10, 20), records))
    assert [trace.name for trace in figure.data] == [
        "power limit (gpu0, gpu1)",
        "hardware thermal slowdown (gpu0)",
        "step time",
    ]
    power = figure.data[0]
    assert list(power.x[:5]) == [9.5, 9.5, 20.5, 20.5, None]
    assert list(power.y[:5]) == [0, 1, 1, 0, None]
    assert power.fill == "toself"
    assert np.max(figure.data[2].y) == pytest.approx(130)  # milliseconds
    assert figure.layout.yaxis.title.text == "ms a step"


def test_a_run_that_was_never_held_back_is_a_plain_line() -> None:
    data = throttling_data(step_time(0, 0), [reading("software_power_cap", [0, 0, 0])])
    assert data.share == 0.0
    assert [trace.name for trace in throttling_figure(data).data] == ["step time"]


def test_a_hostile_device_name_stays_text() -> None:
    records = [reading("sync_boost", [1, 0], device="<b>gpu")]
    figure = throttling_figure(throttling_data(step_time(0, 0), records))
    assert "<b>" not in figure.data[0].name


def test_a_stored_run_is_read_by_the_reasons_that_held_and_by_one_series_of_each_other_gpu(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        run = store.start_run("r", {}, host="h", pid=1)
        known = {
            "gpu0/throttle_software_power_cap": [0, 1, 0, 0],
            "gpu0/throttle_sync_boost": [0, 0, 0, 0],
            "gpu1/throttle_software_power_cap": [0, 0, 0, 0],
            "gpu1/throttle_idle": [1, 1, 1, 1],
            "host/cpu_utilization_percent": [1, 1, 1, 1],
        }
        rows = [
            RowBlock.of_series(key, "device", "", STEPS[:4], np.arange(4.0), np.array(values, float))
            for key, values in known.items()
        ]
        store.write(run.id, 0, Batch(rows=rows))
        data = read_throttling(store, run.id)
        assert (data.share, data.stretches) == (1 / 8, (Stretch("gpu0", "software_power_cap", 10, 20),))
        assert len(data.steps) == 0


def test_the_line_lies_over_the_shade_and_keeps_round_ticks() -> None:
    layout = throttling_figure(throttling_data(step_time(0, 0), [reading("sync_boost", [1, 0])])).layout
    assert (layout.yaxis.overlaying, layout.yaxis.tickmode, layout.yaxis2.overlaying) == ("y2", "auto", None)
