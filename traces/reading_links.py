"""Which operator is around each call of the runtime, and which thread ran which forward: told, or found by time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from torchglass.traces.trace import NO_ID, NO_SEQUENCE, Integers, Kind

Truths = npt.NDArray[np.bool_]


def ids_link(kind: npt.NDArray[np.int8], identity: Integers, correlation: Integers) -> bool:
    """Whether a trace's external ids say which operator is around.

    Kineto wrote the correlation id in their place for a while (2022 and 2023), which is an operator's id by chance;
    other tools write none.
    """
    others = (kind > Kind.ANNOTATION) & (identity != NO_ID)
    told = others & (correlation != NO_ID)
    mistaken = bool(told.any()) and np.array_equal(identity[told], correlation[told])
    calls = bool((kind == Kind.RUNTIME).any())
    operators_told = bool((identity[kind <= Kind.ANNOTATION] != NO_ID).any())
    return operators_told and not mistaken and (bool(others.any()) or not calls)


def linked_by_time(
    kind: npt.NDArray[np.int8], start: Integers, duration: Integers, lane: Integers, correlation: Integers
) -> tuple[Integers, Integers]:
    """Give operators ids of their own, and everything else the id of the operator that its launch ran within.

    Columns (n,) in order of start. Returns operator_id and external, each (n,).
    """
    operator_id, external = np.zeros(len(kind), np.int64), np.zeros(len(kind), np.int64)
    operators, calls = kind <= Kind.ANNOTATION, kind == Kind.RUNTIME
    operator_id[operators] = np.flatnonzero(operators) + 1
    # By lane; on one lane by start, and of those that begin together the longest first, for it is around the others.
    rows = np.flatnonzero(operators | calls)
    rows = rows[np.lexsort((calls[rows], -duration[rows], start[rows], lane[rows]))]
    open_ids: list[int] = []
    open_ends: list[int] = []
    on_lane: int | None = None
    ends = start + duration
    for row, of_lane, began, ended, is_call in zip(
        rows.tolist(), lane[rows].tolist(), start[rows].tolist(), ends[rows].tolist(), calls[rows].tolist(), strict=True
    ):
        if of_lane != on_lane:
            on_lane = of_lane
            open_ids.clear()
            open_ends.clear()
        while open_ends and (open_ends[-1] < began or (open_ends[-1] == began and ended > began)):
            open_ends.pop()
            open_ids.pop()
        if is_call:
            external[row] = open_ids[-1] if open_ids else NO_ID
        else:
            open_ids.append(row + 1)
            open_ends.append(ended)
    _hand_down(kind, correlation, external)
    return operator_id, external


def _hand_down(kind: npt.NDArray[np.int8], correlation: Integers, external: Integers) -> None:
    """Give what a call launched the operator of that call."""
    calls = np.flatnonzero((kind == Kind.RUNTIME) & (correlation != NO_ID) & (external != NO_ID))
    launched = np.flatnonzero((kind > Kind.OVERHEAD) & (correlation != NO_ID))
    if not len(calls):
        return
    calls = calls[np.argsort(correlation[calls], kind="stable")]
    place = np.searchsorted(correlation[calls], correlation[launched])
    place[place == len(calls)] = 0
    found = correlation[calls[place]] == correlation[launched]
    external[launched[found]] = external[calls[place[found]]]


def forward_lanes(lane: Integers, sequence: Integers, thread: Integers) -> Integers:
    """Torch's own numbers of threads (n,) -> the lanes of the threads that ran the forward operators, `NO_ID` where
    unknown.

    A trace names threads by the system's numbers and, for backward operators, by torch's. Which is which shows in the
    operators that share a sequence number: most of one thread's lie on its lane.
    """
    found = np.zeros(len(lane), np.int64)
    numbered = sequence != NO_SEQUENCE
    forward, backward = np.flatnonzero(numbered & (thread == NO_ID)), np.flatnonzero(numbered & (thread != NO_ID))
    if not len(forward) or not len(backward):
        return found
    forward = forward[np.argsort(sequence[forward], kind="stable")]
    place = np.minimum(np.searchsorted(sequence[forward], sequence[backward]), len(forward) - 1)
    matched = sequence[forward[place]] == sequence[backward]
    for number in np.unique(thread[backward]):
        of_thread = thread[backward] == number
        lanes, counts = np.unique(lane[forward[place[of_thread & matched]]], return_counts=True)
        if len(lanes):
            found[backward[of_thread]] = lanes[counts.argmax()]
    return found
