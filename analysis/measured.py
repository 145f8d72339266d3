"""What one rank of a run measured, as far as it can be compared with another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from torchglass.analysis.bootstrap import Resampled, resampled
from torchglass.analysis.steps import Steps, read_steps, warm_up_count
from torchglass.errors import OptionError
from torchglass.store import Points, ProfilerWindow, Run, Series, Store
from torchglass.store.records import Floats, RowKind


@dataclass(frozen=True)
class Measured:
    """One rank of a run: its comparable steps, its profiler windows, the summaries of its series, and its facts.

    `points` reads a series when somebody asks for more than its summary.
    """

    run: Run
    rank: int
    steps: Steps
    windows: Sequence[ProfilerWindow]
    series: Mapping[str, Series]
    facts: Mapping[str, Any]
    points: Callable[[Series], Points]

    @cached_property
    def whole(self) -> Resampled | None:
        """The step time, resampled; None where no step was timed."""
        return resampled(self.steps.whole) if self.steps.whole.size else None

    @cached_property
    def phases(self) -> Mapping[str, Resampled]:
        """The seconds of each phase, resampled."""
        if not self.steps.whole.size:
            return {}
        return {name: resampled(row) for name, row in zip(self.steps.phases, self.steps.seconds, strict=True)}

    def samples(self, key: str) -> Resampled | None:
        """The values of a series without its first tenth (5 to 100 values), resampled; None where there are none."""
        series = self.series.get(key)
        if series is None or not series.count:
            return None
        values = self.points(series).values
        values = values[np.isfinite(values)]
        values = values[warm_up_count(len(values)) :]
        return resampled(values) if values.size else None

    def last(self, key: str) -> float | None:
        """The last value of a series, be it finite or not; None where there is none."""
        series = self.series.get(key)
        if series is None or not series.count:
            return None
        if not series.nonfinite_count:
            return series.last
        return float(self.points(series).values[-1])

    def seconds_per_step(self, kind: RowKind) -> dict[str, Floats]:
        """Self seconds a step (w,) of each operator or kernel in each profiler window."""
        found: dict[str, Floats] = {}
        for place, window in enumerate(self.windows):
            for row in window.rows:
                if row.kind == kind:
                    # A window that saw no call of it measured that it took no time.
                    sums = found.setdefault(row.name, np.zeros(len(self.windows)))
                    sums[place] += row.self_seconds / max(window.step_count, 1)
        return found


def measure(store: Store, run: Run, rank: int = 0) -> Measured:
    """Read what one rank of a run measured; the store must stay open while it is compared.

    Raises:
        OptionError: the run has other ranks, and not this one.
    """
    facts, windows = store.facts(run.id), store.windows(run.id, rank)
    series = store.series_of(run.id, rank=rank)
    if not series and not windows:
        known = sorted(
            {each.rank for each in store.series_of(run.id)} | {each.rank for each in store.windows(run.id, rows=False)}
        )
        if known:
            raise OptionError(f"{run.name} has no rank {rank}: it has {', '.join(map(str, known))}")
    return Measured(
        run=run,
        rank=rank,
        steps=read_steps(store, run.id, rank, windows),
        windows=[window for window in windows if window.rows],
        series={each.key: each for each in series},
        # What a rank did not state for itself, rank 0 stated for all.
        facts={fact.key: fact.value for at in (0, rank) for fact in facts if fact.rank == at},
        points=lambda series: store.points(series.id),
    )
