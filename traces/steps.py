"""Steps that torch.profiler was told of, and the profiler's own time."""

from __future__ import annotations

import re

import numpy as np

from torchglass.store import Table
from torchglass.traces.calls import NOBODY, Calls
from torchglass.traces.grouping import grouped
from torchglass.traces.tables import empty, table, texts
from torchglass.traces.trace import STEP_PREFIX, Floats, Integers, Kind, Trace
from torchglass.traces.work import Work

_STEP = re.compile(re.escape(STEP_PREFIX) + r"(\d{1,18})$")  # what 64 bits hold


def step_table(trace: Trace, calls: Calls, work: Work, begin_ns: int) -> Table:
    """List steps by start; `device_seconds` span the work launched in each, on the device where that is longest."""
    numbers = {index: int(match[1]) for index, name in enumerate(trace.names) if (match := _STEP.match(name))}
    steps = np.flatnonzero(np.isin(calls.name, list(numbers)))
    if not len(steps):
        return empty("steps")
    steps = steps[np.argsort(calls.start_ns[steps], kind="stable")]
    starts, ends = calls.start_ns[steps], calls.end_ns[steps]
    return table(
        "steps",
        number=[numbers[index] for index in calls.name[steps].tolist()],
        start_ns=starts - begin_ns,
        seconds=(ends - starts) / 1e9,
        device_seconds=_device_ns(work, starts, ends) / 1e9,
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


def _device_ns(work: Work, starts: Integers, ends: Integers) -> Floats:
    """From the first to the last work launched in each [start, end) (n,), of the device where that is longest."""
    spans = np.full(len(starts), np.nan)
    for here in work.by_device():
        launched = here[work.launch[here] != NOBODY]
        launched = launched[np.argsort(work.launched_ns[launched], kind="stable")]
        first, stop = (np.searchsorted(work.launched_ns[launched], moments) for moments in (starts, ends))
        some = np.flatnonzero(stop > first)
        if not len(some):
            continue
        # Ranges that follow each other, every second of them between two steps; a last place to end the last one.
        edges = np.stack((first[some], stop[some]), axis=1).reshape(-1)
        begun = np.append(work.start_ns[launched], 0)
        over = np.append(work.end_ns[launched], 0)
        span = np.maximum.reduceat(over, edges)[::2] - np.minimum.reduceat(begun, edges)[::2]
        spans[some] = np.fmax(spans[some], span)
    return spans
