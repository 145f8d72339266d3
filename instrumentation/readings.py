"""What is read of a watched model around an optimizer's step when that is due: layer statistics, memory by part."""

from __future__ import annotations

import math

import torch

from torchglass.instrumentation.clock import WallClock
from torchglass.instrumentation.transfer import is_capturing
from torchglass.instrumentation.watched import Watched


class Readings:
    """Reads gradients and memory before a step, weights behind it; each call tells whether it took any time.

    An optimizer that steps several times within a step of the run is read once. Steps before `wakes_at` need no call.
    """

    def __init__(self, watched: Watched, clock: WallClock) -> None:
        self._watched = watched
        self._clock = clock
        self._norms_interval = watched.norms.interval or 0
        self._histograms_interval = watched.histograms.interval or 0
        self.wakes_at: float = 0
        self._read_in_step: set[int] = set()
        self._under_way = False  # the gradients of the step that an optimizer is making were read

    def begin(self, optimizer: torch.optim.Optimizer | None) -> None:
        """An optimizer begins its step; if its last one ended in an exception it is read again."""
        if self._under_way:
            self._under_way = False
            self._read_in_step.discard(id(optimizer))

    def before(self, step: int, optimizer: torch.optim.Optimizer | None) -> bool:
        """Read what needs gradients; again after each closure of a step, until they were read."""
        memory = self._watched.meters.memory
        measures = step >= memory.wakes_at
        if measures:
            memory.before_optimizer(step)
        if not self._is_due(step) or self._under_way or id(optimizer) in self._read_in_step:
            return measures
        # A fused optimizer unscales within its step: GradScaler lends it the scale for that time.
        scale = getattr(optimizer, "grad_scale", None)
        statistics = self._watched.statistics(optimizer)
        statistics.read_gradients(step, self._clock(), **self._due(step), scale=scale)
        self._under_way = True
        self._read_in_step.add(id(optimizer))
        return True

    def after(self, step: int, optimizer: torch.optim.Optimizer | None) -> bool:
        """Read the weights that those gradients made."""
        if not self._under_way:
            return False
        self._under_way = False
        self._watched.statistics(optimizer).read_weights(step, self._clock(), **self._due(step))
        return True

    def step_ended(self, step: int) -> None:
        """The run's step is over: every optimizer is read anew in the next that is due."""
        self._read_in_step.clear()
        intervals = [interval for interval in (self._norms_interval, self._histograms_interval) if interval]
        due = [(step // interval + 1) * interval for interval in intervals]
        self.wakes_at = min(self._watched.meters.memory.wakes_at, *due, math.inf)

    def _is_due(self, step: int) -> bool:
        norms, histograms = self._norms_interval, self._histograms_interval
        due = (norms and step % norms == 0) or (histograms and step % histograms == 0)
        # Not during a capture: what we compute would become part of the user's graph, and run at each replay.
        return bool(due) and not is_capturing()

    def _due(self, step: int) -> dict[str, bool]:
        return {"norms": self._watched.norms.is_due(step), "histograms": self._watched.histograms.is_due(step)}
