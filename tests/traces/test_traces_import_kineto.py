"""Traces that torch.profiler writes here and now: the numbers are those of its own `key_averages()`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile, schedule

from torchglass.traces.profile import profile_of
from torchglass.traces.reading import read_trace
from torchglass.traces.trace import MODULE_PREFIX, STEP_PREFIX, Kind

STEPS = 3


@pytest.fixture(
    scope="module",
    params=[{}, {"record_shapes": True, "with_stack": True, "with_modules": True, "profile_memory": True}],
)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A trace file of three steps, and the profiler that wrote it."""
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.ReLU(inplace=True), torch.nn.Linear(16, 4))
    optimizer = torch.optim.AdamW(model.parameters())
    plan = schedule(wait=0, warmup=1, active=STEPS, repeat=1)
    with profile(activities=[ProfilerActivity.CPU], schedule=plan, **request.param) as profiler:
        for _ in range(STEPS + 1):
            model(torch.randn(8, 16)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            profiler.step()
    path = tmp_path_factory.mktemp("kineto") / "trace.json.gz"
    profiler.export_chrome_trace(str(path))
    return path, profiler


def test_operators_are_those_of_key_averages(recorded: tuple[Path, Any]) -> None:
    path, profiler = recorded
    table = profile_of(read_trace(path).trace, source="trace").tables["operators"]
    found = {str(name): row for row, name in enumerate(table["name"])}
    # Neither calls of Python functions, which are left out, nor modules, which are what operators run within.
    names = {name for name in read_trace(path).trace.names if not name.startswith(MODULE_PREFIX)}
    expected = {each.key: each for each in profiler.key_averages() if each.key in names}
    assert len(expected) > 40
    assert all(name.startswith((MODULE_PREFIX, STEP_PREFIX)) for name in found.keys() - expected.keys())
    for name, each in expected.items():
        assert table["calls"][found[name]] == each.count
        assert table["total_seconds"][found[name]] == pytest.approx(each.cpu_time_total / 1e6, abs=1e-6)
        if not profiler.with_stack:  # it takes the calls of Python functions off the operators around them; we do not
            assert table["self_seconds"][found[name]] == pytest.approx(each.self_cpu_time_total / 1e6, abs=1e-6)


def test_steps_backward_links_modules_and_memory_are_found(recorded: tuple[Path, Any]) -> None:
    path, profiler = recorded
    reading = read_trace(path)
    trace = reading.trace
    assert reading.faults == ()
    assert sum(name.startswith(STEP_PREFIX) for name in trace.names) == STEPS
    events = {(each.name(), each.start_ns()) for each in profiler.profiler.kineto_results.events()}
    kept = {
        (trace.text(row), int(trace.start_ns[row])) for row in range(len(trace)) if trace.kind[row] == Kind.OPERATOR
    }
    assert kept <= events  # to the nanosecond, since the epoch
    backward = [row for row in range(len(trace)) if "evaluate_function" in trace.text(row) and trace.forward_lane[row]]
    assert {int(trace.forward_lane[row]) for row in backward} == {int(trace.lane[0])}
    if any(name.startswith(MODULE_PREFIX) for name in trace.names):
        assert reading.memory["allocated_bytes"].max() > 0
        assert trace.facts["left_out"]["calls of Python functions"] > 0
