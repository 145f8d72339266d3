"""When something was recorded."""

from __future__ import annotations

import time


class WallClock:
    """Seconds since the epoch that never run backwards: the wall clock once, the monotonic one from there on.

    `base` is what `time.perf_counter()` lacks to that.
    """

    def __init__(self) -> None:
        self.base = time.time() - time.perf_counter()

    def __call__(self) -> float:
        return self.base + time.perf_counter()
