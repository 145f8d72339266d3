"""Traces as Kineto writes them, made by hand: two kernels, a copy, an all-reduce, and the operators around."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Event = dict[str, Any]
HOST_PROCESS, THREAD, BACKWARD_THREAD = 4242, 4243, 4250
COMPUTE_STREAM, COMMUNICATION_STREAM = 7, 20
FORWARD: Event = {"blocks per SM": 0.5, "est. achieved occupancy %": 25, "grid": [54, 1, 1]}
BACKWARD: Event = {"blocks per SM": 2.0, "est. achieved occupancy %": 50}
ALL_REDUCE: Event = {"Collective name": "allreduce", "Process Group Name": "0", "In msg nelems": 1024}


def slice_of(category: str, name: str, begin: float, length: float, thread: int = THREAD, **arguments: Any) -> Event:
    """An X event of the host; times in microseconds."""
    return {
        "ph": "X",
        "cat": category,
        "name": name,
        "pid": HOST_PROCESS,
        "tid": thread,
        "ts": begin,
        "dur": length,
        "args": arguments,
    }


def launched(
    kind: str,
    name: str,
    call: tuple[float, float],
    work: tuple[float, float],
    correlation: int,
    *,
    operator: int,
    stream: int = COMPUTE_STREAM,
    device: int = 0,
    thread: int = THREAD,
    runtime: str = "cudaLaunchKernel",
    **arguments: Any,
) -> list[Event]:
    """A runtime call and what it launched, each (begin, length) in microseconds."""
    identity = {"External id": operator, "correlation": correlation}
    return [
        slice_of("cuda_runtime", runtime, *call, thread, cbid=211, **identity),
        {
            "ph": "X",
            "cat": kind,
            "name": name,
            "pid": device,
            "tid": stream,
            "ts": work[0],
            "dur": work[1],
            "args": {"device": device, "context": 1, "stream": stream, **identity, **arguments},
        },
    ]


def step_events(begin: float = 1000, number: int = 5, first_id: int = 10, *, shift: float = 0) -> list[Event]:
    """One training step of 200 microseconds.

    Stream 7: copy [20, 30], forward kernel [50, 80], backward kernel [100, 140]; stream 20: all-reduce [120, 170],
    which begins `shift` later. Compute 70, copies 10, communication 50 of which 20 are hidden, so 30 exposed; idle
    20 + 20 within the 150 from first to last.
    """
    at = begin
    one = first_id
    return [
        slice_of("user_annotation", f"ProfilerStep#{number}", at, 200, **{"External id": one}),
        slice_of("cpu_op", "aten::copy_", at + 5, 12, **{"External id": one + 1}),
        *launched(
            "gpu_memcpy",
            "Memcpy HtoD (Pageable -> Device)",
            (at + 10, 5),
            (at + 20, 10),
            one + 100,
            operator=one + 1,
            runtime="cudaMemcpyAsync",
            bytes=4096,
        ),
        slice_of("cpu_op", "aten::mm", at + 40, 20, **{"External id": one + 2, "Sequence number": number}),
        *launched(
            "kernel",
            "ampere_sgemm_128x64_nn",
            (at + 45, 5),
            (at + 50, 30),
            one + 101,
            operator=one + 2,
            **FORWARD,
        ),
        slice_of(
            "cpu_op",
            "MmBackward0",
            at + 85,
            30,
            BACKWARD_THREAD,
            **{"External id": one + 3, "Sequence number": number, "Fwd thread id": 1},
        ),
        *launched(
            "kernel",
            "ampere_sgemm_128x64_nt",
            (at + 90, 5),
            (at + 100, 40),
            one + 102,
            operator=one + 3,
            thread=BACKWARD_THREAD,
            **BACKWARD,
        ),
        *launched(
            "kernel",
            "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevComm*)",
            (at + 105, 5),
            (at + 120 + shift, 50 - shift),
            one + 103,
            operator=one + 3,
            stream=COMMUNICATION_STREAM,
            thread=BACKWARD_THREAD,
            Seq=number,
            **ALL_REDUCE,
        ),
    ]


def envelope(events: Sequence[Event], **beside: Any) -> dict[str, Any]:
    """What Kineto writes around its events."""
    return {
        "schemaVersion": 1,
        "deviceProperties": [{"id": 0, "name": "A100", "numSms": 108, "totalGlobalMem": 42_000_000_000}],
        "traceEvents": list(events),
        "traceName": "trace.json",
        **beside,
    }


def write(path: Path, trace: object) -> Path:
    """Write a trace, gzipped where the name says so; texts as they are."""
    text = trace if isinstance(trace, str) else json.dumps(trace, indent=1)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
