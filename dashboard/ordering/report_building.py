"""Builds a report when its button is pressed, one at a time in this process, and says how far it is."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torchglass.errors import TorchglassError
from torchglass.language import mark
from torchglass.report import export_report
from torchglass.store import Location, open_store

State = Literal["nothing", "asked", "building", "built", "failed"]

# A second report would only share the processor with the first, and with everybody who watches a run.
_one_at_a_time = threading.Lock()


@dataclass
class Building:
    """One visitor's report: written by the thread that builds it, read by the page that waits for it.

    `said` is what is being done, or why it failed; `megabytes` the size of the last one that was built.
    """

    state: State = "nothing"
    said: str = ""
    megabytes: float = 0.0
    asked: int = field(default=0)

    def ask(self) -> None:
        """Note that the button was pressed."""
        self.state, self.said, self.asked = "asked", mark("waiting for its turn"), self.asked + 1

    @property
    def is_going_on(self) -> bool:
        """Whether there is something to wait for."""
        return self.state in ("asked", "building")

    def build(self, location: Location, runs: Sequence[str], options: Mapping[str, Any]) -> bytes:
        """The report of runs as bytes; called after the page has closed its own store, in another thread.

        Raises:
            TorchglassError: no report can be made; `said` says why.
        """
        with _one_at_a_time, tempfile.TemporaryDirectory() as folder:
            self.state = "building"
            try:
                with open_store(location, read_only=True) as store:
                    written = export_report(store, runs, Path(folder) / "report.html", tell=self._hear, **options)
                made = written.read_bytes()
            except Exception as error:
                self.state, self.said = "failed", str(error) if isinstance(error, TorchglassError) else repr(error)
                raise
        self.state, self.megabytes = "built", len(made) / 1e6
        return made

    def _hear(self, doing: str) -> None:
        self.said = doing
