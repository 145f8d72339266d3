"""Where a step's time goes: phases that share their boundaries, so that they sum to the step exactly.

data       waiting for the next batch (the loader's `__next__` under `run.batches`, else the gap before a forward)
forward    inside the model's forward, training mode only
backward   from the first gradient that reaches the model's output until the autograd engine is done
optimizer  inside `optimizer.step`
torchglass reading gradients and weights for the layer statistics, on the steps where that is due
other      the rest: loss, metrics, evaluation, host-to-device copies, logging
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

Phase = Literal["data", "forward", "backward", "optimizer", "torchglass", "other"]
PHASES: tuple[Phase, ...] = ("data", "forward", "backward", "optimizer", "torchglass", "other")


class Timeline(Protocol):
    """The boundaries of the running step; it begins with the timeline itself, each later one where the last ended."""

    name: str
    given_up: int  # steps that could not be read

    def mark(self, phase: Phase, now_ns: int) -> None:
        """Say that the time since the last boundary belonged to `phase`; by the host's clock it is `now_ns`."""

    def close_step(self, step: int, when: float) -> Mapping[str, float] | None:
        """End the step at the last boundary; return its seconds by phase, or None where they are delivered later."""

    def poll(self) -> None:
        """Deliver the steps that can be read by now, oldest first."""

    def settle(self) -> None:
        """Wait until every step can be read: after the loop, never inside it."""


class HostTimeline:
    """Phases by the host's monotonic clock: for whatever computes before it returns."""

    name = "host"
    given_up = 0

    def __init__(self, now_ns: int) -> None:
        self._boundary_ns = now_ns
        self._seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)

    def mark(self, phase: Phase, now_ns: int) -> None:
        self._seconds[phase] += (now_ns - self._boundary_ns) / 1e9
        self._boundary_ns = now_ns

    def close_step(self, step: int, when: float) -> dict[str, float]:
        seconds, self._seconds = self._seconds, dict.fromkeys(PHASES, 0.0)
        return seconds

    def poll(self) -> None:
        """Nothing is ever outstanding."""

    def settle(self) -> None:
        """Nothing to wait for."""
