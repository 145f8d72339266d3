"""A timeline's slices: every call and every piece of work in its lane, with room for those that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store import Table
from torchglass.traces.calls import Calls
from torchglass.traces.grouping import grouped
from torchglass.traces.phases import Phases
from torchglass.traces.tables import empty, table, texts
from torchglass.traces.trace import HOST, PHASE_PREFIX, Integers, Kind, Trace
from torchglass.traces.work import Work

MAX_SLICES = 200_000  # the shortest are dropped
_NO_STREAM = (-1, 2**32 - 1)  # the stream of a wait for a whole device
_Columns = tuple[npt.NDArray[Any], ...]  # those of `_Slices`
PHASES_LANE = -1  # phases have a lane of their own, above the host's threads


class Timeline(NamedTuple):
    """Tables of the slices, of their lanes and of their names; `dropped` slices were too many to keep."""

    slices: Table
    lanes: Table
    names: Table
    dropped: int


class _Slices(NamedTuple):
    """Slices (n,) as the trace has them; a `name` beyond the trace's is a phase's."""

    device: Integers
    lane: Integers
    start_ns: Integers
    end_ns: Integers
    name: Integers
    kind: Integers
    clipped: npt.NDArray[np.bool_]

    def at(self, positions: Integers) -> _Slices:
        return _joined([tuple(column[positions] for column in self)])


def timeline_of(
    trace: Trace, calls: Calls, work: Work, phases: Phases, begin_ns: int, most: int = MAX_SLICES
) -> Timeline:
    """Lay out phases, threads of the host (that of the phases first, then the busiest) and streams, `most` slices.

    Spans of annotations on a device are left out: the kernels under them are there.
    """
    parts = (_of_phases(trace, phases), _of_calls(trace, calls), _of_others(trace), _of_work(work))
    every = _joined(parts)
    if not len(every.name):
        return Timeline(empty("slices"), empty("lanes"), empty("slice_names"), 0)
    kept = every.at(np.argsort(every.start_ns - every.end_ns, kind="stable")[:most])
    pairs, lane = _lanes(kept, phases.lane)
    order = np.lexsort((-kept.end_ns, kept.start_ns, lane))
    kept, lane = kept.at(order), lane[order]
    names = grouped(kept.name)
    used = kept.name[names.first]
    all_names = (*trace.names, *phases.names)
    return Timeline(
        slices=table(
            "slices",
            lane=lane,
            depth=depths(lane, kept.start_ns, kept.end_ns),
            start_ns=kept.start_ns - begin_ns,
            duration_ns=kept.end_ns - kept.start_ns,
            name=names.of,
            kind=kept.kind,
            clipped=kept.clipped,
        ),
        lanes=table(
            "lanes",
            title=[_title(trace, device, number) for device, number in pairs],
            device=[device for device, _ in pairs],
            lane=[number for _, number in pairs],
        ),
        names=table("slice_names", name=texts(all_names[index] for index in used.tolist())),
        dropped=len(every.name) - len(kept.name),
    )


def depths(lane: Integers, start: Integers, end: Integers) -> Integers:
    """Return the first free depth for each slice (n,), sorted by lane and start, the longest first.

    Slices that nest get the depth of their nesting; those that merely overlap go below each other.
    """
    found = np.zeros(len(start), np.int64)
    firsts = [0, *(np.flatnonzero(lane[1:] != lane[:-1]) + 1).tolist(), len(start)]
    for first, stop in pairwise(firsts):
        starts, ends = start[first:stop], end[first:stop]
        if (starts[1:] >= np.maximum.accumulate(ends)[:-1]).all():
            continue
        found[first:stop] = _first_free(starts.tolist(), ends.tolist())
    return found


def _first_free(starts: list[int], ends: list[int]) -> list[int]:
    found = [0] * len(starts)
    taken: list[tuple[int, int]] = []  # until when, and which depth
    free: list[int] = []
    for index, begun in enumerate(starts):
        while taken and taken[0][0] <= begun:
            heappush(free, heappop(taken)[1])
        depth = heappop(free) if free else len(taken)
        heappush(taken, (ends[index], depth))
        found[index] = depth
    return found


def _joined(parts: Sequence[_Columns]) -> _Slices:
    *numbers, clipped = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    device, lane, start_ns, end_ns, name, kind = (column.astype(np.int64) for column in numbers)
    return _Slices(device, lane, start_ns, end_ns, name, kind, clipped)


def _of_phases(trace: Trace, phases: Phases) -> _Columns:
    host, lane, kind = (np.full(len(phases.phase), value) for value in (HOST, PHASES_LANE, Kind.ANNOTATION))
    whole = np.zeros(len(phases.phase), np.bool_)
    name = phases.phase + len(trace.names)
    return (host, lane, phases.start_ns, phases.end_ns, name, kind, whole)


def _of_calls(trace: Trace, calls: Calls) -> _Columns:
    marks = [index for index, name in enumerate(trace.names) if name.startswith(PHASE_PREFIX)]
    shown = ~np.isin(calls.name, marks)
    host, whole = np.full(len(calls), HOST), np.zeros(len(calls), np.bool_)
    every = (host, calls.lane, calls.start_ns, calls.end_ns, calls.name, calls.kind, whole)
    return tuple(column[shown] for column in every)


def _of_others(trace: Trace) -> _Columns:
    """Waits and the profiler's own time, which call nothing."""
    rows = np.flatnonzero((trace.kind == Kind.SYNC) | (trace.kind == Kind.OVERHEAD))
    whole = np.zeros(len(rows), np.bool_)
    start, end = trace.start_ns[rows], trace.end_ns[rows]
    return (trace.device[rows], trace.lane[rows], start, end, trace.name[rows], trace.kind[rows], whole)


def _of_work(work: Work) -> _Columns:
    return (work.device, work.stream, work.start_ns, work.end_ns, work.name, work.kind, work.overlaps)


def _lanes(slices: _Slices, training: int | None) -> tuple[list[tuple[int, int]], Integers]:
    """Put lanes in order, and find each slice's among them."""
    groups = grouped(slices.device, slices.lane)
    told = list(zip(slices.device[groups.first].tolist(), slices.lane[groups.first].tolist(), strict=True))
    counts = groups.calls().tolist()

    def rank(index: int) -> tuple[bool, bool, int, int]:
        device, lane = told[index]
        host = device == HOST
        ours = host and lane in (PHASES_LANE, training)
        # The phases' lane has the least number, and so comes before the thread that they are of.
        return not host, not ours, lane if ours else device, -counts[index] if host else lane

    order = sorted(range(len(told)), key=rank)
    place = np.empty(len(told), np.int64)
    place[order] = np.arange(len(told))
    return [told[index] for index in order], place[groups.of]


def _title(trace: Trace, device: int, lane: int) -> str:
    if (device, lane) == (HOST, PHASES_LANE):
        return "phases"
    named = trace.lane_names.get((device, lane))
    if device == HOST:
        return named or f"thread {lane}"
    if lane in _NO_STREAM:
        return f"GPU {device}, all streams"
    return f"GPU {device}, {named or f'stream {lane}'}"
