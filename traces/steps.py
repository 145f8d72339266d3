"""Steps that torch.profiler was told of, and the profiler's own time."""

from __future__ import annotations

import re

import numpy as np

from torchglass.store import Table
from torchglass.traces.calls import NOBODY, Calls
from torchglass.traces.grouping import grouped
from torchglass.traces.tables import empty, table, texts
from torchglass.traces.trace import STEP_PREFIX, Kind, Trace
from torchglass.traces.work import Work

_STEP = re.compile(re.escape(STEP_PREFIX) + r"(\d+)$")


def step_table(trace: Trace, calls: Calls, work: Work, begin_ns: int) -> Table:
    """List steps by start; `device_seconds` span the work launched in each, on the device where that is longest."""
    numbers = {index: int(match[1]) for index, name in enumerate(trace.names) if (match := _STEP.match(name))}
    steps = np.flatnonzero(np.isin(calls.name, list(numbers)))
    if not len(steps):
        return empty("steps")
    steps = steps[np.argsort(calls.start_ns[steps], kind="stable")]
    return table(
        "steps",
        number=[numbers[index] for index in calls.name[steps].tolist()],
        start_ns=calls.start_ns[steps] - begin_ns,
        seconds=calls.duration_ns[steps] / 1e9,
        device_seconds=[
            _device_ns(work, int(calls.start_ns[step]), int(calls.end_ns[step])) / 1e9 for step in steps.tolist()
        ],
    )


def overhead_table(trace: Trace) -> Table:
    """Sum the profiler's own time by name, most first."""
    rows = np.flatnonzero(trace.kind == Kind.OVERHEAD)
    if not len(rows):
        return empty("overheads")
    groups = grouped(trace.name[rows])
    seconds = groups.sum(trace.duration_ns[rows]) / 1e9
    order = np.argsort(-seconds, kind="stable")
    return table(
        "overheads",
        name=texts(trace.text(row) for row in rows[groups.first[order]].tolist()),
        calls=groups.calls()[order],
        seconds=seconds[order],
    )


def _device_ns(work: Work, start_ns: int, end_ns: int) -> float:
    inside = (work.launch != NOBODY) & (work.launched_ns >= start_ns) & (work.launched_ns < end_ns)
    spans = [
        float(work.end_ns[here].max() - work.start_ns[here].min())
        for device in np.unique(work.device[inside]).tolist()
        if (here := inside & (work.device == device)).any()
    ]
    return max(spans, default=float("nan"))
