"""Windows open when they are due or asked for, say what they saw and what they cost, and leave training alone."""

from __future__ import annotations

import gc
import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from torch._C._autograd import _profiler_enabled
from torch.profiler import ProfilerActivity, profile, schedule
from training import Small, batches, facts, read, recorded, seeded, train_step

import torchglass
from torchglass.errors import OptionError
from torchglass.instrumentation import Cadence, every
from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.profiling import finished as windows_module
from torchglass.instrumentation.profiling.windows import FIRST_STEP, REMEMBERED_STEPS, ProfilerWindows
from torchglass.store import Batch


@pytest.fixture(autouse=True)
def nothing_compiled_yet() -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


@pytest.fixture
def no_profiler_left() -> Iterator[None]:
    yield
    assert not _profiler_enabled()


@pytest.fixture
def nothing_collected() -> Iterator[None]:
    """What is dropped stays for a while, and must not count."""
    gc.disable()
    yield
    gc.enable()


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
        assert (window.step_count, window.facts["device"]) == (2, "cpu")
        assert window.wall_seconds > 0
        assert window.facts["slowdown"] > 0


@pytest.mark.usefixtures("no_profiler_left")
def test_a_window_that_the_run_does_not_live_to_see_is_thrown_away(tmp_path: Path) -> None:
    train(tmp_path / "s.db", 7, profile=every(100, steps=50))
    store, run = read(tmp_path / "s.db")
    assert store.windows(run.id) == []
    said = "no profiler window: recording ended before the 50 steps of one had passed"
    assert facts(tmp_path / "s.db")["warnings/profiler"] == said
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


@pytest.mark.usefixtures("no_profiler_left")
@pytest.mark.parametrize("start", [0, 5, 6, 7, 8])
@pytest.mark.parametrize("wait", [0, 1, 3, 4, 5, 6])
def test_a_profiler_with_a_schedule_of_the_users_sees_all_its_steps(tmp_path: Path, wait: int, start: int) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen: list[int] = []

    def note(theirs: Any) -> None:
        seen.append({row.key: row.count for row in theirs.key_averages()}["aten::linear"])

    theirs = profile(
        activities=[ProfilerActivity.CPU], schedule=schedule(wait=wait, warmup=1, active=2), on_trace_ready=note
    )
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(100, steps=3)):
        for step, inputs in enumerate(batches(start + wait + 3)):
            if step == start:
                theirs.start()
            train_step(model, optimizer, inputs)
            if step >= start:
                theirs.step()
    theirs.stop()
    assert seen == [2 * 2]


@pytest.mark.usefixtures("no_profiler_left", "nothing_collected")
@pytest.mark.parametrize("kind", [profile, torch.autograd.profiler.profile])
@pytest.mark.parametrize("last", [6, 12])
def test_a_window_gives_way_to_a_profiler_that_is_started_during_it(tmp_path: Path, kind: Any, last: int) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    theirs = kind()
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(20, steps=3)):
        for step, inputs in enumerate(batches(30)):
            if step == 6:
                theirs.__enter__()
            train_step(model, optimizer, inputs)
            if step == last:
                theirs.__exit__(None, None, None)
    assert {row.key: row.count for row in theirs.key_averages()}["aten::linear"] == (last - 5) * 2
    store, run = read(tmp_path / "s.db")
    assert [window.step for window in store.windows(run.id)] == [26]
    assert facts(tmp_path / "s.db")["warnings/profiler"] == "no profiler window: another profiler was started"


@pytest.mark.usefixtures("no_profiler_left")
def test_a_profiler_of_the_users_that_has_done_its_work_keeps_no_window_away(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    only_once = schedule(wait=0, warmup=1, active=1, repeat=1)
    with (
        profile(activities=[ProfilerActivity.CPU], schedule=only_once) as theirs,
        torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(100, steps=2)),
    ):
        for inputs in batches(9):
            train_step(model, optimizer, inputs)
            theirs.step()
    store, run = read(tmp_path / "s.db")
    assert [window.step for window in store.windows(run.id)] == [6]


@pytest.mark.usefixtures("no_profiler_left")
@pytest.mark.parametrize("refused", ["_enable_profiler", "_disable_profiler"])
def test_a_profiler_that_torch_refuses_to_start_or_to_stop_costs_its_window_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    act = getattr(torch.autograd.profiler, refused)

    def refuse(*given: Any) -> Any:
        monkeypatch.setattr(torch.autograd.profiler, refused, act)
        if refused == "_disable_profiler":
            act(*given)
        raise RuntimeError("CUPTI is taken")

    monkeypatch.setattr(torch.autograd.profiler, refused, refuse)
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(10, steps=2)):
        for step, inputs in enumerate(batches(20)):
            train_step(model, optimizer, inputs)
            if 8 <= step < 15:  # between the window that was refused and the next
                assert not any(module._forward_hooks for module in model.children())
    store, run = read(tmp_path / "s.db")
    assert [window.step for window in store.windows(run.id)] == [16]
    assert facts(tmp_path / "s.db")["warnings/profiler"] == "no profiler window: CUPTI is taken"
    assert "warnings/hooks" not in facts(tmp_path / "s.db")


def test_a_window_that_another_thread_asks_for_while_a_step_ends_is_not_forgotten() -> None:
    windows = ProfilerWindows(Cadence(None), 0, lambda _record: None, lambda: 0.0)
    look = windows._needed_from

    def asked_meanwhile(step: int) -> float:
        found = look(step)
        windows.ask(2)
        return found

    windows._needed_from = asked_meanwhile  # type: ignore[method-assign]
    windows.step_ended(0, 0)
    assert windows.wakes_at == -math.inf


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


@pytest.mark.usefixtures("no_profiler_left")
def test_a_window_names_modules_phases_and_its_steps_as_the_run_counts_them(tmp_path: Path) -> None:
    train(tmp_path / "s.db", 12, profile=every(10, steps=2))
    store, run = read(tmp_path / "s.db")
    (window,) = store.windows(run.id)
    tables = store.window_tables(window.id, ["links", "steps", "phases", "slices"])
    assert tables["steps"]["number"].tolist() == [window.step, window.step + 1] == [6, 7]
    links = tables["links"]
    modules = {
        (str(phase), str(module))
        for phase, module, operator in zip(links["phase"], links["module"], links["operator"], strict=True)
        if "addmm" in str(operator).lower()
    }
    assert {("forward", "first"), ("forward", "second"), ("backward", "first"), ("backward", "second")} <= modules
    phases = dict(zip(tables["phases"]["phase"].tolist(), tables["phases"]["seconds"].tolist(), strict=True))
    for phase in ("forward", "backward", "optimizer"):
        timed = recorded(tmp_path / "s.db", f"phase/{phase}")
        assert phases[phase] == pytest.approx(timed[6] + timed[7], rel=0.1, abs=1e-3)
    assert window.facts["cost"]["events"] > 100
    assert window.facts["cost"]["stop_seconds"] > 0


def test_the_modules_hooks_are_gone_when_the_window_is_even_where_a_forward_raised(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: dict(module._forward_hooks) for name, module in model.named_modules() if name}
    hooked = []
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(100, steps=3)):
        for step, inputs in enumerate(batches(12)):
            if step == 7:
                with pytest.raises(RuntimeError):
                    model(torch.ones(3, 5))
            train_step(model, optimizer, inputs)
            hooked.append(any(module._forward_hooks for name, module in model.named_modules() if name))
    assert [step for step, found in enumerate(hooked) if found] == [5, 6, 7]
    assert {name: dict(module._forward_hooks) for name, module in model.named_modules() if name} == before
    store, run = read(tmp_path / "s.db")
    (window,) = store.windows(run.id)
    modules = set(store.window_tables(window.id, ["links"])["links"]["module"].tolist())
    assert {"first", "second"} <= modules


@pytest.mark.parametrize("how", ["in place", "wrapped"])
def test_a_compiled_model_is_left_alone_and_its_window_says_why_it_shows_no_modules(tmp_path: Path, how: str) -> None:
    model: Any = Small()
    if how == "in place":
        model.compile(backend="eager")
    else:
        model = torch.compile(model, backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(100, steps=2)):
        for inputs in batches(9):
            train_step(model, optimizer, inputs)
            parts = [module for name, module in model.named_modules() if name not in ("", "_orig_mod")]
            assert not any(module._forward_hooks for module in parts)
    store, run = read(tmp_path / "s.db")
    (window,) = store.windows(run.id)
    assert "compiled" in window.facts["missing"]["modules"]


def test_a_window_over_a_compiled_function_compiles_nothing_anew(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss_of(inputs: torch.Tensor) -> torch.Tensor:
        return model(inputs).square().mean()  # type: ignore[no-any-return]

    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(loss_of, backend=counter, fullgraph=True)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=every(100, steps=3)):
        for step in range(14):
            optimizer.zero_grad()
            compiled(torch.ones(3 if step != 7 else 5, 4)).backward()  # a new shape within the window
            optimizer.step()
    once = counter.frame_count
    torch._dynamo.reset()
    without = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(loss_of, backend=without, fullgraph=True)
    for size in (3, 5, 3):
        compiled(torch.ones(size, 4)).backward()
    assert once == without.frame_count
    store, run = read(tmp_path / "s.db")
    (window,) = store.windows(run.id)
    assert "compiled" in window.facts["missing"]["modules"]


@pytest.mark.usefixtures("no_profiler_left")
def test_a_window_is_had_for_the_asking(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=None) as run:
        for step, inputs in enumerate(batches(40)):
            if step == 20:
                run.profile_now(steps=4)
            train_step(model, optimizer, inputs)
        for wrong in (0, -1, 101, 1.5, True):
            with pytest.raises(OptionError, match="number of steps"):
                run.profile_now(wrong)  # type: ignore[arg-type]
    store, stored = read(tmp_path / "s.db")
    (window,) = store.windows(stored.id)
    assert (window.step, window.step_count) == (22, 4)
    with torchglass.start(store=tmp_path / "t.db", devices=False) as alone, pytest.raises(OptionError, match="attach"):
        alone.profile_now()


@pytest.mark.usefixtures("no_profiler_left")
def test_another_process_asks_through_the_store(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = batches(1)[0]
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=None) as run:
        with torchglass.open_store(tmp_path / "s.db") as page:
            assert page.request_profile(run.id, 2) == (1, 2)
        watched = run._watcher.watched
        assert watched is not None
        for _attempt in range(100_000):
            train_step(model, optimizer, inputs)
            if watched.profiler.is_open:
                break
        for _step in range(4):
            train_step(model, optimizer, inputs)
    store, stored = read(tmp_path / "s.db")
    (window,) = store.windows(stored.id)
    assert window.step_count == 2
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, resume=run.name) as again:
        assert again._requests_seen == 1  # asked and answered before


@pytest.mark.usefixtures("no_profiler_left")
def test_the_whole_trace_is_kept_where_that_is_wanted(tmp_path: Path) -> None:
    train(tmp_path / "s.db", 9, profile=every(100, steps=2, keep_traces=True))
    store, run = read(tmp_path / "s.db")
    (window,) = store.windows(run.id)
    with gzip.open(tmp_path / "torchglass-traces" / window.facts["trace_file"]) as file:
        names = {event.get("name") for event in json.load(file)["traceEvents"]}
    assert {"aten::addmm", "nn.Module: first", "torchglass.phase#forward"} <= names


def test_a_window_that_cannot_be_read_is_missing_with_the_reason_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> Any:
        raise AttributeError("no start_ns")

    monkeypatch.setattr(windows_module, "read_trace", broken)
    train(tmp_path / "s.db", 30, profile=every(10, steps=2))
    store, run = read(tmp_path / "s.db")
    assert store.windows(run.id) == []
    assert len(recorded(tmp_path / "s.db", "phase/step")) == 30
    assert "could not be read: AttributeError: no start_ns" in facts(tmp_path / "s.db")["warnings/profiler"]


@pytest.mark.parametrize(("seen", "says"), [(0, "another tool may hold CUPTI"), (7, "saw 7 of the 10"), (10, None)])
def test_kernels_that_were_launched_and_not_seen_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: int, says: str | None
) -> None:
    real = windows_module.profile_of

    def lacking(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        quality = {"launches": 10, "launches_with_kernel": seen}
        return type(found)(found.rows, found.tables, {**found.facts, "quality": quality})

    monkeypatch.setattr(windows_module, "profile_of", lacking)
    train(tmp_path / "s.db", 9, profile=every(100, steps=2))
    told = facts(tmp_path / "s.db").get("warnings/profiler")
    assert (told is None) if says is None else (says in told)


class FakeClock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened_windows(cadence: Cadence, steps: int, clock: FakeClock, stop_seconds: float) -> list[int]:
    """First steps of the windows that open while a step takes 10 ms and stopping a window so many seconds."""
    records: list[Record] = []
    windows = ProfilerWindows(cadence, 0, records.append, lambda: 0.0, clock)
    for step in range(steps):
        clock.now += 0.01
        if step >= windows.wakes_at:
            was_open = windows.is_open
            windows.step_ended(step, round(clock.now * 1e9))
            if was_open and not windows.is_open:
                # As if stopping had taken so long; `_finish` read the clock before and after.
                windows._rest_for(stop_seconds)
    batch = Batch()
    for record in records:
        assert isinstance(record, Deferred)
        record.add_to(batch)
    return [window.step for window in batch.windows]


@pytest.mark.usefixtures("no_profiler_left")
def test_windows_that_cost_more_than_their_share_of_the_time_are_left_out() -> None:
    # 2 % of 100 steps of 10 ms are 20 ms: a window of 0.1 s rests for 5 s, which is 500 steps.
    assert opened_windows(every(100, steps=2), 1100, FakeClock(), 0.1) == [*range(6, 1100, 100)]
    assert opened_windows(every(100, steps=2, at_most=0.02), 1100, FakeClock(), 0.1) == [6, 606]
    assert opened_windows(every(100, steps=2, at_most=0.02), 1100, FakeClock(), 0.0) == [*range(6, 1100, 100)]
