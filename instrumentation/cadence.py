"""How often something is done: `every(100)` steps, or `every(500, steps=3)` for windows of several steps."""

from __future__ import annotations

from dataclasses import dataclass

from torchglass.errors import OptionError


@dataclass(frozen=True)
class Cadence:
    """Due at steps 0, `interval`, 2 x `interval`, ...; never when `interval` is None. `steps` is a window's length."""

    interval: int | None
    steps: int = 1

    def is_due(self, step: int) -> bool:
        """Tell whether it is this step's turn."""
        return self.interval is not None and step % self.interval == 0


NEVER = Cadence(None)


def every(interval: int, steps: int = 1) -> Cadence:
    """Return the cadence of once in `interval` steps, for `steps` steps at a time.

    Raises:
        OptionError: unless 1 <= steps <= interval.
    """
    if any(isinstance(number, bool) or not isinstance(number, int) for number in (interval, steps)):
        raise OptionError(f"every({interval!r}, steps={steps!r}): give whole numbers of steps")
    if not 1 <= steps <= interval:
        raise OptionError(f"every({interval}, steps={steps}): needs 1 <= steps <= interval")
    return Cadence(interval, steps)


def to_cadence(option: str, value: Cadence | int | None) -> Cadence:
    """Read an option of attach: a number of steps, a cadence, or None for never."""
    if value is None:
        return NEVER
    if isinstance(value, Cadence):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{option}={value!r}: give a number of steps, torchglass.every(...), or None for never")
    return every(value)
