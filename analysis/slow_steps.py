"""One step beside all others: what each phase took in it, how rare that is, and which steps were the slowest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from torchglass.analysis.steps import PREFIX, WHOLE, Steps, aligned
from torchglass.store import ProfilerWindow, Store

MOST_STEPS = 100_000  # of nine phases they take 8 MB, and a tenth of a second to read


class PhaseInStep(NamedTuple):
    """Seconds of a phase in one step, and on the mean of all; `percentile` of the steps took less of it (0 to 100)."""

    phase: str
    seconds: float
    mean_seconds: float
    percentile: float

    @property
    def difference_seconds(self) -> float:
        """How much longer than on the mean."""
        return self.seconds - self.mean_seconds


class StepBesideAll(NamedTuple):
    """A step, its phases and its `whole`, and of how many others.

    `slowest_percent` of the steps took at least as long as it did: 100/n of the slowest of n.
    """

    step: int
    phases: tuple[PhaseInStep, ...]
    whole: PhaseInStep
    slowest_percent: float
    step_count: int


class SlowStep(NamedTuple):
    """A slow step, how many times the median it took, and the phase that made most of the difference, if known."""

    step: int
    seconds: float
    times_median: float
    phase: str | None
    extra_seconds: float
    is_profiled: bool


def stretch(last: int, around: int | None = None) -> tuple[int, int]:
    """The steps to read of a run that has come to `last`: the latest 100,000, or so many with a step among them.

    Neighbouring steps have the same stretch, so that it need not be read for each.
    """
    half = MOST_STEPS // 2
    end = last if around is None or around > last - MOST_STEPS else around // half * half + half * 3 // 2
    return end - MOST_STEPS + 1, end


def read_every_step(store: Store, run_id: int, rank: int, window: tuple[int, int]) -> Steps:
    """Every step of a rank in a stretch, warm-up and profiled ones too, with its phases."""
    series = [one for one in store.series_of(run_id, kind="phase", rank=rank) if one.key.startswith(PREFIX)]
    read = store.points_of((one.id for one in series), window=window)
    return aligned({one.key: read[one.id] for one in series})


def beside_all(steps: Steps, step: int) -> StepBesideAll | None:
    """The step, or the nearest that was timed, beside all; None where none was."""
    if not len(steps.numbers):
        return None
    place = int(np.argmin(np.abs(steps.numbers - step)))
    parts = tuple(_in_step(phase, values, place) for phase, values in zip(steps.phases, steps.seconds, strict=True))
    return StepBesideAll(
        step=int(steps.numbers[place]),
        phases=parts,
        whole=_in_step(WHOLE.removeprefix(PREFIX), steps.whole, place),
        slowest_percent=100 * float((steps.whole >= steps.whole[place]).mean()),
        step_count=len(steps.numbers),
    )


def slowest_steps(steps: Steps, windows: Iterable[ProfilerWindow], count: int = 10) -> tuple[SlowStep, ...]:
    """The slowest steps, slowest first; of equals the earlier. A profiler window slows the steps in it."""
    if not len(steps.numbers):
        return ()
    spans = [(window.step, window.step + window.step_count) for window in windows]
    median = float(np.median(steps.whole))
    usual = np.median(steps.seconds, axis=1) if len(steps.phases) else np.empty(0)
    found = []
    for place in np.argsort(-steps.whole, kind="stable")[:count].tolist():
        extra = steps.seconds[:, place] - usual
        most = int(np.argmax(extra)) if extra.size else None
        number = int(steps.numbers[place])
        found.append(
            SlowStep(
                step=number,
                seconds=float(steps.whole[place]),
                times_median=float(steps.whole[place]) / median if median > 0 else np.nan,
                phase=None if most is None or extra[most] <= 0 else steps.phases[most],
                extra_seconds=0.0 if most is None else max(0.0, float(extra[most])),
                is_profiled=any(first <= number < behind for first, behind in spans),
            )
        )
    return tuple(found)


def _in_step(phase: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], place: int) -> PhaseInStep:
    value = float(values[place])
    return PhaseInStep(phase, value, float(values.mean()), 100 * float((values < value).mean()))
