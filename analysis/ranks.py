"""The ranks of one run side by side: what each did in a step, and what of it was work of its own."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from torchglass.analysis.steps import WHOLE, Steps, in_order, read_steps
from torchglass.store import Store
from torchglass.store.records import Floats, Integers

MAX_STEPS = 2000  # the latest; of 64 ranks and 8 phases they take 8 MB
EXCHANGE, BACKWARD = "gradient_sync", "backward"


class Ranks(NamedTuple):
    """Seconds (r, k, n) of k phases in n steps that all r ranks have, and of the whole step (r, n).

    `waits_in` is the phase in which a rank waits for the others: the exchange of gradients, or, where that was not
    timed by itself, backward.
    """

    ranks: tuple[int, ...]
    phases: tuple[str, ...]
    steps: Integers
    seconds: Floats
    whole: Floats
    waits_in: str

    def of_phase(self, phase: str) -> Floats:
        """Seconds (r, n) of one phase."""
        return np.asarray(self.seconds[:, self.phases.index(phase)])

    @property
    def medians(self) -> Floats:
        """The usual seconds (r, k) of each phase in each rank."""
        return np.asarray(np.median(self.seconds, axis=-1))

    @property
    def own(self) -> Floats:
        """Seconds (r, n) in which a rank did not wait for others: whoever arrives last has the most of them.

        Where waiting lies inside backward, backward counts for each rank as in the rank where it was shortest: nobody
        waits for the last to arrive.
        """
        if self.waits_in not in self.phases:
            return self.whole
        waiting = self.of_phase(self.waits_in)
        if self.waits_in == BACKWARD:
            waiting = waiting - waiting.min(axis=0)
        return np.asarray(self.whole - waiting)


def read_ranks(store: Store, run_id: int) -> Ranks:
    """Read the latest 2,000 steps that every rank of a run has, without warm-up and profiled ones."""
    known = {series.rank: series for series in store.series_of(run_id, kind="phase") if series.key == WHOLE}
    ends = [series.last_step for series in known.values() if series.last_step is not None]
    if not ends:
        return side_by_side({})
    window = (min(ends) - MAX_STEPS + 1, min(ends))
    profiled = defaultdict(list)
    for each in store.windows(run_id, rows=False):
        profiled[each.rank].append(each)
    return side_by_side({rank: read_steps(store, run_id, rank, profiled[rank], window) for rank in sorted(known)})


def side_by_side(steps: dict[int, Steps]) -> Ranks:
    """Put the steps of ranks side by side, as far as all of them have the same."""
    ranks = tuple(rank for rank, each in steps.items() if each.recorded)
    if not ranks:
        return Ranks((), (), np.empty(0, np.int64), np.empty((0, 0, 0)), np.empty((0, 0)), EXCHANGE)
    numbers = steps[ranks[0]].numbers
    for rank in ranks:
        numbers = np.intersect1d(numbers, steps[rank].numbers, assume_unique=True)
    phases = in_order(phase for rank in ranks for phase in steps[rank].phases)
    # Phases share out the whole step: one that a rank does not know took no time of its own there.
    seconds = np.zeros((len(ranks), len(phases), len(numbers)))
    whole = np.empty((len(ranks), len(numbers)))
    for row, rank in enumerate(ranks):
        at = np.searchsorted(steps[rank].numbers, numbers)
        whole[row] = steps[rank].whole[at]
        for phase, values in zip(steps[rank].phases, steps[rank].seconds, strict=True):
            seconds[row, phases.index(phase)] = values[at]
    is_timed = EXCHANGE in phases and bool((seconds[:, phases.index(EXCHANGE)] > 0).any())
    return Ranks(ranks, phases, numbers, seconds, whole, EXCHANGE if is_timed else BACKWARD)
