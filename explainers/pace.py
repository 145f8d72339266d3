"""Say how long an explanation may take, and hear how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int], object]
"""Called with (done, total), both in inputs put forward or steps of equal cost; it cancels by raising."""


@dataclass(frozen=True)
class Pace:
    """The seconds that a method may take and whom it tells; without a budget the clock is never read."""

    budget: float | None = None
    """seconds, None without end"""
    progress: Progress | None = None
    clock: Callable[[], float] = time.perf_counter
    started: float = 0.0
    """by the clock"""

    def is_over(self) -> bool:
        """Tell whether the budget is spent: sampling then ends with what it has."""
        return self.budget is not None and self.clock() - self.started >= self.budget

    def tell(self, done: int, total: int) -> None:
        """Report that `done` of `total` is done."""
        if self.progress is not None:
            self.progress(done, total)
