"""Which phase of the training step each moment belongs to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from torchglass.store import Table
from torchglass.traces.calls import Calls
from torchglass.traces.phase_guess import guessed_segments
from torchglass.traces.tables import empty, table
from torchglass.traces.trace import PHASE_PREFIX, Integers, Trace
from torchglass.traces.work import Work

OTHER = "other"


class Phases(NamedTuple):
    """Segments [start_ns, end_ns) (s,), sorted and disjoint, each of the phase `names[phase]`; "other" comes first."""

    names: tuple[str, ...]
    phase: Integers
    start_ns: Integers
    end_ns: Integers
    lane: int | None  # the training thread, where the trace has one
    marked: bool  # by our own marks, not guessed

    def at(self, moments: Integers) -> Integers:
        """Index into `names` for each moment (m,); "other" outside of all segments."""
        if not len(self.start_ns):
            return np.zeros(len(moments), np.int64)
        place = np.searchsorted(self.start_ns, moments, side="right") - 1
        inside = (place >= 0) & (moments < self.end_ns[place])
        return np.where(inside, self.phase[place], 0)


def phases_of(trace: Trace, calls: Calls) -> Phases:
    """Read the marks that our windows leave; a trace without them is divided by what torch itself annotates."""
    marks = [index for index, name in enumerate(trace.names) if name.startswith(PHASE_PREFIX)]
    found = np.flatnonzero(np.isin(calls.name, marks))
    if len(found):
        return _marked(trace, calls, found)
    lane, spans = guessed_segments(trace, calls)
    names, phase = _coded([phase for phase, _, _ in spans])
    starts, ends = (np.array([span[side] for span in spans], np.int64) for side in (1, 2))
    return Phases(names, phase, starts, ends, lane, marked=False)


def phase_table(phases: Phases, work: Work) -> Table:
    """Seconds of the training thread in each phase, and of the devices' work that was launched in it."""
    if not len(phases.phase):
        return empty("phases")
    host = np.bincount(phases.phase, weights=phases.end_ns - phases.start_ns, minlength=len(phases.names))
    launched = work.launch >= 0
    device = np.bincount(
        phases.at(work.launched_ns[launched]), weights=work.clipped_ns[launched], minlength=len(phases.names)
    )
    device[0] += work.clipped_ns[~launched].sum()
    present = np.flatnonzero((host > 0) | (device > 0))
    return table(
        "phases",
        phase=[phases.names[index] for index in present.tolist()],
        seconds=host[present] / 1e9,
        device_seconds=device[present] / 1e9 if len(work) else np.full(len(present), np.nan),
    )


def _marked(trace: Trace, calls: Calls, found: Integers) -> Phases:
    """Segments between marks: each tells what the time since the one before it was."""
    lanes, counts = np.unique(calls.lane[found], return_counts=True)
    lane = int(lanes[np.argmax(counts)])
    found = found[calls.lane[found] == lane]
    ends = calls.start_ns[found]
    begin = int(calls.start_ns[calls.lane == lane].min())
    starts = np.concatenate(([begin], ends[:-1]))
    told = [trace.names[index].removeprefix(PHASE_PREFIX) for index in calls.name[found].tolist()]
    names, phase = _coded(told)
    return Phases(names, phase, starts, ends, lane, marked=True)


def _coded(told: list[str]) -> tuple[tuple[str, ...], Integers]:
    """Distinct names, "other" first, and the index of each told one among them."""
    place = {name: index for index, name in enumerate(dict.fromkeys((OTHER, *told)))}
    return tuple(place), np.array([place[name] for name in told], np.int64)
