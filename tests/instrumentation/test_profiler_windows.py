"""A window's rows say what torch.profiler itself says of the same events."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._C._autograd import DeviceType, _profiler_enabled
from torch.profiler import ProfilerActivity, profile
from training import batches, facts, read, seeded, train_step

import torchglass
from torchglass.instrumentation import Cadence, every
from torchglass.instrumentation.kineto import MAX_ROWS, Span, kernel_rows, operator_rows, read_spans
from torchglass.instrumentation.profiling import FIRST_STEP, REMEMBERED_STEPS, ProfilerWindows


class Event:
    """A `_KinetoEvent` as far as we read one."""

    def __init__(
        self, name: str, start: int, duration: int, *, on_device: bool = True, lane: int = 7, annotation: bool = False
    ) -> None:
        self._name, self._start, self._duration, self._lane = name, start, duration, lane
        self._device = DeviceType.CUDA if on_device else DeviceType.CPU
        self._annotation = annotation

    def name(self) -> str:
        return self._name

    def device_type(self) -> DeviceType:
        return self._device

    def device_resource_id(self) -> int:
        return self._lane

    def start_thread_id(self) -> int:
        return self._lane

    def start_ns(self) -> int:
        return self._start

    def duration_ns(self) -> int:
        return self._duration

    def is_user_annotation(self) -> bool:
        return self._annotation


def test_operator_rows_equal_key_averages_of_a_real_training() -> None:
    model = seeded()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    train_step(model, optimizer, batches(1)[0])
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for inputs in batches(5, size=64):
            train_step(model, optimizer, inputs)
    result = profiler.profiler.kineto_results
    ours = {row.name: row for row in operator_rows(read_spans(result.events()))}
    theirs = {row.key: row for row in profiler.key_averages()}
    assert len(ours) > 20
    assert set(theirs) == set(ours)
    for name, row in theirs.items():
        assert ours[name].calls == row.count, name
        assert ours[name].self_seconds * 1e6 == pytest.approx(row.self_cpu_time_total, abs=1.0), name
        assert ours[name].total_seconds * 1e6 == pytest.approx(row.cpu_time_total, abs=1.0), name


def test_self_time_leaves_out_what_is_nested_on_the_same_thread_only() -> None:
    spans = [
        Span("outer", False, 1, 0, 100),
        Span("inner", False, 1, 10, 50),
        Span("leaf", False, 1, 20, 20),
        Span("late", False, 1, 90, 30),  # outlives its parent by 20
        Span("other thread", False, 2, 0, 100),
        Span("ProfilerStep#3", False, 1, 0, 200),
    ]
    found = {row.name: (row.calls, round(row.self_seconds * 1e9)) for row in operator_rows(spans)}
    assert found == {"outer": (1, 40), "inner": (1, 30), "leaf": (1, 20), "late": (1, 30), "other thread": (1, 100)}


def test_kernels_are_summed_by_name_and_mirrored_annotations_are_no_work() -> None:
    events = [
        Event("gemm", 0, 1000),
        Event("gemm", 2000, 3000),
        Event("Memcpy HtoD", 100, 500, lane=9),
        Event("ProfilerStep#5", 0, 9000, annotation=True),
        Event("my range", 0, 9000, annotation=True),
        Event("aten::mm", 0, 700, on_device=False),
    ]
    spans = read_spans(events)
    kernels = {row.name: (row.kind, row.calls, round(row.total_seconds * 1e9)) for row in kernel_rows(spans)}
    assert kernels == {"gemm": ("kernel", 2, 4000), "Memcpy HtoD": ("kernel", 1, 500)}
    assert [row.name for row in operator_rows(spans)] == ["aten::mm"]


def test_annotations_are_known_by_name_where_torch_does_not_tell() -> None:
    class Old(Event):
        is_user_annotation = None  # type: ignore[assignment]

        def __getattribute__(self, name: str) -> Any:
            if name == "is_user_annotation":
                raise AttributeError(name)
            return super().__getattribute__(name)

    spans = read_spans([Old("ProfilerStep#1", 0, 5), Old("Optimizer.step#SGD.step", 0, 5), Old("gemm", 0, 5)])
    assert [span.name for span in spans] == ["gemm"]


def test_beyond_the_bound_names_are_summed_into_one_row_that_counts_them() -> None:
    rows = operator_rows(Span(f"op{index}", False, index, 0, index + 1) for index in range(MAX_ROWS + 5))
    assert len(rows) == MAX_ROWS + 1
    assert (rows[-1].name, rows[-1].calls, round(rows[-1].self_seconds * 1e9)) == ("(5 more names)", 5, 15)


@pytest.fixture
def no_profiler_left() -> Iterator[None]:
    yield
    assert not _profiler_enabled()


def train(path: Path, steps: int, **options: Any) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=path, devices=False, **options):
        for inputs in batches(steps):
            train_step(model, optimizer, inputs)


@pytest.mark.usefixtures("no_profiler_left")
def test_windows_open_at_their_cadence_and_hold_the_operators_of_their_steps(tmp_path: Path) -> None:
    train(tmp_path / "s.db", 22, profile=every(10, steps=2))
    store, run = read(tmp_path / "s.db")
    windows = store.windows(run.id)
    assert [window.step for window in windows] == [6, 16]
    for window in windows:
        calls = {row.name: row.calls for row in window.rows}
        assert calls["aten::linear"] == 2 * 2
        assert calls["aten::addmm"] == 2 * 2
        assert calls["Optimizer.step#SGD.step"] == 2
        assert (window.step_count, window.facts["device"]) == (2, "cpu")
        assert window.wall_seconds > 0
        assert window.facts["slowdown"] > 0


@pytest.mark.usefixtures("no_profiler_left")
def test_a_window_that_the_run_does_not_live_to_see_is_thrown_away(tmp_path: Path) -> None:
    train(tmp_path / "s.db", 7, profile=every(100, steps=50))
    store, run = read(tmp_path / "s.db")
    assert store.windows(run.id) == []
    train(tmp_path / "t.db", 30, profile=None)
    store, run = read(tmp_path / "t.db")
    assert store.windows(run.id) == []


@pytest.mark.usefixtures("no_profiler_left")
def test_the_users_own_profiler_is_left_alone_and_the_window_is_missing_with_a_reason(tmp_path: Path) -> None:
    with profile(activities=[ProfilerActivity.CPU]) as theirs:
        train(tmp_path / "s.db", 12, profile=every(10, steps=2))
    counts = {row.key: row.count for row in theirs.key_averages()}
    assert counts["aten::linear"] == 12 * 2
    store, run = read(tmp_path / "s.db")
    assert store.windows(run.id) == []
    assert facts(tmp_path / "s.db")["warnings/profiler"] == "no profiler window: another profiler is running"


@pytest.mark.usefixtures("no_profiler_left")
def test_a_profiler_that_the_user_starts_during_our_warmup_is_left_alone(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    theirs = profile(activities=[ProfilerActivity.CPU])
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(100, steps=3)):
        for step, inputs in enumerate(batches(14)):
            if step == 5:
                theirs.start()
            train_step(model, optimizer, inputs)
            if step == 12:
                theirs.stop()
    assert {row.key: row.count for row in theirs.key_averages()}["aten::linear"] == 8 * 2
    assert "another profiler" in facts(tmp_path / "s.db")["warnings/profiler"]


def test_between_windows_no_step_is_asked_for_but_those_with_which_the_next_is_compared() -> None:
    windows = ProfilerWindows(every(200, steps=2), 0, lambda _record: None, lambda: 0.0)
    asked = []
    for step in range(400):
        if step >= windows.wakes_at:
            asked.append(step)
            windows.step_ended(step, 1000 * step)
    # A window is opened by the step before it, and takes one step to warm up; 50 steps are remembered.
    first, second = [*range(9)], [*range(FIRST_STEP + 200 - 1 - REMEMBERED_STEPS, FIRST_STEP + 204)]
    assert asked == [*first, *second, *range(FIRST_STEP + 400 - 1 - REMEMBERED_STEPS, 400)]
    assert ProfilerWindows(Cadence(None), 0, lambda _record: None, lambda: 0.0).wakes_at == math.inf
