"""Phases of a trace without our marks, from what torch annotates by itself.

Data is time in the loader's annotation and the optimizer's is its own; backward runs from the first to the last
autograd function that no forward operator, loader or optimizer comes between; forward is the time from the last of
these until backward begins. What is left, clearing gradients among it, is "other".
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise

import numpy as np

from torchglass.traces.calls import NOBODY, Calls
from torchglass.traces.trace import NO_ID, NO_SEQUENCE, STEP_PREFIX, Integers, Kind, Trace

Span = tuple[str, int, int]  # phase, start and end in nanoseconds
DATA, OPTIMIZER, BACKWARD, FORWARD, OTHER = "data", "optimizer", "backward", "forward", "other"
_ANNOTATED = (
    (re.compile(r"^enumerate\(DataLoader\)"), DATA),
    (re.compile(r"^Optimizer\.step#"), OPTIMIZER),
    (re.compile(r"^Optimizer\.zero_grad#"), OTHER),
)
# The engine's own name for a node it runs; in traces of 2021 the node's alone.
_AUTOGRAD = re.compile(r"^autograd::engine::evaluate_function|^\w+Backward\d*$|^(struct )?torch::autograd::")


def guessed_segments(trace: Trace, calls: Calls) -> tuple[int | None, list[Span]]:
    """Return the training thread and its spans, sorted and disjoint; none and [] if nothing says where a step is."""
    steps = np.flatnonzero(_named(trace, calls, re.compile(f"^{STEP_PREFIX}")))
    annotated = _annotated(trace, calls)
    autograd = np.flatnonzero(_named(trace, calls, _AUTOGRAD))
    if not annotated and not len(autograd):
        return None, []
    lane = _training_thread(calls, steps, autograd)
    splits = sorted([start for _, start, _ in annotated] + _forward_starts(trace, calls, autograd))
    backward = [(BACKWARD, start, end) for start, end in _merged(calls, autograd, splits)]
    spans = _disjoint(sorted(annotated + backward, key=lambda span: span[1]))
    ours = calls.lane == lane
    begin, end = int(calls.start_ns[ours].min()), int(calls.end_ns[ours].max())
    starts = sorted(calls.start_ns[steps].tolist())
    return lane, _filled(spans, begin, end, starts)


def _named(trace: Trace, calls: Calls, pattern: re.Pattern[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    hits = [index for index, name in enumerate(trace.names) if pattern.match(name)]
    return np.isin(calls.name, hits)


def _annotated(trace: Trace, calls: Calls) -> list[Span]:
    spans = []
    for pattern, phase in _ANNOTATED:
        for call in np.flatnonzero(_named(trace, calls, pattern)).tolist():
            spans.append((phase, int(calls.start_ns[call]), int(calls.end_ns[call])))
    return spans


def _training_thread(calls: Calls, steps: Integers, autograd: Integers) -> int:
    """Return the thread of the steps, else the one with most calls outside of autograd."""
    if len(steps):
        return int(calls.lane[steps[0]])
    plain = np.ones(len(calls), np.bool_)
    plain[autograd] = False
    lanes, counts = np.unique(calls.lane[plain] if plain.any() else calls.lane, return_counts=True)
    return int(lanes[np.argmax(counts)])


def _forward_starts(trace: Trace, calls: Calls, autograd: Integers) -> list[int]:
    """When operators that autograd will differentiate begin, outside of autograd's own functions."""
    in_autograd = np.zeros(len(calls), np.bool_)
    in_autograd[autograd] = True
    outside = calls.nearest(in_autograd) == NOBODY
    differentiable = (trace.sequence[calls.rows] != NO_SEQUENCE) & (trace.forward_lane[calls.rows] == NO_ID)
    starts: list[int] = calls.start_ns[outside & differentiable & (calls.kind == Kind.OPERATOR)].tolist()
    return starts


def _merged(calls: Calls, autograd: Integers, splits: list[int]) -> list[tuple[int, int]]:
    """Join autograd's functions, of whatever thread, as long as none of the sorted moments lies between two."""
    if not len(autograd):
        return []
    order = np.argsort(calls.start_ns[autograd], kind="stable")
    starts, ends = calls.start_ns[autograd][order], np.maximum.accumulate(calls.end_ns[autograd][order])
    passed = np.searchsorted(np.array(splits, np.int64), starts)
    opens = np.concatenate(([True], passed[1:] != passed[:-1]))
    closes = np.concatenate((opens[1:], [True]))
    return list(zip(starts[opens].tolist(), ends[closes].tolist(), strict=True))


def _disjoint(spans: list[Span]) -> list[Span]:
    """Cut each span where the one before it ends: what began first keeps its time."""
    kept: list[Span] = []
    until = None
    for phase, start, end in spans:
        begin = start if until is None else max(start, until)
        if end > begin:
            kept.append((phase, begin, end))
            until = end
    return kept


def _filled(spans: list[Span], begin: int, end: int, step_starts: list[int]) -> list[Span]:
    """Fill the time between spans: forward before backward, as far back as its step or the span before, else other.

    Gradients may be cleared between forward and backward: that is other, and what comes before it is forward still.
    """
    filled: list[Span] = []
    until, leads_to_backward = end, False
    for phase, start, stop in [*reversed(spans), (OTHER, begin, begin)]:
        within = step_starts[bisect_right(step_starts, stop) : bisect_left(step_starts, until)]
        borders = [stop, *within, until]
        pieces = [(OTHER, first, last) for first, last in pairwise(borders) if last > first]
        if leads_to_backward and pieces:
            pieces[-1] = (FORWARD, *pieces[-1][1:])
        filled.extend(reversed(pieces))
        if stop > start:
            filled.append((phase, start, stop))
        leads_to_backward = phase == BACKWARD or (phase == OTHER and leads_to_backward and len(borders) == 2)
        until = start
    return filled[::-1]
