"""How often something is done: `every(100)` steps, or `every(500, steps=3)` for windows of several steps."""

from __future__ import annotations

from dataclasses import dataclass

from torchglass.errors import OptionError


@dataclass(frozen=True)
class Cadence:
    """Due at steps 0, `interval`, 2 x `interval`, ...; never when `interval` is None. `steps` is a window's length.

    A window that would make windows take more than `at_most` of the time so far is left out until its next turn.
    With `keep_traces` the whole trace of each window is kept in a file.
    """

    interval: int | None
    steps: int = 1
    at_most: float | None = None
    keep_traces: bool = False

    def is_due(self, step: int) -> bool:
        """Tell whether it is this step's turn."""
        return self.interval is not None and step % self.interval == 0


NEVER = Cadence(None)


def every(interval: int, steps: int = 1, *, at_most: float | None = None, keep_traces: bool = False) -> Cadence:
    """Return the cadence of once in `interval` steps, for `steps` steps at a time.

    Args:
        interval: steps from one turn to the next.
        steps: length of a profiler window.
        at_most: share of the training time (0 to 1) that profiler windows may take; one that would exceed it waits.
        keep_traces: keep each profiler window's whole trace as `.pt.trace.json.gz`, for Perfetto.

    Raises:
        OptionError: unless 1 <= steps <= interval and 0 < at_most <= 1.
    """
    if any(isinstance(number, bool) or not isinstance(number, int) for number in (interval, steps)):
        raise OptionError(f"every({interval!r}, steps={steps!r}): give whole numbers of steps")
    if not 1 <= steps <= interval:
        raise OptionError(f"every({interval}, steps={steps}): needs 1 <= steps <= interval")
    if at_most is not None and not (isinstance(at_most, int | float) and 0 < at_most <= 1):
        raise OptionError(f"every(at_most={at_most!r}): give a share of the time between 0 and 1, such as 0.02")
    return Cadence(interval, steps, at_most, keep_traces)


def to_cadence(option: str, value: Cadence | int | None) -> Cadence:
    """Read an option of attach: a number of steps, a cadence, or None for never."""
    if value is None:
        return NEVER
    if isinstance(value, Cadence):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{option}={value!r}: give a number of steps, torchglass.every(...), or None for never")
    return every(value)
