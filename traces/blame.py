"""kernel <- operator <- module <- phase: who is to blame for each piece of work and each call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from torchglass.traces.calls import NOBODY, Calls, row_of_operator
from torchglass.traces.kernel_names import COMPILED, GRAPH_LAUNCH, matching
from torchglass.traces.trace import MODULE_PREFIX, NO_ID, NO_SEQUENCE, Integers, Kind, Trace
from torchglass.traces.work import Work

GRAPH, COMPILED_CODE, UNLINKED = -2, -3, -4  # in the place of a position, where no operator is to blame
BUCKETS = {GRAPH: "(CUDA graph)", COMPILED_CODE: "(compiled)", UNLINKED: "(unlinked)"}
NO_MODULE = "(no module)"


class Blame(NamedTuple):
    """`operator` (work,) is the position of the call that launched each work, or one of `BUCKETS`.

    `operator_of_call` (calls,) is the position of the operator that each call is part of, or `NOBODY`; `module`
    (calls,) the index of the name of the innermost module around it, or `NOBODY`.
    """

    operator: Integers
    operator_of_call: Integers
    module: Integers


def blame_of(trace: Trace, calls: Calls, work: Work) -> Blame:
    """Link work to calls, and calls to modules."""
    operator_of_call = _operators_around(calls)
    position = calls.positions(len(trace))
    operator = _launcher(trace, calls, work, operator_of_call, position)
    in_graph = (trace.graph_node[work.rows] != NO_ID) | _launched_by_graph(trace, work)
    homeless = (operator == NOBODY) & matching(COMPILED, trace.names, work.name)
    operator = np.where(operator == NOBODY, UNLINKED, operator)
    operator[homeless] = COMPILED_CODE
    operator[in_graph] = GRAPH
    return Blame(operator, operator_of_call, _modules(trace, calls))


def _operators_around(calls: Calls) -> Integers:
    """Innermost operator around each call; where there is none, the innermost annotation of the program's own."""
    operator = calls.nearest(calls.kind == Kind.OPERATOR)
    annotation = calls.nearest((calls.kind == Kind.ANNOTATION) & ~calls.marker)
    return np.where(operator == NOBODY, annotation, operator)


def _launcher(trace: Trace, calls: Calls, work: Work, operator_of_call: Integers, position: Integers) -> Integers:
    """Position of the operator behind each work, or `NOBODY`.

    An external id names it, if it does surround the launch: older tracers write other ids into that field. Else the
    launch lies inside it. Work whose launch was not recorded has the external id alone.
    """
    launched = work.launch != NOBODY
    external = np.where(launched, trace.external[work.launch], NO_ID) if len(work) else np.zeros(0, np.int64)
    own = trace.external[work.rows]
    # Equal to the correlation id, it names no operator but the work itself.
    own = np.where(own == trace.correlation[work.rows], NO_ID, own)
    told = row_of_operator(trace, np.where(external == NO_ID, own, external))
    if not len(calls):
        return np.full(len(work), NOBODY, np.int64)
    named = np.where(told == NOBODY, NOBODY, position[told])
    call = np.where(launched, position[work.launch], NOBODY)
    around = (
        (call != NOBODY)
        & (named != NOBODY)
        & (calls.lane[named] == calls.lane[call])
        & (calls.start_ns[named] <= calls.end_ns[call])
        & (calls.end_ns[named] >= calls.start_ns[call])
    )
    by_time = np.where(call == NOBODY, NOBODY, operator_of_call[call])
    by_id = np.where(named == NOBODY, NOBODY, operator_of_call[named])
    return np.where(around | ~launched, by_id, by_time)


def _launched_by_graph(trace: Trace, work: Work) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    launched = work.launch != NOBODY
    found = np.zeros(len(work), np.bool_)
    found[launched] = matching(GRAPH_LAUNCH, trace.names, trace.name[work.launch[launched]])
    return found


def _modules(trace: Trace, calls: Calls) -> Integers:
    """Name index of the module around each call; backward's calls have the module of the forward operator.

    Whichever of the two is nearer counts: a step may run inside of an annotated module as a whole, and recomputed
    forward operators run inside of backward.
    """
    is_module = np.array([name.startswith(MODULE_PREFIX) for name in trace.names] or [False])[calls.name]
    around = calls.nearest(is_module)
    forward_module = np.where(around == NOBODY, NOBODY, calls.name[around]) if len(calls) else calls.name
    forward = _forward_calls(trace, calls)
    linked = (forward != NOBODY) & (forward_module[forward] != NOBODY) if len(calls) else is_module
    nearest = calls.nearest(is_module | linked)
    name = (
        np.where(is_module, calls.name, np.where(linked, forward_module[forward], NOBODY)) if len(calls) else calls.name
    )
    return np.where(nearest == NOBODY, NOBODY, name[nearest]) if len(calls) else calls.name


def _forward_calls(trace: Trace, calls: Calls) -> Integers:
    """For each backward call the forward one whose gradient it computes, or `NOBODY`.

    All forward operators since the last node of the graph carry the same number: the latest of them made the node.
    """
    sequence, thread = trace.sequence[calls.rows], trace.forward_lane[calls.rows]
    numbered = (sequence != NO_SEQUENCE) & (calls.kind == Kind.OPERATOR)
    forward = np.flatnonzero(numbered & (thread == NO_ID))
    backward = np.flatnonzero(numbered & (thread != NO_ID))
    found = np.full(len(calls), NOBODY, np.int64)
    if not len(forward) or not len(backward):
        return found
    lane = calls.lane[forward]
    if np.isin(thread[backward], calls.lane).any():
        lanes, wanted = lane, thread[backward]
    else:
        # A file counts threads one way in `Fwd thread id` and another in `tid`: the number alone must do.
        lanes, wanted = np.zeros(len(forward), np.int64), np.zeros(len(backward), np.int64)
    order = np.lexsort((calls.start_ns[forward], lanes, sequence[forward]))
    keys = _paired(sequence[forward], lanes, sequence[backward], wanted)
    place = np.searchsorted(keys[0][order], keys[1], side="right") - 1
    first = np.searchsorted(keys[0][order], keys[1], side="left")
    hit = (place >= first) & (lane[order][np.maximum(place, 0)] == lane[order][np.minimum(first, len(order) - 1)])
    found[backward[hit]] = forward[order[place[hit]]]
    return found


def _paired(
    sequence: Integers, lane: Integers, other_sequence: Integers, other_lane: Integers
) -> tuple[Integers, Integers]:
    """Code pairs of a number and a thread as one number each, the same in both sets and in the same order."""
    lanes = np.unique(np.concatenate((lane, other_lane)))
    numbers = np.unique(np.concatenate((sequence, other_sequence)))

    def coded(some: Integers, other: Integers) -> Integers:
        return np.searchsorted(numbers, some) * len(lanes) + np.searchsorted(lanes, other)

    return coded(sequence, lane), coded(other_sequence, other_lane)
