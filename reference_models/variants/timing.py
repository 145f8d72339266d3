"""Times of several tasks, measured in turns, so that what disturbs the machine meets all of them alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from torchglass.errors import TorchglassError
from torchglass.reference_models.variants.results import CannotRun, Floats, Timing

RESAMPLES = 2000  # of the bootstrap: the ends of its interval then move by about a hundredth of its width
CONFIDENCE = 95  # percent


class Turns(NamedTuple):
    """Seconds of one call in each round (rounds,) by task, and the tasks that failed on the way."""

    seconds: dict[str, Floats]
    failed: dict[str, CannotRun]


def take_turns(
    tasks: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int,
    seed: int,
    wait: Callable[[], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Turns:
    """Time each task once a round, in an order that is drawn anew each round; a turn is `calls` calls.

    `wait` returns when the device has done what it was given.
    """
    order = random.Random(seed)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    failed: dict[str, CannotRun] = {}
    for number in range(1, rounds + 1):
        names = [name for name in tasks if name not in failed]
        order.shuffle(names)
        for name in names:
            wait()
            began = clock()
            try:
                for _ in range(calls):
                    tasks[name]()
                wait()
            except Exception as error:  # one technique's failure, of whatever class, is not the others'
                failed[name] = CannotRun(f"in round {number}: {reason(error)}")
                continue
            seconds[name].append((clock() - began) / calls)
    return Turns({name: np.array(taken) for name, taken in seconds.items() if name not in failed}, failed)


def summarize(seconds: Floats, original: Floats, batch_size: int, ready_seconds: float) -> Timing:
    """Sum up a task's turns (rounds,) beside the original's in the same rounds.

    The bootstrap draws whole rounds, so that a disturbance which a round's turns share stays shared.
    """
    drawn = np.random.default_rng(0).integers(0, len(seconds), size=(RESAMPLES, len(seconds)))
    ratios = np.median(seconds[drawn], axis=1) / np.median(original[drawn], axis=1)
    outside = (100 - CONFIDENCE) / 2
    low, median, high = np.percentile(seconds, [25, 50, 75]).tolist()
    ratio_low, ratio_high = np.percentile(ratios, [outside, 100 - outside]).tolist()
    return Timing(
        median_seconds=median,
        low_seconds=low,
        high_seconds=high,
        ratio=median / float(np.median(original)),
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        samples_per_second=batch_size / median,
        ready_seconds=ready_seconds,
    )


def calls_for(seconds: float, *, turn_seconds: float, most: int) -> int:
    """Return how many calls of so many seconds make a turn long enough for the clock, at least one."""
    return max(1, min(most, round(turn_seconds / seconds))) if seconds > 0 else most


def reason(error: BaseException) -> str:
    """Say in a line why something failed: our own errors are sentences, others are named with their class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[0] if lines else "no message"
    return told if isinstance(error, TorchglassError) else f"{type(error).__name__}: {told}"
