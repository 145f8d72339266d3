"""Calls on the host and how they nest: operators, annotations, and calls of the device's runtime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchglass.traces.trace import MODULE_PREFIX, NO_ID, PHASE_PREFIX, STEP_PREFIX, Integers, Kind, Trace

Truths = npt.NDArray[np.bool_]
NOBODY = -1
# torch.profiler leaves these out of what it counts: they are its own doing, or cost less than their mark.
_LEFT_OUT = frozenset(
    (
        "[memory]",
        "[OutOfMemory]",
        "profiler::_record_function_enter",
        "profiler::_record_function_enter_new",
        "profiler::_record_function_exit",
        "aten::is_leaf",
        "aten::output_nr",
        "aten::_version",
    )
)
_MARKERS = (MODULE_PREFIX, PHASE_PREFIX, STEP_PREFIX)


@dataclass(frozen=True)
class Calls:
    """Calls of all threads (n,), by thread, then start, the longest first: whoever calls stands before what it calls.

    `rows` are those of the trace; `lane` the thread; `parent` the position of the innermost call around, or `NOBODY`;
    `depth` how many calls are around it; `stop` the position after the last call within it. `marker`s say where the
    program is (a module, a phase, a step) and are no work of the program's own. `asynchronous` ones come last, have
    nothing around or within them, and no time of their own.
    """

    rows: Integers
    lane: Integers
    name: Integers
    kind: npt.NDArray[np.int8]
    start_ns: Integers
    end_ns: Integers
    parent: Integers
    depth: Integers
    stop: Integers
    marker: Truths
    asynchronous: Truths

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def duration_ns(self) -> Integers:
        """How long each call took, with what it called."""
        return self.end_ns - self.start_ns

    def self_ns(self) -> Integers:
        """Time of each call that no call directly inside it covers."""
        inside = self.parent != NOBODY
        taken = np.bincount(self.parent[inside], weights=self.duration_ns[inside], minlength=len(self))
        return np.where(self.asynchronous, 0, self.duration_ns - taken.astype(np.int64))

    def nearest(self, marked: Truths) -> Integers:
        """For each call, the position of the innermost marked call around it, itself included, or `NOBODY`."""
        # The last place stands for nobody, and points to itself.
        hop = np.concatenate((np.where(marked, np.arange(len(self)), self.parent), [NOBODY]))
        hop[hop == NOBODY] = len(self)
        while True:
            further = hop[hop]
            if np.array_equal(further, hop):
                break
            hop = further
        found = hop[:-1]
        return np.where(found == len(self), NOBODY, found)

    def subtree_sum(self, values: Integers) -> Integers:
        """Sum of values (n,) over each call and all that is called within it."""
        before = np.concatenate(([0], np.cumsum(values)))
        return before[self.stop] - before[:-1]

    def positions(self, row_count: int) -> Integers:
        """Position of each row of the trace (row_count,), `NOBODY` for rows that are no call."""
        found = np.full(row_count, NOBODY, np.int64)
        found[self.rows] = np.arange(len(self))
        return found


def calls_of(trace: Trace) -> Calls:
    """Find the calls of a trace, and who called whom.

    A call is inside another of its thread if it begins and ends in it; one that outlives its surroundings (clocks
    jitter) is nobody's, as torch.profiler has it.
    """
    left_out = np.array([name in _LEFT_OUT for name in trace.names] or [False])
    marks = np.array([name.startswith(_MARKERS) for name in trace.names] or [False])
    is_call = np.isin(trace.kind, (Kind.OPERATOR, Kind.ANNOTATION, Kind.RUNTIME))
    rows = np.flatnonzero(is_call & ~left_out[trace.name]) if len(trace) else np.zeros(0, np.int64)
    lane, start, end = _threads(trace, rows), trace.start_ns[rows], trace.end_ns[rows]
    alone = np.isin(rows, list(trace.asynchronous))
    order = np.lexsort((-end, start, lane, alone))
    rows, lane, start, end, alone = rows[order], lane[order], start[order], end[order], alone[order]
    parent, depth, stop = _nested(lane[~alone], start[~alone], end[~alone])
    last = np.flatnonzero(alone)
    parent, depth = np.append(parent, np.full(len(last), NOBODY)), np.append(depth, np.zeros(len(last), np.int64))
    stop, name = np.append(stop, last + 1), trace.name[rows].astype(np.int64)
    return Calls(rows, lane, name, trace.kind[rows], start, end, parent, depth, stop, marks[name], alone)


def row_of_operator(trace: Trace, ids: Integers) -> Integers:
    """Row of the operator or annotation with each id (m,), or `NOBODY`."""
    known = np.flatnonzero(trace.operator_id != NO_ID)
    known = known[np.argsort(trace.operator_id[known], kind="stable")]
    return looked_up(trace.operator_id[known], known, ids)


def looked_up(keys: Integers, values: Integers, wanted: Integers) -> Integers:
    """Value of the first of the sorted keys (n,) that equals each wanted one (m,), or `NOBODY`."""
    if not len(keys):
        return np.full(len(wanted), NOBODY, np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], NOBODY)


def _threads(trace: Trace, rows: Integers) -> Integers:
    """Return the thread of each row; calls of the runtime go to the thread of the operator around, where told.

    The device's tracer may name threads otherwise than torch does.
    """
    lane = trace.lane[rows].copy()
    runtime = np.flatnonzero(trace.kind[rows] == Kind.RUNTIME)
    strange = runtime[~np.isin(lane[runtime], lane[trace.kind[rows] == Kind.OPERATOR])]
    operator = row_of_operator(trace, trace.external[rows[strange]])
    lane[strange] = np.where(operator == NOBODY, lane[strange], trace.lane[operator])
    return lane


def _nested(lane: Integers, start: Integers, end: Integers) -> tuple[Integers, Integers, Integers]:
    """Parent, depth and stop of sorted calls (n,): a loop over events, since each depends on those still open."""
    count = len(start)
    parents, depths, stops = [NOBODY] * count, [0] * count, [count] * count
    open_calls: list[int] = []
    ends, thread = end.tolist(), None
    for index, (of_thread, begun, over) in enumerate(zip(lane.tolist(), start.tolist(), ends, strict=True)):
        while open_calls and (of_thread != thread or begun >= ends[open_calls[-1]] or over > ends[open_calls[-1]]):
            stops[open_calls.pop()] = index
        thread = of_thread
        if open_calls:
            parents[index] = open_calls[-1]
            depths[index] = len(open_calls)
        open_calls.append(index)
    return np.array(parents, np.int64), np.array(depths, np.int64), np.array(stops, np.int64)
