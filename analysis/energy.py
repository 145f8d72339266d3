"""What a training step and one of its samples cost in joules, of the GPUs that a rank reads."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from torchglass.analysis.metrics import RATE_KEY
from torchglass.analysis.steps import WHOLE
from torchglass.store import Store

STEP_ENERGY = re.compile(r"gpu[^/]*/energy_per_step_joules")
LATEST_STEPS = 1000  # whose samples are counted; a batch rarely changes its size


class StepEnergy(NamedTuple):
    """Joules a step, of `gpus` GPUs together (mean over the run).

    `samples` are those of a step, the mean of the latest thousand; None where they are not known.
    """

    step_joules: float
    gpus: int
    samples: float | None

    @property
    def sample_joules(self) -> float | None:
        """Joules a sample."""
        return self.step_joules / self.samples if self.samples else None


def read_step_energy(store: Store, run_id: int, rank: int = 0) -> StepEnergy | None:
    """Read what one rank's GPUs used; None where no GPU told."""
    found = [
        series.mean
        for series in store.series_of(run_id, kind="device", rank=rank)
        if STEP_ENERGY.fullmatch(series.key) and series.mean is not None
    ]
    return StepEnergy(sum(found), len(found), _samples(store, run_id, rank)) if found else None


def _samples(store: Store, run_id: int, rank: int) -> float | None:
    """Samples of a step: a step's rate times its seconds, which a rate alone would not tell."""
    known = {
        series.key: series for kind in ("phase", "work") for series in store.series_of(run_id, kind=kind, rank=rank)
    }
    rate, whole = known.get(RATE_KEY), known.get(WHOLE)
    if rate is None or whole is None or rate.last_step is None:
        return None
    window = (rate.last_step - LATEST_STEPS + 1, rate.last_step)
    rates, seconds = (store.points(series.id, window=window) for series in (rate, whole))
    _, first, second = np.intersect1d(rates.steps, seconds.steps, assume_unique=True, return_indices=True)
    samples = rates.values[first] * seconds.values[second]
    samples = samples[np.isfinite(samples)]
    return float(samples.mean()) if samples.size else None
