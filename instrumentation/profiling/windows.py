"""Short windows of torch.profiler inside the training loop: when they open, and that they close."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._C._autograd import _profiler_enabled
from torch.profiler import ProfilerActivity, schedule

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.cadence import Cadence
from torchglass.instrumentation.profiling.finished import FinishedWindow
from torchglass.instrumentation.profiling.others import OtherProfilers, claim, is_claimed, make_own
from torchglass.instrumentation.profiling.scopes import ModuleScopes
from torchglass.instrumentation.transfer import is_capturing
from torchglass.store import Fact

WARMUP_STEPS = 1  # the first step under the profiler pays for attaching it
FIRST_STEP = 5  # not earlier: the first steps still set up memory and libraries
REMEMBERED_STEPS = 50  # ordinary steps that a window is compared with


class ProfilerWindows:
    """Opens a window when its cadence is due or one is asked for, and closes it some steps later.

    `step_ended` is called once a step, from step `wakes_at` on. A profiler that will not start (another one is running,
    say) is stated as a fact, and training goes on. `model` names the modules; `trace_path(step)` says where the whole
    trace of the window that begins there is kept.
    """

    def __init__(
        self,
        cadence: Cadence,
        rank: int,
        put: Callable[[Record], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.perf_counter,
        *,
        model: Callable[[], nn.Module | None] = lambda: None,
        trace_path: Callable[[int], Path] | None = None,
    ) -> None:
        self._cadence = cadence
        self._rank = rank
        self._put = put
        self._clock = clock
        self._monotonic = monotonic
        self._model = model
        self._trace_path = trace_path if cadence.keep_traces else None
        self._profiler: Any = None
        self._others = OtherProfilers()
        self._scopes = ModuleScopes()
        self._no_modules: str | None = None
        self._asked_steps: int | None = None
        self._window_steps = cadence.steps
        self._steps_seen = 0
        self._opened_at = self._began_at = 0.0
        self._start_seconds = 0.0
        self._rests_until = -math.inf
        self._last_step_ns: int | None = None
        self._ordinary_ns: deque[int] = deque(maxlen=REMEMBERED_STEPS)
        self.wakes_at = self._needed_from(0)

    @property
    def is_open(self) -> bool:
        """Whether a window is under way."""
        return self._profiler is not None

    def ask(self, steps: int) -> None:
        """Open a window of so many steps as soon as the running step ends; may be called from any thread."""
        self._asked_steps = steps
        self.wakes_at = -math.inf

    def step_ended(self, step: int, now_ns: int) -> None:
        """Note the end of a training step, at this moment of any monotonic clock; needed from step `wakes_at` on."""
        # Nothing happens during a capture: a window opens and closes by waiting for the device, which would end it.
        if self._profiler is not None:
            if not is_capturing():
                try:
                    self._advance(step)
                except RuntimeError as error:  # torch could not start or stop it: nothing else is the worse for that
                    self._throw_away()
                    self._tell(f"no profiler window: {error}")
            return
        if self._last_step_ns is not None:
            self._ordinary_ns.append(now_ns - self._last_step_ns)
        self._last_step_ns = now_ns
        if (steps := self._due_steps(step)) and not is_capturing():
            self._open(steps)
        self.wakes_at = self._needed_from(step + 1)
        if self._asked_steps is not None:
            self.wakes_at = -math.inf  # asked for by another thread while we looked
        if self.wakes_at > step + 1:
            self._last_step_ns = None

    def _due_steps(self, step: int) -> int | None:
        """Length of the window that opens behind this step; None for no window."""
        if self._asked_steps is not None:
            asked, self._asked_steps = self._asked_steps, None
            return asked
        interval, since = self._cadence.interval, step + 1 - FIRST_STEP
        if interval is None or since < 0 or since % interval:
            return None
        return self._cadence.steps if self._monotonic() >= self._rests_until else None

    def _needed_from(self, step: int) -> float:
        """Return the first of the steps that matter from this one on: those with which the next window is compared."""
        interval = self._cadence.interval
        if self._profiler is not None or self._asked_steps is not None:
            return -math.inf
        if interval is None:
            return math.inf
        windows_begun = max(0, step - FIRST_STEP) // interval + (step >= FIRST_STEP)
        return FIRST_STEP + windows_begun * interval - 1 - REMEMBERED_STEPS

    def close(self) -> None:
        """Stop a window that is under way and throw it away: it did not see its steps to the end."""
        if self._profiler is not None:
            self._tell(f"no profiler window: recording ended before the {self._window_steps} steps of one had passed")
            self._throw_away()

    def _open(self, steps: int) -> None:
        standing = self._others.standing()
        if _profiler_enabled() or standing != "none":
            # Torch would start ours and end theirs with it, or raise in the program's loop once theirs is due.
            doing = "waiting for its turn" if standing == "waiting" else "running"
            self._tell(f"no profiler window: another profiler is {doing}")
            return
        self._opened_at = self._monotonic()
        profiler = _make_profiler(steps)
        try:
            profiler.start()
        except RuntimeError as error:
            self._cadence = Cadence(None)
            self._tell(f"no profiler window: {error}")
            return
        self._profiler, self._steps_seen, self._window_steps = profiler, 0, steps

    def _advance(self, step: int) -> None:
        if self._gives_way():
            return
        self._steps_seen += 1
        if self._steps_seen == WARMUP_STEPS + self._window_steps:
            self._finish(step)
            return
        if self._steps_seen == WARMUP_STEPS:
            began = self._monotonic()
            self._profiler.step()
            claim()
            self._no_modules = self._scopes.open(self._model())
            self._began_at = self._monotonic()
            self._start_seconds = self._began_at - began
        else:
            self._profiler.step()

    def _gives_way(self) -> bool:
        """Give the window up for a profiler that the program has started since; tell whether there is one."""
        is_ours = is_claimed() if self._steps_seen >= WARMUP_STEPS else not _profiler_enabled()
        standing = self._others.standing()
        if is_ours and standing == "none":
            return False
        if not is_ours or standing == "at work":
            self._scopes.close()
            self._profiler = None  # dropped, not stopped: that would end theirs
        else:
            self._throw_away()
        self._tell("no profiler window: another profiler was started")
        return True

    def _throw_away(self) -> None:
        self._scopes.close()
        profiler, self._profiler = self._profiler, None
        try:
            if profiler is not None:
                profiler.stop()
        except RuntimeError as error:
            self._tell(f"a profiler window could not be closed: {error}")

    def _finish(self, step: int) -> None:
        ended_at = self._monotonic()
        self._scopes.close()
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        stopped_at = self._monotonic()
        usual = statistics.median(self._ordinary_ns) / 1e9 if self._ordinary_ns else None
        window = FinishedWindow(
            profiler,
            rank=self._rank,
            first_step=step - self._window_steps + 1,
            step_count=self._window_steps,
            time=self._clock(),
            wall_seconds=ended_at - self._began_at,
            usual_seconds=usual,
            start_seconds=self._start_seconds,
            stop_seconds=stopped_at - ended_at,
            no_modules=self._no_modules,
            trace_path=self._trace_path(step - self._window_steps + 1) if self._trace_path is not None else None,
        )
        expected = (WARMUP_STEPS + self._window_steps) * (usual or 0.0)
        self._rest_for(stopped_at - self._opened_at - expected)
        self._put(Deferred(lambda batch: self._rest_for(window.add_to(batch))))
        self._last_step_ns = None  # stopping a window is nobody's step time

    def _rest_for(self, cost_seconds: float) -> None:
        """Let the share that windows may take pass by: this much was spent on one."""
        if self._cadence.at_most is not None:
            self._rests_until = max(self._rests_until, self._monotonic()) + cost_seconds / self._cadence.at_most

    def _tell(self, text: str) -> None:
        self._put(Fact(self._rank, "warnings/profiler", text.splitlines()[0], self._clock()))


def _make_profiler(steps: int) -> Any:
    activities = [ProfilerActivity.CPU]
    options: dict[str, Any] = {}
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
        options = _device_options()
    return make_own(
        activities=activities, schedule=schedule(wait=0, warmup=WARMUP_STEPS, active=steps, repeat=1), **options
    )


def _device_options() -> dict[str, Any]:
    """What a window on CUDA asks for besides: CUPTI let go of afterwards, the arguments of each kernel."""
    if torch.version.cuda is not None and tuple(map(int, torch.version.cuda.split(".")[:2])) >= (12, 6):
        # Left attached, training stays 10 to 20 % slower; before CUDA 12.6 letting go could crash CUDA graphs.
        os.environ.setdefault("TEARDOWN_CUPTI", "1")
    try:
        config = torch._C._profiler._ExperimentalConfig(expose_kineto_event_metadata=True)
    except TypeError:
        return {}  # before torch 2.9: grids and occupancy are missing, and a window says so
    return {"experimental_config": config}
