"""Calls of the device's runtime: what they cost the host, and how long until the device began."""

from __future__ import annotations

import numpy as np

from torchglass.store import Table
from torchglass.traces.calls import NOBODY
from torchglass.traces.grouping import grouped
from torchglass.traces.kernel_names import LAUNCH, matching
from torchglass.traces.tables import empty, table, texts
from torchglass.traces.trace import NO_ID, Kind, Trace
from torchglass.traces.work import Work


def launch_table(trace: Trace, work: Work) -> Table:
    """Sum runtime calls by name, most host time first.

    Latency is the time from the end of a call until the first work that it launched begins, with what it spent in the
    stream's queue; 0 if the device began before the call returned, NaN for calls that launch nothing.
    """
    rows = np.flatnonzero(trace.kind == Kind.RUNTIME)
    if not len(rows):
        return empty("launches")
    launched = work.launch[work.launch != NOBODY]
    begun = np.full(len(trace), np.iinfo(np.int64).max)
    np.minimum.at(begun, launched, work.start_ns[work.launch != NOBODY])
    works = np.bincount(launched, minlength=len(trace))[rows]
    latency = np.where(works > 0, np.maximum(begun[rows] - trace.end_ns[rows], 0), 0)
    groups = grouped(trace.name[rows])
    launching = groups.sum(works > 0)
    host = groups.sum(trace.duration_ns[rows]) / 1e9
    order = np.argsort(-host, kind="stable")
    mean = np.divide(groups.sum(latency), launching, out=np.full(len(launching), np.nan), where=launching > 0)
    longest = np.where(launching > 0, groups.largest(latency), np.nan)
    return table(
        "launches",
        call=texts(trace.text(row) for row in rows[groups.first[order]].tolist()),
        calls=groups.calls()[order],
        host_seconds=host[order],
        kernels=groups.sum(works)[order].astype(np.int64),
        mean_latency_seconds=mean[order] / 1e9,
        longest_latency_seconds=longest[order] / 1e9,
    )


def launch_counts(trace: Trace, work: Work) -> tuple[int, int]:
    """Count the calls that launch work by their name, and those of them whose work the trace has.

    A tracer that loses kernels shows it here: the second is the smaller.
    """
    rows = np.flatnonzero((trace.kind == Kind.RUNTIME) & (trace.correlation != NO_ID))
    rows = rows[matching(LAUNCH, trace.names, trace.name[rows])]
    return len(rows), int(np.isin(rows, work.launch).sum())
