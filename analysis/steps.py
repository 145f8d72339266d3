"""The steps of a run that can be compared with another's: phases side by side, without warm-up and profiled steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from torchglass.language import listed, tr
from torchglass.store import Points, ProfilerWindow, Store
from torchglass.store.records import Floats, Integers

PREFIX = "phase/"
WHOLE = "phase/step"
# As they follow each other in a step; names that are not here come behind.
ORDER = ("data", "to_device", "forward", "backward", "gradient_sync", "optimizer", "torchglass", "other")
WARM_UP_SHARE, FEWEST_WARM_UP, MOST_WARM_UP = 0.1, 5, 100
# Of a window's neighbours: the step before it starts the profiler, the one after it pays for stopping it.
PROFILER_REACH = 1


class Steps(NamedTuple):
    """Seconds of each phase (k, n) and of the whole (n,) at steps (n,), in order.

    `recorded` steps were timed; of these `warm_up` and `profiled` ones are left out. Where each ran under the profiler,
    as in an imported trace, none is: `only_profiled`.
    """

    numbers: Integers
    phases: tuple[str, ...]
    seconds: Floats
    whole: Floats
    recorded: int
    warm_up: int
    profiled: int
    only_profiled: bool = False

    @property
    def told(self) -> str:
        """How many steps count, and why not the others."""
        if not self.recorded:
            return tr("no step was timed")
        if self.only_profiled:
            if self.recorded == 1:
                return tr("1 step, timed under the profiler")
            return tr("{count} steps, timed under the profiler", count=f"{self.recorded:,}")
        left_out = [tr("the first {count} are warm-up", count=self.warm_up)] if self.warm_up else []
        left_out += [tr("{count} slowed by the profiler", count=self.profiled)] if self.profiled else []
        because = tr(" ({told})", told=listed(left_out)) if left_out else ""
        steps = tr("{count} of {recorded} steps", count=f"{len(self.numbers):,}", recorded=f"{self.recorded:,}")
        return f"{steps}{because}"


def read_steps(
    store: Store,
    run_id: int,
    rank: int,
    profiled: Iterable[ProfilerWindow],
    window: tuple[int, int] | None = None,
) -> Steps:
    """Read the steps of one rank, without warm-up and without those that the rank's profiler windows slowed."""
    read = {
        series.key: store.points(series.id, window=window)
        for series in store.series_of(run_id, kind="phase", rank=rank)
        if series.key.startswith(PREFIX)
    }
    return without_distorted(aligned(read), profiled)


def aligned(read: dict[str, Points]) -> Steps:
    """Put phases side by side, at the steps that all of them have."""
    known = {key: _finite(points) for key, points in read.items() if len(points.steps)}
    if WHOLE not in known:
        return Steps(np.empty(0, np.int64), (), np.empty((0, 0)), np.empty(0), 0, 0, 0)
    numbers = known[WHOLE].steps
    for points in known.values():
        numbers = np.intersect1d(numbers, points.steps, assume_unique=True)
    values = {key: points.values[np.searchsorted(points.steps, numbers)] for key, points in known.items()}
    whole = values.pop(WHOLE)
    phases = in_order(key.removeprefix(PREFIX) for key in values)
    seconds = np.array([values[PREFIX + phase] for phase in phases]).reshape(len(phases), len(numbers))
    return Steps(numbers, phases, seconds, whole, len(numbers), 0, 0)


def without_distorted(steps: Steps, windows: Iterable[ProfilerWindow]) -> Steps:
    """Leave out the first tenth (5 to 100 steps), and every step in a profiler window or next to one.

    Where every step lies in a window there is nothing else to compare, and all of them were slowed alike.
    """
    windows = list(windows)
    inside = np.zeros(steps.recorded, np.bool_)
    for window in windows:
        inside |= (steps.numbers >= window.step) & (steps.numbers < window.step + window.step_count)
    if steps.recorded and inside.all():
        return steps._replace(only_profiled=True)
    warm_up = min(warm_up_count(steps.recorded), steps.recorded)
    keep = np.ones(steps.recorded, np.bool_)
    for window in windows:
        first, last = window.step - PROFILER_REACH, window.step + window.step_count - 1 + PROFILER_REACH
        keep &= (steps.numbers < first) | (steps.numbers > last)
    profiled = int((~keep[warm_up:]).sum())
    keep[:warm_up] = False
    return steps._replace(
        numbers=steps.numbers[keep],
        seconds=steps.seconds[:, keep],
        whole=steps.whole[keep],
        warm_up=warm_up,
        profiled=profiled,
    )


def in_order(phases: Iterable[str]) -> tuple[str, ...]:
    """Phases as they follow each other in a step, each once."""
    found = dict.fromkeys(phases)
    return (*(name for name in ORDER if name in found), *(name for name in found if name not in ORDER))


def warm_up_count(count: int) -> int:
    """How many of `count` samples at the beginning still pay for memory, caches and compilation."""
    return min(max(FEWEST_WARM_UP, round(WARM_UP_SHARE * count)), MOST_WARM_UP)


def _finite(points: Points) -> Points:
    keep = np.isfinite(points.values)
    return points._replace(steps=points.steps[keep], times=points.times[keep], values=points.values[keep])
