"""The one guard between torchglass and the training loop: every hook passes through it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any


class Guard:
    """Runs our code on the training thread, measures what it costs, and disarms everything at the first failure."""

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self.armed = True
        self.spent_ns = 0
        self._on_failure = on_failure

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of ours; nothing that it raises reaches the training loop."""
        if not self.armed:
            return None
        began = time.perf_counter_ns()
        try:
            return function(*arguments)
        except Exception as error:
            self.armed = False
            message = f"torchglass stopped watching after a failure of its own: {type(error).__name__}: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
            self._on_failure(message)
            return None
        finally:
            self.spent_ns += time.perf_counter_ns() - began
