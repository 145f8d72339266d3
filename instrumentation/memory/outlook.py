"""When memory will run out, if it goes on like this: judged by the lowest of each stretch, so that no tooth alarms."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from torchglass.store.records import Floats

STRETCH = 64  # readings of which only the lowest and the highest are kept
GROUPS = 8  # what is looked at: so many groups of one, two, four or eight stretches
SCALES = (1, 2, 4, 8)
FORESIGHT = 0.25  # a rise is taken to go on for a quarter of the time for which it has been seen
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

    Told is what (a) rose from each of eight groups of stretches to the next, by the lowest reading of each, (b) to
    where memory has not been before, (c) without slowing down, and (d) would be at the limit within a quarter of the
    time for which it rose, 896 readings at most. A curve that is constant, noisy, periodic or that levels off does
    not do all of it, with one exception: a first tooth which alone takes four fifths of the room that there was, of
    which nobody can know that it will fall.
    """

    def __init__(self, limit_bytes: float) -> None:
        self._limit_bytes = limit_bytes
        self._stretches: deque[_Stretch] = deque()
        self._highest_before = -np.inf

    def look(self, steps: Sequence[int], used_bytes: Sequence[float], taken_bytes: float) -> Growth | None:
        """Add a stretch of readings; `taken_bytes` are what now count against the limit: used, and kept for use."""
        self._stretches.append(_Stretch(steps[-1], min(used_bytes), max(used_bytes)))
        if len(self._stretches) > GROUPS * SCALES[-1]:
            self._highest_before = max(self._highest_before, self._stretches.popleft().highest)
        left_bytes = max(0.0, self._limit_bytes - taken_bytes)
        grown = (self._growth(scale, left_bytes) for scale in SCALES if len(self._stretches) >= GROUPS * scale)
        return next((growth for growth in grown if growth is not None), None)

    def _growth(self, scale: int, left_bytes: float) -> Growth | None:
        known = list(self._stretches)
        before, looked_at = known[: -GROUPS * scale], known[-GROUPS * scale :]
        groups = [looked_at[first : first + scale] for first in range(0, len(looked_at), scale)]
        at = np.array([group[-1].last_step for group in groups], np.float64)
        lowest = np.array([min(stretch.lowest for stretch in group) for group in groups])
        if not (np.diff(lowest) > 0).all() or not (np.diff(at) > 0).all():
            return None
        if lowest[-1] <= max((self._highest_before, *(stretch.highest for stretch in before))):
            return None
        half = GROUPS // 2
        earlier, later = median_slope(at[:half], lowest[:half]), median_slope(at[half:], lowest[half:])
        if later < _LEVELLING_OFF * earlier:
            return None
        observed_steps = at[-1] - at[0]
        slope = min(later, median_slope(at, lowest))
        growth = Growth(slope, int(observed_steps), left_bytes / slope)
        return growth if growth.steps_left <= FORESIGHT * observed_steps else None


def median_slope(x: Floats, y: Floats) -> float:
    """Median of the slopes between all pairs of points (n,): nearly a third of them may be wild without effect.

    Theil (1950), Sen (1968).
    """
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))
