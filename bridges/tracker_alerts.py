"""Alerts: stated in the run and logged, and not the same one over and over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from enum import Enum

from torchglass.errors import OptionError
from torchglass.instrumentation import Run

SECONDS_BETWEEN_ALERTS = 60.0  # of one title


class AlertLevel(Enum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Alerts:
    """The alerts of one run, as the facts "alerts/1", "alerts/2", ..."""

    def __init__(self, run: Run, clock: Callable[[], float]) -> None:
        self._run = run
        self._clock = clock
        self._count = 0
        self._last: dict[str, float] = {}

    def add(
        self, title: str, text: str, level: str | AlertLevel | None, wait: float | timedelta | None, *, step: int
    ) -> None:
        """State an alert, unless one of its title was stated less than `wait` (60 s) ago.

        Raises:
            OptionError: the level is none of INFO, WARN, ERROR.
        """
        name = level.value if isinstance(level, AlertLevel) else (level or "INFO")
        if name not in AlertLevel.__members__:
            raise OptionError(f"level={level!r}: choose INFO, WARN or ERROR")
        pause = wait.total_seconds() if isinstance(wait, timedelta) else wait
        now, last = self._clock(), self._last.get(title)
        if last is not None and now - last < (pause or SECONDS_BETWEEN_ALERTS):
            return
        self._last[title] = now
        self._count += 1
        self._run.state(f"alerts/{self._count}", {"title": title, "text": text, "level": name, "step": step})
        logging.getLogger("torchglass").log(getattr(logging, name), "%s: %s", title, text)
