"""Host operators by name: calls, time of their own and in all, and the time of the device work they launched."""

from __future__ import annotations

import numpy as np

from torchglass.store import Table
from torchglass.traces.blame import Blame
from torchglass.traces.calls import NOBODY, Calls
from torchglass.traces.grouping import grouped
from torchglass.traces.tables import empty, table, texts
from torchglass.traces.trace import Integers, Trace
from torchglass.traces.work import Work


def operator_table(trace: Trace, calls: Calls, work: Work, blame: Blame) -> Table:
    """Sum calls by name as torch.profiler's `key_averages` does, most time of their own first.

    Markers of ours and of the profiler are left out. Time on devices is clipped where work overlaps on a stream.
    """
    if not len(calls):
        return empty("operators")
    stands_for = _outermost_of_same_name(calls)
    device_self = _device_ns(calls, work, blame)
    device_total = calls.subtree_sum(device_self)
    # Self times of a call and of the wrappers merged into it add up; the total is the outermost call's own.
    own = np.bincount(stands_for, weights=calls.self_ns(), minlength=len(calls))
    device_own = np.bincount(stands_for, weights=device_self, minlength=len(calls))
    counted = np.flatnonzero((stands_for == np.arange(len(calls))) & ~calls.marker)
    if not len(counted):
        return empty("operators")
    groups = grouped(calls.name[counted])
    self_ns = groups.sum(own[counted])
    order = np.argsort(-self_ns, kind="stable")
    return table(
        "operators",
        name=texts(trace.names[index] for index in calls.name[counted][groups.first[order]].tolist()),
        calls=groups.calls()[order],
        self_seconds=self_ns[order] / 1e9,
        total_seconds=groups.sum(calls.duration_ns[counted])[order] / 1e9,
        device_self_seconds=groups.sum(device_own[counted])[order] / 1e9,
        device_total_seconds=groups.sum(device_total[counted])[order] / 1e9,
    )


def _outermost_of_same_name(calls: Calls) -> Integers:
    """For each call, the one it is counted as.

    A call whose only nested call has its own name is one call: an operator that a dispatch key wraps appears twice.
    """
    inside = calls.parent != NOBODY
    children = np.bincount(calls.parent[inside], minlength=len(calls))
    absorbed = inside & (children[calls.parent] == 1) & (calls.name[calls.parent] == calls.name)
    return calls.nearest(~absorbed)


def _device_ns(calls: Calls, work: Work, blame: Blame) -> Integers:
    """Nanoseconds of work that each call launched itself."""
    linked = blame.operator >= 0
    summed = np.bincount(blame.operator[linked], weights=work.clipped_ns[linked], minlength=len(calls))
    return summed.astype(np.int64)
