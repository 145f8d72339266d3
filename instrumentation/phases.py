"""Where a step's time goes: phases that share their boundaries, so that they sum to the step exactly.

data           waiting for the next batch (the loader's `__next__` under `run.batches`, else the gap before a forward)
to_device      moving the batch to the device, where `run.batches(loader, device=...)` or `run.to_device` does it
forward        inside the model's forward, training mode only
backward       from the first gradient that reaches the model's output until the autograd engine has all of them
gradient_sync  what is left to wait for other ranks then: the part of the exchange that backward did not hide
optimizer      inside `optimizer.step`
torchglass     reading gradients and weights for the layer statistics, and explaining probes, where that is due
other          the rest: loss, metrics, evaluation, copies to the device that nothing names, logging
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

Phase = Literal["data", "to_device", "forward", "backward", "gradient_sync", "optimizer", "torchglass", "other"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class Timeline(Protocol):
    """The boundaries of the running step; it begins with the timeline itself, each later one where the last ended."""

    name: str
    given_up: int  # steps that could not be read

    def mark(self, phase: Phase, now_ns: int) -> None:
        """Say that the time since the last boundary belonged to `phase`; by the host's clock it is `now_ns`."""

    def close_step(self, step: int, when: float) -> Passed | None:
        """End the step at the last boundary; return what passed, or None where that is delivered later."""

    def poll(self) -> None:
        """Deliver the steps that can be read by now, oldest first."""

    def settle(self) -> None:
        """Wait until every step can be read: after the loop, never inside it."""


class Passed:
    """What passed between two moments, as nanoseconds of each phase up to the first and up to the second."""

    __slots__ = ("_after", "_before")

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        self._before = before
        self._after = after

    def seconds(self) -> list[float]:
        """Seconds of each of `PHASES`."""
        return [(after - before) / 1e9 for before, after in zip(self._before, self._after, strict=True)]


class HostTimeline:
    """Phases by the host's monotonic clock: for whatever computes before it returns.

    Nothing is set back to zero at the end of a step; the totals are kept, and whoever reads them takes the difference.
    """

    name = "host"
    given_up = 0

    def __init__(self, now_ns: int) -> None:
        self._boundary_ns = now_ns
        self._total_ns: dict[str, int] = dict.fromkeys(PHASES, 0)
        self._closed_ns = tuple(self._total_ns.values())

    def mark(self, phase: Phase, now_ns: int) -> None:
        self._total_ns[phase] += now_ns - self._boundary_ns
        self._boundary_ns = now_ns

    def close_step(self, step: int, when: float) -> Passed:
        before, self._closed_ns = self._closed_ns, tuple(self._total_ns.values())
        return Passed(before, self._closed_ns)

    def poll(self) -> None:
        """Nothing is ever outstanding."""

    def settle(self) -> None:
        """Nothing to wait for."""
