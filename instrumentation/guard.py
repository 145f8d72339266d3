"""The one guard between torchglass and the training loop: every hook passes through it."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any


def tell(message: str) -> None:
    """Warn, but never raise: where warnings are errors the message goes to the log instead."""
    try:
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        logging.getLogger("torchglass").warning(message)


class Guard:
    """Runs our code on the training thread, measures what it costs, and disarms everything at the first failure.

    One reading of the clock says when a moment of the loop was, and from when on our own cost counts.
    """

    def __init__(self, on_failure: Callable[[str], None], now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self.armed = True
        self.spent_ns = 0
        self.now_ns = now_ns
        self._on_failure = on_failure

    def moment(self, tell_moment: Callable[..., None], *arguments: Any) -> None:
        """Tell of a moment that is now, in nanoseconds, unless we failed before; nothing it raises reaches the loop."""
        if self.armed:
            now_ns = self.now_ns
            began = now_ns()
            try:
                tell_moment(began, *arguments)
            except Exception as error:
                self._disarm(error)
            self.spent_ns += now_ns() - began

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of ours, unless one has failed before; nothing that it raises reaches the training loop."""
        return self.call_anyway(function, *arguments) if self.armed else None

    def call_anyway(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of ours even after a failure: what tidies up must run."""
        began = self.now_ns()
        try:
            return function(*arguments)
        except Exception as error:
            self._disarm(error)
            return None
        finally:
            self.spent_ns += self.now_ns() - began

    def _disarm(self, error: Exception) -> None:
        if self.armed:
            self.armed = False
            message = f"torchglass stopped watching after a failure of its own: {type(error).__name__}: {error}"
            tell(message)
            try:
                self._on_failure(message)
            except Exception as second:
                tell(f"torchglass could not put everything back after that failure: {second!r}")
