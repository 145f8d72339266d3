"""Kernels by name and device: time, occupancy, and whether they use tensor cores; and copies by kind."""

from __future__ import annotations

import re

import numpy as np

from torchglass.store import Table
from torchglass.traces.grouping import grouped
from torchglass.traces.kernel_names import could_use_tensor_cores, uses_tensor_cores
from torchglass.traces.tables import empty, table, texts
from torchglass.traces.trace import Kind, Trace
from torchglass.traces.work import Work

_COPY = re.compile(r"Memcpy\s+(?P<kind>HtoD|DtoH|DtoD|PtoP|HtoH)?\w*\s*(\((?P<memory>[^)]*)\))?")


def kernel_table(trace: Trace, work: Work) -> Table:
    """Sum kernels by name, most time first. Percentages and blocks per SM are means weighted by duration.

    `sm_efficiency_percent` is min(blocks / SMs, 1), the share of SMs that a kernel can keep busy at all;
    `occupancy_percent` is Kineto's estimate of achieved occupancy.
    """
    kept = np.flatnonzero(work.kind == Kind.KERNEL)
    if not len(kept):
        return empty("kernels")
    rows, clipped = work.rows[kept], work.clipped_ns[kept]
    groups = grouped(work.device[kept], work.name[kept])
    total = groups.sum(clipped)
    order = np.argsort(-total, kind="stable")
    first = kept[groups.first[order]]
    names = [trace.names[index] for index in work.name[first].tolist()]
    blocks = trace.blocks_per_sm[rows]
    return table(
        "kernels",
        name=texts(names),
        device=work.device[first],
        calls=groups.calls()[order],
        seconds=total[order] / 1e9,
        shortest_seconds=groups.smallest(clipped)[order] / 1e9,
        longest_seconds=groups.largest(clipped)[order] / 1e9,
        blocks_per_sm=groups.mean(blocks, clipped)[order],
        sm_efficiency_percent=groups.mean(np.minimum(blocks, 1.0) * 100, clipped)[order],
        occupancy_percent=groups.mean(trace.occupancy_percent[rows], clipped)[order],
        tensor_core=[uses_tensor_cores(name) for name in names],
        eligible=[could_use_tensor_cores(name) for name in names],
    )


def copy_table(trace: Trace, work: Work) -> Table:
    """Sum copies and fills by direction and kinds of memory, most time first; "Pageable" in it is unpinned memory.

    `bytes` is NaN unless every one of them tells its own.
    """
    kept = np.flatnonzero((work.kind == Kind.COPY) | (work.kind == Kind.FILL))
    if not len(kept):
        return empty("copies")
    told = [_copy(name) for name in trace.names]
    distinct = sorted(set(told))
    place = {pair: index for index, pair in enumerate(distinct)}
    code = np.array([place[pair] for pair in told])[work.name[kept]]
    groups = grouped(code)
    moved = trace.bytes_moved[work.rows[kept]]
    seconds = groups.sum(work.clipped_ns[kept]) / 1e9
    order = np.argsort(-seconds, kind="stable")
    pairs = [distinct[index] for index in code[groups.first[order]].tolist()]
    return table(
        "copies",
        kind=[kind for kind, _ in pairs],
        memory=[memory for _, memory in pairs],
        pageable=["Pageable" in memory for _, memory in pairs],
        calls=groups.calls()[order],
        bytes=groups.sum(moved)[order],
        seconds=seconds[order],
    )


def _copy(name: str) -> tuple[str, str]:
    """Kind and memory that a name like "Memcpy HtoD (Pinned -> Device)" tells."""
    if name.startswith("Memset"):
        return "fill", name.partition("(")[2].rstrip(")")
    match = _COPY.match(name)
    return ((match["kind"] or "other"), match["memory"] or "") if match else ("other", "")
