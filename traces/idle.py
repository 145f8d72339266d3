"""Gaps between the work of a stream, and what each was waiting for.

host wait       the host had not finished launching what came next: from the end of the work before until then
launch latency  such a launch's way from the host to the device: the rest of that gap
kernel wait     it had been launched in time, and the gap is short: the device's own turn-around
other           it had been launched in time, and the gap is long (it waited for another stream, say), or the trace
                does not tell when it was launched

HolisticTraceAnalysis gives a gap to the host as a whole if the launch began after the work before had ended, and else
to the kernel or to others by the same limit. Its host time is what is called host wait and launch latency here, less
the gaps whose launch began before and ended after the end of the work before: only here are those the host's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from torchglass.store import Table
from torchglass.traces.blame import Blame
from torchglass.traces.calls import NOBODY, Calls
from torchglass.traces.grouping import grouped
from torchglass.traces.tables import empty, table, texts
from torchglass.traces.trace import Integers, Trace
from torchglass.traces.work import Work

HOST_WAIT, LAUNCH_LATENCY, KERNEL_WAIT, OTHER = range(4)
CAUSES = ("host wait", "launch latency", "kernel wait", "other")
TURN_AROUND_NS = 30_000  # HolisticTraceAnalysis's limit between two kernels that follow at once, in effect
MOST_GAPS = 100  # kept one by one


class Gaps(NamedTuple):
    """Idle times of streams (n,): the position of the work `after` each, its length, and its parts by cause (n, 4)."""

    after: Integers
    ns: Integers
    parts: Integers

    def cause(self) -> Integers:
        """The cause that most of each gap is due to (n,)."""
        return np.argmax(self.parts, axis=1) if len(self.ns) else np.zeros(0, np.int64)


def gaps_of(trace: Trace, work: Work) -> Gaps:
    """Find the gaps of all streams and divide each among its causes; the parts add up to the gap."""
    gap = work.gap_ns
    after = np.flatnonzero(gap > 0)
    ns = gap[after]
    parts = np.zeros((len(after), len(CAUSES)), np.int64)
    if not len(after):
        return Gaps(after, ns, parts)
    launch = work.launch[after]
    known = launch != NOBODY
    late = np.clip(trace.end_ns[launch] - work.end_ns[work.before[after]], 0, ns)
    late = np.where(known, late, 0)
    parts[:, HOST_WAIT] = late
    parts[:, LAUNCH_LATENCY] = np.where(late > 0, ns - late, 0)
    in_time = known & (late == 0)
    parts[:, KERNEL_WAIT] = np.where(in_time & (ns < TURN_AROUND_NS), ns, 0)
    parts[:, OTHER] = ns - parts[:, :OTHER].sum(axis=1)
    return Gaps(after, ns, parts)


def idle_table(work: Work, gaps: Gaps) -> Table:
    """Sum gaps by stream and cause; a gap with two causes is counted under the larger, its time under both."""
    if not len(gaps.ns):
        return empty("idle")
    groups = grouped(work.device[gaps.after], work.stream[gaps.after])
    seconds = np.stack([groups.sum(gaps.parts[:, cause]) for cause in range(len(CAUSES))], axis=1) / 1e9
    counts = np.stack([groups.sum(gaps.cause() == cause) for cause in range(len(CAUSES))], axis=1)
    stream, cause = np.nonzero((seconds > 0) | (counts > 0))
    first = gaps.after[groups.first[stream]]
    return table(
        "idle",
        device=work.device[first],
        stream=work.stream[first],
        cause=[CAUSES[index] for index in cause.tolist()],
        gaps=counts[stream, cause].astype(np.int64),
        seconds=seconds[stream, cause],
    )


def gap_table(trace: Trace, calls: Calls, work: Work, blame: Blame, gaps: Gaps, begin_ns: int) -> Table:
    """List the longest gaps; `operator` is what the host was busy with for most of one, else what launched the next."""
    longest = np.argsort(-gaps.ns, kind="stable")[:MOST_GAPS]
    if not len(longest):
        return empty("gaps")
    after = gaps.after[longest]
    before = work.before[after]
    return table(
        "gaps",
        device=work.device[after],
        stream=work.stream[after],
        start_ns=work.end_ns[before] - begin_ns,
        seconds=gaps.ns[longest] / 1e9,
        cause=[CAUSES[index] for index in gaps.cause()[longest].tolist()],
        before=texts(trace.names[index] for index in work.name[before].tolist()),
        after=texts(trace.names[index] for index in work.name[after].tolist()),
        operator=texts(_blamed(trace, calls, work, blame, position) for position in after.tolist()),
    )


def _blamed(trace: Trace, calls: Calls, work: Work, blame: Blame, position: int) -> str:
    """Name the innermost call on the launching thread that covers over half of the gap before a work."""
    operator, launch = int(blame.operator[position]), int(work.launch[position])
    if launch != NOBODY:
        start, end = int(work.end_ns[work.before[position]]), int(work.start_ns[position])
        shared = np.minimum(calls.end_ns, end) - np.maximum(calls.start_ns, start)
        covers = (2 * shared > end - start) & (calls.lane == trace.lane[launch]) & ~calls.marker
        found = np.flatnonzero(covers)
        if len(found):
            innermost = found[np.argmax(calls.depth[found])]
            return trace.names[int(calls.name[innermost])]
    return trace.names[int(calls.name[operator])] if operator >= 0 else ""
