"""Operators by name: as torch.profiler counts them, on real windows and on traces made to be awkward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.checkpoint import checkpoint
from trace_making import Making, lines

from torchglass.instrumentation.profiling.kineto import read_trace
from torchglass.store import Table
from torchglass.traces.profile import profile_of

MICROSECOND = 1e-6
MARKERS = ("ProfilerStep", "nn.Module: ", "torchglass.phase#")


def mlp() -> Callable[[], torch.Tensor]:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 4))
    return lambda: model(torch.randn(4, 8)).sum()


def cnn() -> Callable[[], torch.Tensor]:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten())
    return lambda: model(torch.randn(2, 3, 8, 8)).square().mean()


def transformer() -> Callable[[], torch.Tensor]:
    model = nn.TransformerEncoderLayer(d_model=16, nhead=2, dim_feedforward=32, batch_first=True)
    return lambda: model(torch.randn(2, 5, 16)).mean()


def checkpointed() -> Callable[[], torch.Tensor]:
    block = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))
    return lambda: checkpoint(block, torch.randn(4, 8, requires_grad=True), use_reentrant=False).sum()


def recurrent() -> Callable[[], torch.Tensor]:
    model = nn.LSTM(4, 8, num_layers=2)
    return lambda: model(torch.randn(6, 2, 4))[0].sum()


def forked(values: torch.Tensor) -> torch.Tensor:
    first, second = torch.jit.fork(torch.relu, values), torch.jit.fork(torch.sin, values)
    return torch.jit.wait(first) + torch.jit.wait(second)


def scripted() -> Callable[[], torch.Tensor]:
    """An interpreter that another thread may resume: its calls are asynchronous then."""
    script = torch.jit.script(forked)
    return lambda: script(torch.randn(4, 4)).sum()


def window(make: Callable[[], Callable[[], torch.Tensor]]) -> Any:
    """A window of two whole training steps on the CPU."""
    loss = make()
    weight = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(2):
            with record_function("torchglass.phase#data"):
                pass
            with record_function("loss of the user"):
                value = loss() + weight.sum()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            profiler.step()
    return profiler


def averages(profiler: Any) -> dict[str, tuple[int, float, float]]:
    """What torch.profiler says: calls, own and total seconds by name."""
    return {
        event.key: (event.count, event.self_cpu_time_total / 1e6, event.cpu_time_total / 1e6)
        for event in profiler.key_averages()
        if not event.key.startswith(MARKERS)
    }


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("make", [mlp, cnn, transformer, checkpointed, recurrent, scripted])
def test_operators_equal_key_averages_of_torch_profiler(make: Callable[[], Callable[[], torch.Tensor]]) -> None:
    profiler = window(make)
    table = profile_of(read_trace(profiler.profiler.kineto_results.events())).tables["operators"]
    ours = {name: row for name, *row in lines(table, "name", "calls", "self_seconds", "total_seconds")}
    theirs = averages(profiler)
    assert "loss of the user" in ours
    assert len(theirs) > 20
    for name, (calls, own, total) in theirs.items():
        found = ours[name]
        assert found[0] == calls, name
        assert found[1] == pytest.approx(own, abs=MICROSECOND), name
        assert found[2] == pytest.approx(total, abs=MICROSECOND), name
    assert ours.keys() == theirs.keys()


def operators(making: Making) -> Table:
    return profile_of(making.trace()).tables["operators"]


def test_time_of_its_own_is_what_no_call_directly_inside_covers() -> None:
    made = Making().op("outer", 0, 100).op("inner", 10, 30).op("deep", 12, 5).op("inner", 50, 20)
    assert lines(operators(made), "name", "calls", "self_seconds", "total_seconds") == [
        ("outer", 1, 50e-9, 100e-9),
        ("inner", 2, 45e-9, 50e-9),
        ("deep", 1, 5e-9, 5e-9),
    ]


def test_a_wrapper_around_its_own_name_counts_once_and_one_among_others_does_not() -> None:
    wrapped = Making().op("twice", 0, 90).op("twice", 10, 60).op("twice", 20, 30).op("leaf", 25, 7)
    assert lines(operators(wrapped), "name", "calls", "self_seconds", "total_seconds") == [
        ("twice", 1, 83e-9, 90e-9),
        ("leaf", 1, 7e-9, 7e-9),
    ]
    beside = Making().op("twice", 0, 90).op("twice", 10, 60).op("leaf", 75, 7)
    assert lines(operators(beside), "name", "calls", "total_seconds") == [("twice", 2, 150e-9), ("leaf", 1, 7e-9)]


def test_a_call_that_outlives_its_surroundings_takes_nothing_from_them() -> None:
    made = Making().op("outer", 0, 100).op("late", 90, 20)
    assert lines(operators(made), "name", "self_seconds") == [("outer", 100e-9), ("late", 20e-9)]


def test_an_asynchronous_call_has_no_time_of_its_own_and_nobody_is_inside_of_it() -> None:
    """Gloo's worker ends what another thread began; torch.profiler keeps such calls out of the nesting."""
    made = Making().op("outer", 0, 100).op("exchange", 10, 200, asynchronous=True).op("inner", 20, 30)
    assert lines(operators(made), "name", "calls", "self_seconds", "total_seconds") == [
        ("outer", 1, 70e-9, 100e-9),
        ("inner", 1, 30e-9, 30e-9),
        ("exchange", 1, 0.0, 200e-9),
    ]


def test_of_calls_that_begin_together_the_longer_is_around_the_shorter() -> None:
    made = Making().op("inner", 0, 40).op("outer", 0, 100)
    assert lines(operators(made), "name", "self_seconds") == [("outer", 60e-9), ("inner", 40e-9)]


def test_a_call_that_begins_where_another_ends_is_not_inside_of_it() -> None:
    assert lines(operators(Making().op("a", 0, 10).op("a", 10, 0)), "name", "calls") == [("a", 2)]


def test_threads_do_not_nest_in_each_other() -> None:
    made = Making().op("one", 0, 100, lane=1).op("other", 10, 50, lane=2)
    assert lines(operators(made), "name", "self_seconds") == [("one", 100e-9), ("other", 50e-9)]


def test_threads_centuries_apart_do_not_nest_in_each_other() -> None:
    """One whose clock begins in 1970 and one whose clock begins with the machine, say."""
    made = Making()
    for lane in range(9):
        begin = -(2 * 10**18) if lane % 2 else 19 * 10**17
        made.op("outer", begin, 100, lane=lane).op("inner", begin + 10, 30, lane=lane)
    assert lines(operators(made), "name", "self_seconds") == [("outer", 630e-9), ("inner", 270e-9)]


def test_markers_take_time_from_their_surroundings_and_are_no_operators() -> None:
    made = Making().op("outer", 0, 100).note("nn.Module: net.conv", 20, 30).note("torchglass.phase#data", 60, 1)
    assert lines(operators(made), "name", "self_seconds") == [("outer", 69e-9)]


def test_device_time_of_an_operator_is_its_own_kernels_and_in_all_those_within() -> None:
    made = (
        Making()
        .op("Block", 0, 300)
        .op("aten::linear", 0, 100)
        .op("aten::addmm", 10, 50)
        .call(20, 5, correlation=3)
        .call(70, 5, correlation=4)
        .kernel("gemm", 200, 40, correlation=3)
        .kernel("bias", 240, 3, correlation=4)
        .op("aten::relu", 400, 2)
        .call(401, 1, correlation=5)
        .kernel("relu", 500, 9, correlation=5)
    )
    assert lines(operators(made), "name", "device_self_seconds", "device_total_seconds") == [
        ("Block", 0.0, 43e-9),
        ("aten::linear", 3e-9, 43e-9),
        ("aten::addmm", 40e-9, 40e-9),
        ("cudaLaunchKernel", 0.0, 0.0),
        ("aten::relu", 9e-9, 9e-9),
    ]


def test_calls_of_the_runtime_belong_to_the_thread_of_the_operator_that_they_name() -> None:
    made = (
        Making()
        .op("aten::add", 0, 100, lane=1, operator_id=9)
        .call(10, 30, correlation=2, lane=4711, external=9)
        .kernel("add", 60, 8, correlation=2)
    )
    assert lines(operators(made), "name", "self_seconds", "device_self_seconds") == [
        ("aten::add", 70e-9, 8e-9),
        ("cudaLaunchKernel", 30e-9, 0.0),
    ]


def test_only_the_400_longest_names_are_rows_and_the_rest_is_one_more() -> None:
    made = Making()
    for index in range(403):
        made.op(f"op{index}", index * 2_000, 1_000 + index)
    rows = profile_of(made.trace()).rows
    assert len(rows) == 401
    assert rows[0][1:] == ("op402", 1, 1_402e-9, 1_402e-9)
    assert rows[-1].name == "(3 more names)"
    assert rows[-1].calls == 3
    assert rows[-1].self_seconds == pytest.approx(3_003e-9)
