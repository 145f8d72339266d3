"""Phases by a CUDA device's own clock: one event for each boundary, read at later steps and never waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from torchglass.instrumentation.phases import PHASES, Phase
from torchglass.instrumentation.transfer import is_capturing

MAX_OPEN_STAMPS = 1000  # of the running step; beyond, its older half is added up: a step may last for ever
MAX_OPEN_STEPS = 32  # steps whose device stamps may be outstanding before the oldest is given up


class CudaClock:
    """Stamps are timing events on the current stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[Any] = []

    def can_stamp(self) -> bool:
        """Tell whether a boundary may be marked at this moment."""
        return not is_capturing(self._device)  # inside a capture a stamp would become part of the user's graph

    def stamp(self) -> Any:
        """Mark now."""
        event = self._free.pop() if self._free else torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def has_passed(self, stamp: Any) -> bool:
        """Tell whether the device has reached a stamp; ask only where one may be made."""
        return bool(stamp.query())

    def are_ready(self, stamps: Sequence[Any]) -> bool:
        """Tell whether each of these stamps can be read."""
        # Each is asked, the newest first: where a step changes streams the last one says nothing of the others.
        return not is_capturing(self._device) and all(stamp.query() for stamp in reversed(stamps))

    def seconds(self, first: Any, second: Any) -> float:
        """Seconds from one readable stamp to another."""
        return float(first.elapsed_time(second)) / 1e3

    def release(self, stamp: Any) -> None:
        """Give a stamp back; it will not be read again."""
        self._free.append(stamp)

    def settle(self) -> None:
        """Wait until every stamp is readable."""
        torch.cuda.synchronize(self._device)


class _ClosedStep(NamedTuple):
    step: int
    time: float
    stamps: list[Any]
    phases: list[Phase]
    seconds: dict[str, float]
    host_bound_percent: float


class DeviceTimeline:
    """Boundaries of the running step, and closed steps that wait to become readable.

    `deliver(step, time, seconds, host_bound_percent)` gets a step's seconds by phase once they can be read, and at what
    share of its boundaries the device had nothing left to do by the time the host got there.
    """

    name = "cuda"

    def __init__(self, clock: CudaClock, deliver: Callable[[int, float, Mapping[str, float], float], None]) -> None:
        self.given_up = 0
        self._clock = clock
        self._deliver = deliver
        self._stamps: list[Any] = []
        self._phases: list[Phase] = []
        self._seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        self._closed: deque[_ClosedStep] = deque()
        self._boundaries = self._starved = 0
        self._begin()

    def mark(self, phase: Phase, now_ns: int = 0) -> None:
        if not self._clock.can_stamp():
            return
        if not self._stamps:
            self._begin()
            return
        self._boundaries += 1
        self._starved += self._clock.has_passed(self._stamps[-1])
        if self._phases and self._phases[-1] == phase:
            # Neighbours of one phase are one stretch: a long evaluation must not pile up boundaries.
            self._phases.pop()
            self._clock.release(self._stamps.pop())
        self._stamps.append(self._clock.stamp())
        self._phases.append(phase)
        if len(self._stamps) > MAX_OPEN_STAMPS:
            self._add_up_so_far()

    def close_step(self, step: int, when: float) -> None:
        """End the step at the last boundary, which the next step begins with."""
        if not self._stamps:
            return
        starved = 100.0 * self._starved / max(1, self._boundaries)
        self._closed.append(_ClosedStep(step, when, self._stamps, self._phases, self._seconds, starved))
        self._boundaries = self._starved = 0
        self._stamps, self._phases, self._seconds = [self._stamps[-1]], [], dict.fromkeys(PHASES, 0.0)
        if len(self._closed) > MAX_OPEN_STEPS:
            self._release(self._closed.popleft().stamps)
            self.given_up += 1

    def poll(self) -> None:
        while self._closed and self._clock.are_ready(self._closed[0].stamps):
            closed = self._closed.popleft()
            self._add_up(closed.stamps, closed.phases, closed.seconds)
            self._deliver(closed.step, closed.time, closed.seconds, closed.host_bound_percent)
            self._release(closed.stamps)

    def settle(self) -> None:
        self._clock.settle()

    def _begin(self) -> None:
        if self._clock.can_stamp():
            self._stamps = [self._clock.stamp()]

    def _add_up_so_far(self) -> None:
        half = len(self._stamps) // 2  # the newest ones are seldom readable yet: a device lags behind
        if self._clock.are_ready(self._stamps[: half + 1]):
            self.poll()  # the step before ends at our first boundary: it must be read before that is given back
            self._add_up(self._stamps[: half + 1], self._phases[:half], self._seconds)
            self._release(self._stamps[: half + 1])
            self._stamps, self._phases = self._stamps[half:], self._phases[half:]

    def _add_up(self, stamps: list[Any], phases: list[Phase], seconds: dict[str, float]) -> None:
        for phase, first, second in zip(phases, stamps[:-1], stamps[1:], strict=True):
            seconds[phase] += self._clock.seconds(first, second)

    def _release(self, stamps: list[Any]) -> None:
        for stamp in stamps[:-1]:  # the last one opens what follows
            self._clock.release(stamp)
