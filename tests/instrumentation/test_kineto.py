"""Raw Kineto events become columns: what each says of itself, on any version of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from training import batches, seeded, train_step

from torchglass.instrumentation.profiling.kineto import PAUSE_SECONDS, TURN_EVENTS, read_trace
from torchglass.instrumentation.profiling.scopes import mark_phase
from torchglass.traces.trace import HOST, NO_ID, NO_SEQUENCE, Kind

THREAD, STREAM = 4711, 7


class Event:
    """A `_KinetoEvent` with the accessors that torch 2.13 has."""

    def __init__(self, activity: str, name: str, start: int, duration: int, **told: Any) -> None:
        self._told = {"activity_type": activity, "name": name, "start_ns": start, "duration_ns": duration, **told}

    def activity_type(self) -> str:
        return str(self._told["activity_type"])

    def __getattr__(self, name: str) -> Any:
        on_device = self._told["activity_type"] in ("kernel", "gpu_memcpy", "gpu_memset", "gpu_user_annotation")
        usual = {
            "device_type": DeviceType.CUDA if on_device else DeviceType.CPU,
            "device_index": 0,
            "device_resource_id": STREAM if on_device else THREAD,
            "start_thread_id": 1,
            "end_thread_id": 1,
            "is_async": False,
            "correlation_id": NO_ID,
            "linked_correlation_id": NO_ID,
            "sequence_nr": NO_SEQUENCE,
            "fwd_thread_id": 0,
            "metadata_json": "",
            "nbytes": 0,
            "is_user_annotation": "annotation" in self._told["activity_type"],
        }
        if name not in usual and name not in self._told:
            raise AttributeError(name)
        return lambda: self._told.get(name, usual.get(name))


class Older(Event):
    """One of a torch that does not tell the kind, nor the arguments."""

    activity_type = property()  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name in ("activity_type", "metadata_json", "nbytes"):
            raise AttributeError(name)
        return super().__getattr__(name)


GEMM = (
    '"queued": 0, "device": 0, "stream": 7, "correlation": 31, "grid": [264, 2, 1], "block": [128, 1, 1], '
    '"blocks per SM": 4.0, "est. achieved occupancy %": 37, "graph node id": 5'
)
STEP = [
    Event("kernel", "gemm", 900, 400, correlation_id=31, linked_correlation_id=11, metadata_json=GEMM, device_index=3),
    Event("cpu_op", "aten::mm", 100, 500, correlation_id=11, sequence_nr=8),
    Event("cuda_runtime", "cudaLaunchKernel", 300, 50, correlation_id=31, linked_correlation_id=11),
    Event("cpu_op", "MmBackward0", 700, 90, correlation_id=12, sequence_nr=8, fwd_thread_id=1),
    Event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 50, 20, metadata_json='"bytes": 4096'),
    Event("gpu_user_annotation", "Optimizer.step#SGD.step", 880, 500),
    Event("cpu_op", "nn.Module: first", 90, 600, correlation_id=10),
    Event("cpu_instant_event", "[memory]", 95, 0),
    Event("cpu_instant_event", "[memory]", 96, 0),
]


def test_each_event_says_where_when_and_to_what_it_belongs() -> None:
    trace = read_trace(STEP)
    found = {trace.text(row): row for row in range(len(trace))}
    assert trace.start_ns.tolist() == [50, 90, 100, 300, 700, 880, 900]
    kinds = {name: Kind(int(trace.kind[row])) for name, row in found.items()}
    assert kinds == {
        "Memcpy HtoD (Pageable -> Device)": Kind.COPY,
        "nn.Module: first": Kind.ANNOTATION,
        "aten::mm": Kind.OPERATOR,
        "cudaLaunchKernel": Kind.RUNTIME,
        "MmBackward0": Kind.OPERATOR,
        "Optimizer.step#SGD.step": Kind.DEVICE_ANNOTATION,
        "gemm": Kind.KERNEL,
    }
    gemm, launch, operator, backward = (found[name] for name in ("gemm", "cudaLaunchKernel", "aten::mm", "MmBackward0"))
    assert (trace.device[gemm], trace.lane[gemm]) == (3, STREAM)
    assert (trace.device[launch], trace.lane[launch]) == (HOST, THREAD)
    assert trace.correlation[gemm] == trace.correlation[launch] == 31
    assert trace.external[gemm] == trace.external[launch] == trace.operator_id[operator] == 11
    assert (trace.correlation[operator], trace.external[operator]) == (NO_ID, NO_ID)
    assert trace.sequence[operator] == trace.sequence[backward] == 8
    assert (trace.forward_lane[operator], trace.forward_lane[backward]) == (NO_ID, THREAD)
    assert trace.duration_ns[gemm] == 400
    assert (trace.blocks_per_sm[gemm], trace.occupancy_percent[gemm], trace.graph_node[gemm]) == (4.0, 37.0, 5)
    assert trace.bytes_moved[found["Memcpy HtoD (Pageable -> Device)"]] == 4096
    assert np.isnan(trace.bytes_moved[gemm])
    assert np.isnan(trace.occupancy_percent[operator])
    assert trace.facts == {"left_out": {"cpu_instant_event": 2}}


def test_blocks_come_from_the_grid_where_torch_does_not_divide_it() -> None:
    grid = Event("kernel", "k", 0, 1, metadata_json='"grid": [10, 3, 2]')
    assert read_trace([grid], {"deviceProperties": [{"id": 0, "numSms": 24}]}).blocks_per_sm.tolist() == [2.5]
    assert np.isnan(read_trace([grid]).blocks_per_sm).all()


def test_a_collective_keeps_what_it_says_of_itself() -> None:
    told = '"Collective name": "allreduce", "In msg nelems": 1000, "dtype": "Float", "Group size": 4, "stream": 20'
    trace = read_trace([*STEP, Event("kernel", "ncclDevKernel_AllReduce", 10, 5, metadata_json=told)])
    assert trace.texts == {
        0: {"Collective name": "allreduce", "In msg nelems": 1000, "dtype": "Float", "Group size": 4}
    }


def test_arguments_that_are_no_json_are_counted() -> None:
    trace = read_trace([Event("kernel", "k", 0, 1, metadata_json='"broken": "a"b"')])
    assert np.isnan(trace.blocks_per_sm[0])
    assert trace.facts["unreadable_arguments"] == 1


def test_what_ends_on_another_thread_than_it_began_on_is_asynchronous() -> None:
    events = [
        Event("user_annotation", "gloo:all_reduce", 10, 90, is_async=True),
        Event("cpu_op", "resumed", 5, 90, end_thread_id=2),
        Event("cpu_op", "aten::mm", 1, 90),
    ]
    trace = read_trace(events)
    assert sorted(trace.text(row) for row in trace.asynchronous) == ["gloo:all_reduce", "resumed"]


def test_an_older_torch_is_read_by_names_and_devices() -> None:
    trace = read_trace([Older(**_plain(event)) for event in STEP if event.activity_type() != "cpu_instant_event"])
    kinds = [Kind(int(kind)) for kind in trace.kind]
    assert kinds == [
        Kind.COPY,
        Kind.ANNOTATION,
        Kind.OPERATOR,
        Kind.RUNTIME,
        Kind.OPERATOR,
        Kind.DEVICE_ANNOTATION,
        Kind.KERNEL,
    ]
    assert np.isnan(trace.blocks_per_sm).all()


def _plain(event: Event) -> dict[str, Any]:
    told = dict(event._told)
    return {
        "activity": told.pop("activity_type"),
        "name": told.pop("name"),
        "start": told.pop("start_ns"),
        "duration": told.pop("duration_ns"),
        **told,
    }


def test_no_events_are_a_trace_of_none() -> None:
    trace = read_trace([])
    assert len(trace) == 0
    assert trace.forward_lane.shape == (0,)


def test_others_get_their_turn_after_every_so_many_events() -> None:
    pauses: list[float] = []
    read_trace([STEP[1]] * (3 * TURN_EVENTS + 1), pause=pauses.append)
    assert pauses == [PAUSE_SECONDS] * 4


def test_a_real_window_links_backward_to_forward_and_holds_our_marks() -> None:
    model = seeded()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    train_step(model, optimizer, batches(1)[0])
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        train_step(model, optimizer, batches(1)[0])
        mark_phase("other")
    trace = read_trace(profiler.profiler.kineto_results.events())  # type: ignore[union-attr]
    names = [trace.text(row) for row in range(len(trace))]
    backward = names.index("AddmmBackward0")
    forward = [row for row in range(backward) if trace.sequence[row] == trace.sequence[backward]]
    assert "aten::addmm" in {names[row] for row in forward}
    assert trace.forward_lane[backward] == trace.lane[forward[0]]
    assert trace.kind[names.index("torchglass.phase#other")] == Kind.ANNOTATION
    assert trace.kind[names.index("Optimizer.step#Adam.step")] == Kind.ANNOTATION
    assert (np.diff(trace.start_ns) >= 0).all()


@pytest.mark.parametrize("activity", ["mtia_counters", "hardware_counters", "cuda_event"])
def test_an_activity_that_is_no_work_is_left_out_and_counted(activity: str) -> None:
    trace = read_trace([*STEP, Event(activity, "x", 1, 1)])
    assert trace.facts["left_out"][activity] == 1
    assert "x" not in trace.names
