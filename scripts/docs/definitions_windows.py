"""The columns of a profiler window's tables."""

from __future__ import annotations

from collections.abc import Mapping

_DEVICE = "number of the GPU"
_CALLS = "calls in the window"
_SECONDS = "seconds in the window, what overlaps a successor on its stream cut off"

ABOUT: Mapping[str, str] = {
    "kernels": "What ran on the GPUs, summed by name",
    "operators": "What PyTorch called, summed by name",
    "links": "Time by path: phase, module, operator, kernel",
    "copies": "Copies and fills, summed by kind",
    "idle": "Time of streams without work, by cause",
    "gaps": "The longest gaps of streams, one by one",
    "collectives": "Communication between ranks, summed by name and group",
    "launches": "Calls of the CUDA runtime, summed by name",
    "breakdown": "What each GPU did with its time; the four parts add up to the total exactly",
    "steps": "The steps of the window",
    "phases": "The window's time by phase",
    "slices": "The time line: every call and every piece of work; at most 200,000, the longest",
    "lanes": "The lanes of the time line: threads and streams",
    "slice_names": "The names that slices refer to by their number",
    "overheads": "Time of the profiler itself",
}

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "kernels": {
        "name": "name of the kernel, at most 300 characters",
        "device": _DEVICE,
        "calls": _CALLS,
        "seconds": _SECONDS,
        "shortest_seconds": "of one call",
        "longest_seconds": "of one call",
        "blocks_per_sm": "blocks over the GPU's multiprocessors, mean weighted by duration",
        "sm_efficiency_percent": "100 × min(blocks / multiprocessors, 1), mean weighted by duration",
        "occupancy_percent": "Kineto's estimate of achieved occupancy, mean weighted by duration",
        "tensor_core": "whether its name is that of a kernel on tensor cores",
        "eligible": "whether it looks as if it could have run on them",
    },
    "operators": {
        "name": "name of the operator",
        "calls": _CALLS,
        "self_seconds": "host time without the operators that it called",
        "total_seconds": "host time",
        "device_self_seconds": "of the kernels that it launched itself",
        "device_total_seconds": "of the kernels of operators in it too",
    },
    "links": {
        "phase": "phase of the step in which it was launched",
        "module": "the innermost module around it",
        "operator": 'the operator that launched it; "(python)" outside of all',
        "kernel": "the kernel; empty for the host's own time",
        "calls": _CALLS,
        "seconds": _SECONDS,
    },
    "copies": {
        "kind": "from where to where",
        "memory": "pinned or pageable, as the driver says it",
        "pageable": "whether the host's side is not pinned, so that the host waits",
        "calls": _CALLS,
        "bytes": "moved in the window",
        "seconds": _SECONDS,
    },
    "idle": {
        "device": _DEVICE,
        "stream": "number of the CUDA stream",
        "cause": "host wait, launch latency, kernel wait or other",
        "gaps": "gaps that are mostly due to this cause",
        "seconds": "time without work that is due to it",
    },
    "gaps": {
        "device": _DEVICE,
        "stream": "number of the CUDA stream",
        "start_ns": "from the start of the window",
        "seconds": "length of the gap",
        "cause": "what most of it is due to",
        "before": "what ended before the gap",
        "after": "what ended the gap",
        "operator": "what the host was busy with for most of it, else the operator that launched what came next",
    },
    "collectives": {
        "name": "all_reduce, all_gather, ...",
        "calls": _CALLS,
        "seconds": _SECONDS,
        "exposed_seconds": "in which the device computed nothing; NaN on the host",
        "bytes": "the larger of what goes in and what comes out on this rank; NaN where a call does not tell",
        "group": "the process group",
    },
    "launches": {
        "call": "name of the runtime's function",
        "calls": _CALLS,
        "host_seconds": "time of the host in it",
        "kernels": "pieces of work that it launched",
        "mean_latency_seconds": "from the call's end to the kernel's start",
        "longest_latency_seconds": "the longest of these",
    },
    "breakdown": {
        "device": _DEVICE,
        "total_seconds": "from the device's first work to the end of its last",
        "compute_seconds": "at least one kernel that computes was running",
        "exposed_communication_seconds": "a collective was running and nothing computed meanwhile",
        "exposed_copies_seconds": "a copy was running and nothing else",
        "idle_seconds": "nothing was running on the device",
        "total_ns": "the same as `total_seconds`, whole",
        "compute_ns": "the same as `compute_seconds`, whole",
        "exposed_communication_ns": "the same as `exposed_communication_seconds`, whole",
        "exposed_copies_ns": "the same as `exposed_copies_seconds`, whole",
        "idle_ns": "the same as `idle_seconds`, whole",
    },
    "steps": {
        "number": "number of the step",
        "start_ns": "from the start of the window",
        "seconds": "length of the step on the host",
        "device_seconds": "of the work that it launched",
    },
    "phases": {
        "phase": "name of the phase",
        "seconds": "on the host, in the window",
        "device_seconds": "of the work that was launched in it",
    },
    "slices": {
        "lane": "row of the table `lanes`",
        "depth": "how many slices of its lane it lies in",
        "start_ns": "from the start of the window",
        "duration_ns": "its length",
        "name": "row of the table `slice_names`",
        "kind": "what it is: an operator, a call of the runtime, a kernel, a copy, ...",
        "clipped": "whether it overlapped its successor on the stream",
    },
    "lanes": {
        "title": "what the lane is called",
        "device": "number of the GPU, negative for the host",
        "lane": "thread or stream by its number",
    },
    "slice_names": {"name": "a name"},
    "overheads": {"name": "what the profiler was doing", "calls": _CALLS, "seconds": "seconds in the window"},
}
