"""Collectives: by name and group, what nothing hid of them, and the bytes of their messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from trace_making import Making, lines

from torchglass.traces.profile import profile_of


def message(elements: Any, dtype: str, **more: Any) -> dict[str, Any]:
    return {"Collective name": "allreduce", "In msg nelems": elements, "dtype": dtype, **more}


def test_time_and_bytes_are_summed_by_collective_and_group() -> None:
    ring = "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
    made = (
        Making()
        .kernel("gemm", 0, 100)
        .kernel(ring, 80, 50, stream=20, text=message(1_000, "Float", **{"Process Group Name": "0"}))
        .kernel(ring, 200, 30, stream=20, text=message("500", "BFloat16", **{"Process Group Name": "0"}))
        .kernel(ring, 300, 7, stream=20, text=message(10, "Float", **{"Process Group Name": "1"}))
        .kernel("relu", 210, 4)
    )
    table = profile_of(made.trace()).tables["collectives"]
    assert lines(table, "name", "group", "calls", "seconds", "bytes") == [
        ("all_reduce", "0", 2, 80e-9, 5_000.0),
        ("all_reduce", "1", 1, 7e-9, 40.0),
    ]
    assert table["exposed_seconds"].tolist() == pytest.approx([(30 + 26) * 1e-9, 7e-9], rel=1e-12)


def test_the_larger_side_of_a_gather_counts() -> None:
    text = {"Collective name": "_allgather_base", "In msg nelems": 8, "Out msg nelems": 32, "dtype": "Half"}
    table = profile_of(Making().kernel("ncclDevKernel_AllGather_RING_LL(x)", 0, 5, text=text).trace()).tables
    assert lines(table["collectives"], "name", "bytes") == [("all_gather", 64.0)]


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(x)", "reduce_scatter"),
        ("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclDevComm*, unsigned long, ncclWork*)", "send_recv"),
        ("ncclDevKernel_Broadcast_RING_LL(x)", "broadcast"),
        ("ncclSymDevKernel_AllReduce_RSxLD_AGxST_sum(x)", "all_reduce"),
        ("void two_shot_all_reduce_kernel<c10::BFloat16>(x)", "all_reduce"),
    ],
)
def test_without_arguments_the_kernels_name_tells_the_collective_and_bytes_are_unknown(kernel: str, name: str) -> None:
    table = profile_of(Making().kernel(kernel, 0, 5).trace()).tables["collectives"]
    assert table["name"].tolist() == [name]
    assert math.isnan(table["bytes"][0])


def test_bytes_of_a_part_of_the_calls_are_not_passed_off_as_all() -> None:
    ring = "ncclDevKernel_AllReduce_Sum_f32_RING_LL(x)"
    made = Making().kernel(ring, 0, 5, text=message(10, "Float")).kernel(ring, 10, 5, text=message(10, "Odd"))
    assert np.isnan(profile_of(made.trace()).tables["collectives"]["bytes"]).tolist() == [True]


def test_collectives_of_the_cpu_are_timed_by_their_annotation_and_ncclis_is_only_a_launch() -> None:
    made = Making().note("gloo:all_reduce", 0, 90).note("gloo:all_reduce", 100, 10).note("nccl:all_reduce", 200, 9)
    table = profile_of(made.trace()).tables["collectives"]
    assert lines(table, "name", "calls", "seconds") == [("all_reduce", 2, 100e-9)]
    assert math.isnan(table["exposed_seconds"][0])


def test_work_of_another_device_hides_nothing() -> None:
    made = Making().kernel("gemm", 0, 100, device=1).kernel("ncclDevKernel_AllReduce_Sum_f32_RING_LL(x)", 0, 50)
    tables = profile_of(made.trace()).tables
    assert tables["collectives"]["exposed_seconds"].tolist() == [50e-9]
