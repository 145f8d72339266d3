"""A profiler window that is over: read, computed and told on the writer's thread."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchglass.instrumentation.profiling.kineto import device_properties, read_trace
from torchglass.store import Batch, Fact, ProfilerWindow, Table
from torchglass.traces.profile import Profile, profile_of

LEAST_SEEN = 0.99  # of the launches; below, a window's device times are not the whole truth


@dataclass
class FinishedWindow:
    """What the training thread knows of a window that it closed; seconds are of the training thread's time.

    `usual_seconds` is the median step outside of windows, None where no such step was seen.
    """

    profiler: Any
    rank: int
    first_step: int
    step_count: int
    time: float
    wall_seconds: float
    usual_seconds: float | None
    start_seconds: float
    stop_seconds: float
    no_modules: str | None
    trace_path: Path | None
    _read: tuple[ProfilerWindow | None, list[Fact]] | None = field(default=None, repr=False)

    def add_to(self, batch: Batch) -> float:
        """Add the window to a batch, again if the store refused the first; return the seconds that reading took."""
        began = time.perf_counter()
        if self._read is None:
            try:
                self._read = self._to_window()
            except Exception as error:  # whatever torch's events hold: the run goes on, and says what is missing
                text = f"the window at step {self.first_step} could not be read: {type(error).__name__}: {error}"
                self._read = None, [Fact(self.rank, "warnings/profiler", text, self.time)]
            self.profiler = None
        window, told = self._read
        if window is not None:
            batch.windows.append(window)
        batch.facts.extend(told)
        return time.perf_counter() - began

    def _to_window(self) -> tuple[ProfilerWindow, list[Fact]]:
        began = time.perf_counter()
        kept, trouble = self._keep_trace()
        events = self.profiler.profiler.kineto_results.events()
        facts = {"deviceProperties": device_properties()}
        found = profile_of(read_trace(events, facts), source="window")
        count = len(events)
        del events
        cost = {
            "start_seconds": self.start_seconds,
            "stop_seconds": self.stop_seconds,
            "read_seconds": time.perf_counter() - began,
            "events": count,
        }
        usual = self.usual_seconds
        told: dict[str, Any] = {
            **found.facts,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
            "slowdown": self.wall_seconds / self.step_count / usual if usual else None,
            "usual_step_seconds": usual,
            "cost": cost,
            **({"trace_file": kept} if kept else {}),
        }
        if self.no_modules is not None:
            told["missing"] = {**told.get("missing", {}), "modules": self.no_modules}
        window = ProfilerWindow(
            self.first_step,
            self.time,
            self.step_count,
            self.wall_seconds,
            told,
            found.rows,
            tables={**found.tables, **self._with_run_steps(found)},
        )
        return window, [*trouble, *self._distrust(found)]

    def _with_run_steps(self, found: Profile) -> dict[str, Table]:
        """The profiler counts its own steps from zero; here they have the run's numbers."""
        steps = found.tables.get("steps")
        if steps is None or not len(steps["number"]):
            return {}
        numbers = np.asarray(steps["number"])
        return {"steps": {**steps, "number": numbers - numbers.min() + self.first_step}}

    def _keep_trace(self) -> tuple[str | None, list[Fact]]:
        if self.trace_path is None:
            return None, []
        try:
            self.trace_path.parent.mkdir(parents=True, exist_ok=True)
            self.profiler.export_chrome_trace(str(self.trace_path))
        except (OSError, RuntimeError) as error:
            return None, [Fact(self.rank, "warnings/trace", f"a trace could not be kept: {error}", self.time)]
        return self.trace_path.name, []

    def _distrust(self, found: Profile) -> list[Fact]:
        """Say when the device's side of a window is missing, which torch does not."""
        quality = found.facts.get("quality", {})
        launches, seen = quality.get("launches", 0), quality.get("launches_with_kernel", 0)
        if not launches or seen >= LEAST_SEEN * launches:
            return []
        text = f"the profiler saw {seen} of the {launches} kernels launched in the window at step {self.first_step}"
        if not seen:
            text += ": another tool may hold CUPTI (Nsight Systems, DCGM, a second profiler)"
        return [Fact(self.rank, "warnings/profiler", text, self.time)]
