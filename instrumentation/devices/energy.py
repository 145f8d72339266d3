"""What training costs in joules: since the run began, and for each step."""

from __future__ import annotations

LEAST_SECONDS = 1.0  # the driver's counter moves every 20 to 100 ms: a shorter window would be mostly its rounding
LEAST_STEPS = 10


class Energy:
    """Joules since the first reading, of a counter in millijoules that runs since the driver was loaded."""

    def __init__(self) -> None:
        self._joules = 0.0
        self._last_millijoules: float | None = None

    def take(self, millijoules: float) -> float:
        """Joules so far; what was used while the counter began anew (the driver was loaded again) is not in them."""
        last, self._last_millijoules = self._last_millijoules, millijoules
        if last is not None and millijoules >= last:
            self._joules += (millijoules - last) / 1e3
        return self._joules


class IntegratedPower:
    """Joules since the first reading, by the trapezoid rule over power: for boards without an energy counter."""

    def __init__(self) -> None:
        self._joules = 0.0
        self._last: tuple[float, float] | None = None

    def take(self, when: float, watts: float) -> float:
        """Joules so far, of which those since the last reading are the mean of two powers times the time between."""
        last, self._last = self._last, (when, watts)
        if last is not None and when > last[0]:
            self._joules += (when - last[0]) * (watts + last[1]) / 2
        return self._joules


class StepEnergy:
    """Joules for each training step, over windows of at least 1 s and 10 steps."""

    def __init__(self) -> None:
        self._began: tuple[float, int, float] | None = None

    def take(self, when: float, step: int, joules: float) -> float | None:
        """The mean over the steps of the window that ends here; None while the window is too short to tell.

        `when` in seconds. A step or a sum that went back (a resumed run, a lost counter) begins a new window.
        """
        if self._began is None or step < self._began[1] or joules < self._began[2]:
            self._began = (when, step, joules)
            return None
        seconds, steps, used = when - self._began[0], step - self._began[1], joules - self._began[2]
        if seconds < LEAST_SECONDS or steps < LEAST_STEPS:
            return None
        self._began = (when, step, joules)
        return used / steps
