"""Short windows of torch.profiler inside the training loop, read on the writer's thread."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch._C._autograd import _profiler_enabled
from torch.profiler import ProfilerActivity, profile, schedule

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.cadence import Cadence
from torchglass.instrumentation.kineto import kernel_rows, operator_rows, read_spans
from torchglass.instrumentation.transfer import is_capturing
from torchglass.store import Batch, Fact, ProfilerWindow

WARMUP_STEPS = 1  # the first step under the profiler pays for attaching it
FIRST_STEP = 5  # not earlier: the first steps still set up memory and libraries
REMEMBERED_STEPS = 50  # ordinary steps that a window is compared with


class ProfilerWindows:
    """Opens a window when its cadence is due and closes it some steps later; `step_ended` is called once a step.

    A profiler that will not start (another one is running, say) is stated as a fact, and training goes on.
    """

    def __init__(
        self,
        cadence: Cadence,
        rank: int,
        put: Callable[[Record], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._cadence = cadence
        self._rank = rank
        self._put = put
        self._clock = clock
        self._monotonic = monotonic
        self._profiler: Any = None
        self._steps_seen = 0
        self._began_at = 0.0
        self._last_step_ns: int | None = None
        self._ordinary_ns: deque[int] = deque(maxlen=REMEMBERED_STEPS)
        self.wakes_at = self._needed_from(0)

    def step_ended(self, step: int, now_ns: int) -> None:
        """Note the end of a training step, at this moment of any monotonic clock; needed from step `wakes_at` on."""
        # Nothing happens during a capture: a window opens and closes by waiting for the device, which would end it.
        if self._profiler is not None:
            if not is_capturing():
                self._advance(step)
            return
        if self._last_step_ns is not None:
            self._ordinary_ns.append(now_ns - self._last_step_ns)
        self._last_step_ns = now_ns
        interval, since = self._cadence.interval, step + 1 - FIRST_STEP
        if interval is not None and since % interval == 0 and since >= 0 and not is_capturing():
            self._open()
        self.wakes_at = self._needed_from(step + 1)
        if self.wakes_at > step + 1:
            self._last_step_ns = None

    def _needed_from(self, step: int) -> float:
        """Return the first of the steps that matter from this one on: those with which the next window is compared."""
        interval = self._cadence.interval
        if interval is None or self._profiler is not None:
            return math.inf if interval is None else -math.inf
        windows_begun = max(0, step - FIRST_STEP) // interval + (step >= FIRST_STEP)
        return FIRST_STEP + windows_begun * interval - 1 - REMEMBERED_STEPS

    def close(self) -> None:
        """Stop a window that is under way and throw it away: it did not see its steps to the end."""
        if self._profiler is not None:
            profiler, self._profiler = self._profiler, None
            try:
                profiler.stop()
            except RuntimeError as error:
                self._tell(f"a profiler window could not be closed: {error}")

    def _open(self) -> None:
        if _profiler_enabled():
            # Torch would start ours, and end theirs with it.
            self._tell("no profiler window: another profiler is running")
            return
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        profiler = profile(
            activities=activities, schedule=schedule(wait=0, warmup=WARMUP_STEPS, active=self._cadence.steps, repeat=1)
        )
        try:
            profiler.start()
        except RuntimeError as error:
            self._cadence = Cadence(None)
            self._tell(f"no profiler window: {error}")
            return
        self._profiler, self._steps_seen = profiler, 0

    def _advance(self, step: int) -> None:
        self._steps_seen += 1
        if self._steps_seen == WARMUP_STEPS + self._cadence.steps:
            wall_seconds = self._monotonic() - self._began_at
            profiler, self._profiler = self._profiler, None
            profiler.stop()
            self._hand_over(profiler, step, wall_seconds)
            self._last_step_ns = None  # stopping a window is nobody's step time
            return
        if self._steps_seen == WARMUP_STEPS:
            if _profiler_enabled():
                self._profiler = None  # dropped, not stopped: that would end theirs
                self._tell("no profiler window: another profiler was started")
                return
            self._profiler.step()
            self._began_at = self._monotonic()
        else:
            self._profiler.step()

    def _tell(self, text: str) -> None:
        self._put(Fact(self._rank, "warnings/profiler", text.splitlines()[0], self._clock()))

    def _hand_over(self, profiler: Any, step: int, wall_seconds: float) -> None:
        step_count = self._cadence.steps
        usual = statistics.median(self._ordinary_ns) / 1e9 if self._ordinary_ns else None
        facts = {
            "device": "cuda" if torch.cuda.is_available() else "cpu",
            "slowdown": wall_seconds / step_count / usual if usual else None,
        }
        when = self._clock()

        def add_to(batch: Batch) -> None:
            spans = read_spans(profiler.profiler.kineto_results.events())
            rows = (*operator_rows(spans), *kernel_rows(spans))
            first_step = step - step_count + 1
            batch.windows.append(ProfilerWindow(first_step, when, step_count, wall_seconds, facts, rows))

        self._put(Deferred(add_to))
