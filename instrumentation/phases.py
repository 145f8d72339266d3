"""Where a step's time goes: phases that share their boundaries, so that they sum to the step exactly.

data       waiting for the next batch (the loader's `__next__` under `run.batches`, else the gap before a forward)
forward    inside the model's forward, training mode only
backward   from the first gradient that reaches the model's output until the autograd engine is done
optimizer  inside `optimizer.step`
torchglass reading gradients and weights for the layer statistics, on the steps where that is due
other      the rest: loss, metrics, evaluation, host-to-device copies, logging
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import torch

from torchglass.instrumentation.transfer import is_capturing

Phase = Literal["data", "forward", "backward", "optimizer", "torchglass", "other"]
PHASES: tuple[Phase, ...] = ("data", "forward", "backward", "optimizer", "torchglass", "other")
MAX_OPEN_STAMPS = 1000  # of the running step; beyond, its older half is added up: a step may last for ever
MAX_OPEN_STEPS = 32  # steps whose device stamps may be outstanding before the oldest is given up


class StampClock(Protocol):
    """A source of boundaries in time; a stamp is whatever the clock makes of now, readable perhaps only later."""

    name: str

    def can_stamp(self) -> bool:
        """Tell whether a boundary may be marked at this moment."""

    def stamp(self) -> Any:
        """Mark now."""

    def are_ready(self, stamps: Sequence[Any]) -> bool:
        """Tell whether each of these stamps can be read."""

    def seconds(self, first: Any, second: Any) -> float:
        """Seconds from one readable stamp to another."""

    def release(self, stamp: Any) -> None:
        """Give a stamp back; it will not be read again."""

    def settle(self) -> None:
        """Wait until every stamp is readable: after the loop, never inside it."""


class HostClock:
    """Stamps are nanoseconds of the host's monotonic clock."""

    name = "host"

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._now_ns = now_ns

    def can_stamp(self) -> bool:
        return True

    def stamp(self) -> int:
        return self._now_ns()

    def are_ready(self, stamps: Sequence[int]) -> bool:
        return True

    def seconds(self, first: int, second: int) -> float:
        return (second - first) / 1e9

    def release(self, stamp: int) -> None:
        """Nothing to give back."""

    def settle(self) -> None:
        """Nothing to wait for."""


class CudaClock:
    """Stamps are timing events on the current stream: device time, queried later, never waited for."""

    name = "cuda"

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[Any] = []

    def can_stamp(self) -> bool:
        return not is_capturing(self._device)  # inside a capture a stamp would become part of the user's graph

    def stamp(self) -> Any:
        event = self._free.pop() if self._free else torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def are_ready(self, stamps: Sequence[Any]) -> bool:
        # Each is asked, the newest first: where a step changes streams the last one says nothing of the others.
        return not is_capturing(self._device) and all(stamp.query() for stamp in reversed(stamps))

    def seconds(self, first: Any, second: Any) -> float:
        return float(first.elapsed_time(second)) / 1e3

    def release(self, stamp: Any) -> None:
        self._free.append(stamp)

    def settle(self) -> None:
        torch.cuda.synchronize(self._device)


class _ClosedStep(NamedTuple):
    step: int
    time: float
    stamps: list[Any]
    phases: list[Phase]
    seconds: dict[str, float]


class Timeline:
    """Boundaries of the running step, and closed steps that wait to become readable.

    `deliver(step, time, seconds)` gets seconds by phase plus "step", the whole, once a step can be read.
    """

    def __init__(self, clock: StampClock, deliver: Callable[[int, float, Mapping[str, float]], None]) -> None:
        self.clock = clock
        self.given_up = 0
        self._deliver = deliver
        self._stamps: list[Any] = []
        self._phases: list[Phase] = []
        self._seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        self._closed: deque[_ClosedStep] = deque()
        self._begin()

    def mark(self, phase: Phase) -> None:
        """Say that the time since the last boundary belonged to `phase`."""
        if not self.clock.can_stamp():
            return
        if not self._stamps:
            self._begin()
            return
        if self._phases and self._phases[-1] == phase:
            # Neighbours of one phase are one stretch: a long evaluation must not pile up boundaries.
            self._phases.pop()
            self.clock.release(self._stamps.pop())
        self._stamps.append(self.clock.stamp())
        self._phases.append(phase)
        if len(self._stamps) > MAX_OPEN_STAMPS:
            self._add_up_so_far()

    def close_step(self, step: int, when: float) -> None:
        """End the step at the last boundary, which the next step begins with."""
        if not self._stamps:
            return
        self._closed.append(_ClosedStep(step, when, self._stamps, self._phases, self._seconds))
        self._stamps, self._phases, self._seconds = [self._stamps[-1]], [], dict.fromkeys(PHASES, 0.0)
        if len(self._closed) > MAX_OPEN_STEPS:
            self._release(self._closed.popleft().stamps)
            self.given_up += 1

    def poll(self) -> None:
        """Deliver the steps that can be read by now, oldest first."""
        while self._closed and self.clock.are_ready(self._closed[0].stamps):
            closed = self._closed.popleft()
            self._add_up(closed.stamps, closed.phases, closed.seconds)
            self._deliver(closed.step, closed.time, {"step": sum(closed.seconds.values()), **closed.seconds})
            self._release(closed.stamps)

    def _begin(self) -> None:
        if self.clock.can_stamp():
            self._stamps = [self.clock.stamp()]

    def _add_up_so_far(self) -> None:
        half = len(self._stamps) // 2  # the newest ones are seldom readable yet: a device lags behind
        if self.clock.are_ready(self._stamps[: half + 1]):
            self.poll()  # the step before ends at our first boundary: it must be read before that is given back
            self._add_up(self._stamps[: half + 1], self._phases[:half], self._seconds)
            self._release(self._stamps[: half + 1])
            self._stamps, self._phases = self._stamps[half:], self._phases[half:]

    def _add_up(self, stamps: list[Any], phases: list[Phase], seconds: dict[str, float]) -> None:
        for phase, first, second in zip(phases, stamps[:-1], stamps[1:], strict=True):
            seconds[phase] += self.clock.seconds(first, second)

    def _release(self, stamps: list[Any]) -> None:
        for stamp in stamps[:-1]:  # the last one opens what follows
            self.clock.release(stamp)
