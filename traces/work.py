"""Work of devices: kernels, copies and fills in the order of their streams, each with the call that launched it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchglass.traces.calls import NOBODY, looked_up
from torchglass.traces.trace import NO_ID, Integers, Kind, Trace


@dataclass(frozen=True)
class Work:
    """What devices did (n,), by device, stream and start.

    `seconds` come from `clipped_ns`: the time until its end or until the next begins on its stream, so that nothing
    is counted twice. `before` is the work of the stream that ended last before or while this one ran, or `NOBODY`.
    `launch` is the row of the runtime call that launched it, or `NOBODY`; `launched_ns` is when that began.
    """

    rows: Integers
    device: Integers
    stream: Integers
    name: Integers
    kind: npt.NDArray[np.int8]
    start_ns: Integers
    end_ns: Integers
    clipped_ns: Integers
    before: Integers
    launch: Integers
    launched_ns: Integers

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def overlaps(self) -> npt.NDArray[np.bool_]:
        """Which work was cut short, because the next on its stream began before it ended."""
        return self.clipped_ns < self.end_ns - self.start_ns

    def by_device(self) -> list[Integers]:
        """Positions of the work of each device that worked, in order of the devices."""
        firsts = np.flatnonzero(np.diff(self.device)) + 1
        return [part for part in np.split(np.arange(len(self)), firsts) if len(part)]

    @property
    def gap_ns(self) -> Integers:
        """How long the stream was idle before each; 0 for the first of a stream."""
        return np.where(self.before == NOBODY, 0, np.maximum(self.start_ns - self.end_ns[self.before], 0))


def work_of(trace: Trace) -> Work:
    """Find the work of all devices; spans of annotations and the profiler's own overhead are none."""
    rows = np.flatnonzero(trace.on_device)
    # Of two that begin at once the shorter comes first: it is the one to be cut to nothing.
    order = np.lexsort((trace.duration_ns[rows], trace.start_ns[rows], trace.lane[rows], trace.device[rows]))
    rows = rows[order]
    device, stream = trace.device[rows].astype(np.int64), trace.lane[rows]
    start, end = trace.start_ns[rows], trace.end_ns[rows]
    launch = _launches(trace, trace.correlation[rows], start)
    return Work(
        rows=rows,
        device=device,
        stream=stream,
        name=trace.name[rows].astype(np.int64),
        kind=trace.kind[rows],
        start_ns=start,
        end_ns=end,
        clipped_ns=_until_next(device, stream, start, end) - start,
        before=_last_to_end(device, stream, end),
        launch=launch,
        launched_ns=trace.start_ns[launch] if len(rows) else start,
    )


def _launches(trace: Trace, correlations: Integers, starts: Integers) -> Integers:
    """Row of the runtime call with the correlation id of each work (m,), or `NOBODY`.

    Processes that share a file count from the same number: of several calls, the latest that began before the work did.
    """
    known = np.flatnonzero((trace.kind == Kind.RUNTIME) & (trace.correlation != NO_ID))
    known = known[np.argsort(trace.correlation[known], kind="stable")]
    ids, moments = trace.correlation[known], trace.start_ns[known]
    found = looked_up(ids, known, correlations)
    first, stop = (np.searchsorted(ids, correlations, side) for side in ("left", "right"))
    for work in np.flatnonzero(stop - first > 1).tolist():
        begun = int(np.searchsorted(moments[first[work] : stop[work]], starts[work], side="right"))
        found[work] = known[first[work] + max(begun - 1, 0)]
    return found


def _same_stream(device: Integers, stream: Integers) -> npt.NDArray[np.bool_]:
    """Whether each work and the one after it are of one stream (n - 1,)."""
    same: npt.NDArray[np.bool_] = (device[1:] == device[:-1]) & (stream[1:] == stream[:-1])
    return same


def _until_next(device: Integers, stream: Integers, start: Integers, end: Integers) -> Integers:
    until = end.copy()
    followed = np.flatnonzero(_same_stream(device, stream))
    until[followed] = np.minimum(end[followed], start[followed + 1])
    return until


def _last_to_end(device: Integers, stream: Integers, end: Integers) -> Integers:
    before = np.full(len(end), NOBODY, np.int64)
    firsts = np.concatenate(([0], np.flatnonzero(~_same_stream(device, stream)) + 1, [len(end)]))
    for first, stop in zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True):
        if stop - first < 2:
            continue
        latest = np.maximum.accumulate(end[first:stop])
        holder = np.maximum.accumulate(np.where(end[first:stop] == latest, np.arange(first, stop), first))
        before[first + 1 : stop] = holder[:-1]
    return before
