"""How fast a counter grows: what was counted between two readings, over the time between them."""

from __future__ import annotations


class Rate:
    """Counts a second of a counter that only grows."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def take(self, when: float, count: float) -> float | None:
        """The rate since the reading before this one, at `when` seconds.

        None at the first reading, where no time has passed, and where the counter went back: it wrapped or began anew.
        """
        before, self._before = self._before, (when, count)
        if before is None or when <= before[0] or count < before[1]:
            return None
        return (count - before[1]) / (when - before[0])
