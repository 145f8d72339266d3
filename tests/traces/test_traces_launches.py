"""Launch latency, lost kernels, and the steps that torch.profiler was told of."""

from __future__ import annotations

import math

import numpy as np
from trace_making import Making, lines

from torchglass.traces.profile import profile_of


def test_latency_runs_from_the_end_of_the_call_to_the_first_work_that_it_launched() -> None:
    made = (
        Making()
        .call(0, 10, correlation=1)
        .kernel("early", 4, 5, correlation=1)
        .call(100, 10, correlation=2)
        .kernel("late", 150, 5, correlation=2)
        .call(200, 20, correlation=3, name="cudaGraphLaunch")
        .kernel("second of graph", 300, 5, correlation=3)
        .kernel("first of graph", 227, 5, correlation=3)
        .call(400, 50, correlation=4, name="cudaDeviceSynchronize")
    )
    table = profile_of(made.trace()).tables["launches"]
    told = lines(table, "call", "calls", "host_seconds", "kernels")
    assert told == [
        ("cudaDeviceSynchronize", 1, 50e-9, 0),
        ("cudaLaunchKernel", 2, 20e-9, 2),
        ("cudaGraphLaunch", 1, 20e-9, 2),
    ]
    assert np.allclose(table["mean_latency_seconds"], [np.nan, 20e-9, 7e-9], rtol=1e-12, atol=0, equal_nan=True)
    assert np.allclose(table["longest_latency_seconds"], [np.nan, 40e-9, 7e-9], rtol=1e-12, atol=0, equal_nan=True)


def test_launches_whose_kernels_the_tracer_lost_are_told_apart_from_calls_that_launch_nothing() -> None:
    made = Making()
    for number in range(1, 6):
        made.call(number * 10, 5, correlation=number)
    made.call(60, 5, correlation=6, name="cuLaunchKernelEx").call(70, 5, correlation=7, name="cudaMemcpyAsync")
    made.call(80, 5, correlation=8, name="cudaEventRecord").call(90, 5, correlation=9, name="cudaStreamSynchronize")
    for number in (1, 2, 4, 6):
        made.kernel("k", 100 + number * 10, 5, correlation=number)
    quality = profile_of(made.copy("Memcpy HtoD (Pinned -> Device)", 300, 9, correlation=7).trace()).facts["quality"]
    assert (quality["launches"], quality["launches_with_kernel"]) == (7, 5)


def test_a_step_spans_on_the_device_what_was_launched_in_it_by_any_thread() -> None:
    made = (
        Making()
        .note("ProfilerStep#41", 1_000, 100)
        .note("ProfilerStep#42", 1_100, 150)
        .call(1_010, 5, correlation=1)
        .call(1_090, 5, correlation=2, lane=2)
        .call(1_100, 5, correlation=3)
        .kernel("a", 1_050, 10, correlation=1)
        .kernel("b", 1_300, 25, correlation=2)
        .kernel("b on another device", 1_300, 5, correlation=2, device=1)
        .kernel("c", 1_400, 60, correlation=3)
        .kernel("on another device", 1_320, 70, correlation=3, device=1)
        .op("before", 900, 10)
    )
    assert lines(profile_of(made.trace()).tables["steps"], "number", "start_ns", "seconds", "device_seconds") == [
        (41, 100, 100e-9, 275e-9),
        (42, 200, 150e-9, 70e-9),
    ]


def test_a_step_that_launched_nothing_has_no_time_on_a_device() -> None:
    table = profile_of(Making().note("ProfilerStep#3", 0, 10).trace()).tables["steps"]
    assert table["number"].tolist() == [3]
    assert math.isnan(table["device_seconds"][0])


def test_a_number_too_large_for_a_step_is_none() -> None:
    made = Making().note("ProfilerStep#7", 0, 10).note(f"ProfilerStep#{10**20}", 10, 10)
    made.note(f"ProfilerStep#{'9' * 5_000}", 20, 10)
    assert profile_of(made.trace()).tables["steps"]["number"].tolist() == [7]
