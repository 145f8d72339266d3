"""When memory will run out, if it goes on like this: judged by the lowest of each stretch, so that no tooth alarms."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from torchglass.store.records import Floats

STRETCH = 64  # readings of which only the lowest and the highest are kept
STRETCHES = 8  # a forecast looks back over so many, and no more than twice as far ahead
HORIZON_STEPS = 1000
_LEVELLING_OFF = 0.5  # of the earlier growth: what slows down like that does not go on for ever


class Growth(NamedTuple):
    """Bytes a step by which memory grew over the last `observed_steps`, and the steps until none is left."""

    bytes_per_step: float
    observed_steps: int
    steps_left: float


class _Stretch(NamedTuple):
    last_step: int
    lowest: float
    highest: float


class Outlook:
    """Takes readings in stretches and tells of growth that would soon take all there is.

    Told is what (a) rose from every stretch to the next, by its lowest reading, (b) to where memory has not been before
    and (c) not ever more slowly. A curve that is constant, noisy, periodic or that levels off does none of it, except
    during a first rise longer than the stretches looked at, of which nobody can know that it will fall.
    """

    def __init__(self, limit_bytes: float) -> None:
        self._limit_bytes = limit_bytes
        self._stretches: deque[_Stretch] = deque()
        self._highest_before = -np.inf

    def look(self, steps: Sequence[int], used_bytes: Sequence[float], taken_bytes: float) -> Growth | None:
        """Add a stretch of readings; `taken_bytes` are what now count against the limit: used, and kept for use."""
        self._stretches.append(_Stretch(steps[-1], min(used_bytes), max(used_bytes)))
        if len(self._stretches) > STRETCHES:
            self._highest_before = max(self._highest_before, self._stretches.popleft().highest)
        if len(self._stretches) < STRETCHES or self._stretches[-1].lowest <= self._highest_before:
            return None
        at = np.array([each.last_step for each in self._stretches], np.float64)
        lowest = np.array([each.lowest for each in self._stretches])
        if not (np.diff(lowest) > 0).all() or not (np.diff(at) > 0).all():
            return None
        half = STRETCHES // 2
        earlier, later = median_slope(at[:half], lowest[:half]), median_slope(at[half:], lowest[half:])
        if later < _LEVELLING_OFF * earlier:
            return None
        slope = min(later, median_slope(at, lowest))
        steps_left = max(0.0, self._limit_bytes - taken_bytes) / slope
        return Growth(slope, int(at[-1] - at[0]), steps_left) if steps_left <= HORIZON_STEPS else None


def median_slope(x: Floats, y: Floats) -> float:
    """Median of the slopes between all pairs of points (n,): nearly a third of them may be wild without effect.

    Theil (1950), Sen (1968).
    """
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))
