"""Say a thing once: to the caller as a warning, and in the run, where the page shows it."""

from __future__ import annotations

from torchglass.instrumentation import Run
from torchglass.instrumentation.guard import tell


class Notices:
    """What has been said about one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._said: set[str] = set()

    def say(self, kind: str, text: str) -> None:
        """Warn and state it, unless this kind was said before."""
        if kind not in self._said:
            self._said.add(kind)
            tell(f"torchglass: {text}")
            self._run.state(f"warnings/{kind}", text)
