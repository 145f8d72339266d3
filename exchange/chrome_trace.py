"""The slices of a profiler window as a Chrome trace, which Perfetto and chrome://tracing open; plain JSON, gzipped."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

from torchglass.store.records import Table

TABLES = ("slices", "lanes", "slice_names", "steps")
# Kinds of slices as Kineto calls their categories; a wait is a call of the runtime.
CATEGORIES = {
    0: "cpu_op",
    1: "user_annotation",
    2: "cuda_runtime",
    3: "cuda_runtime",
    4: "overhead",
    10: "kernel",
    11: "gpu_memcpy",
    12: "gpu_memset",
}
HOST = 0  # process of the host's threads; GPU n is process n + 1


def chrome_trace(tables: Mapping[str, Table]) -> bytes:
    """Write a window's tables `TABLES`; times are microseconds from the window's start."""
    trace = {"traceEvents": [*_lanes(tables), *_slices(tables)], "displayTimeUnit": "ms"}
    return gzip.compress(json.dumps(trace, separators=(",", ":")).encode(), mtime=0)


def _lanes(tables: Mapping[str, Table]) -> Iterator[dict[str, Any]]:
    lanes = tables["lanes"]
    told = zip(lanes["title"].tolist(), lanes["device"].tolist(), lanes["lane"].tolist(), strict=True)
    for title, device, number in told:
        process = _process(device)
        name = "host" if process == HOST else f"GPU {device}"
        yield {"ph": "M", "name": "process_name", "pid": process, "tid": number, "args": {"name": name}}
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": number, "args": {"name": title}}


def _slices(tables: Mapping[str, Table]) -> Iterator[dict[str, Any]]:
    slices, names, lanes = tables["slices"], tables["slice_names"]["name"].tolist(), tables["lanes"]
    devices, numbers = lanes["device"].tolist(), lanes["lane"].tolist()
    columns = [slices[name].tolist() for name in ("lane", "start_ns", "duration_ns", "name", "kind")]
    for lane, start, length, name, kind in zip(*columns, strict=True):
        yield {
            "ph": "X",
            "cat": CATEGORIES.get(kind, "cpu_op"),
            "name": names[name],
            "pid": _process(devices[lane]),
            "tid": numbers[lane],
            "ts": start / 1e3,
            "dur": length / 1e3,
        }


def _process(device: int) -> int:
    return HOST if device < 0 else device + 1
