"""The moments of a training step -> what is recorded about it. Everything here runs on the training thread.

What happens at every step is written for few calls: behind a model's kernels the caches are cold, and each call costs
a microsecond then, not thirty nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.clock import WallClock
from torchglass.instrumentation.device_phases import CudaClock, DeviceTimeline
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.phases import HostTimeline, Phase, Timeline
from torchglass.instrumentation.probing import ProbeTurns
from torchglass.instrumentation.profiling.scopes import mark_phase
from torchglass.instrumentation.readings import Readings
from torchglass.instrumentation.step_rows import StepRows
from torchglass.instrumentation.transfer import Transfer
from torchglass.instrumentation.watched import Watched
from torchglass.store import Fact

NOTHING: Mapping[str, Any] = {}
FORWARDS_WITHOUT_STEP = 200  # more than anybody accumulates or an initial loss scale costs


class StepWatcher:
    """Counts steps, times their phases and reads layer statistics when due. Moments are nanoseconds of `guard.now_ns`.

    A step ends with the optimizer's step; its number stays current until the next batch or forward begins, so that a
    `run.log` before or after `optimizer.step()` lands on the same step. Without a model steps are those that are named.
    """

    def __init__(self, *, buffer: Buffer, clock: WallClock, rank: int, guard: Guard, transfer: Transfer) -> None:
        self.step = 0
        self.watched: Watched | None = None
        self._buffer = buffer
        self._clock = clock
        self._rank = rank
        self._guard = guard
        self._transfer = transfer
        self._readings: Readings | None = None
        self._step_is_over = False
        self._loader_is_watched = False
        self._in_optimizer = False
        self._has_closure = False
        self._moves = True
        self._told_ns = 0
        self._forwards = self._micro_steps = 0
        self._told_no_step = False
        self._timeline: Timeline | None = None
        self._mark: Callable[[Phase, int], None] = self._begin_timeline
        self._rows = StepRows(buffer, transfer)

    def watch(self, watched: Watched) -> None:
        """Watch this model and its optimizer from now on, instead of what was watched before."""
        self.watched = watched
        self._readings = Readings(watched, self._clock)
        self._settle()
        self._timeline, self._mark = None, self._begin_timeline

    def unwatch(self) -> None:
        """Read no more of the model; its steps so far stay."""
        self.abandon()
        self.watched = self._readings = None

    def go_on_at(self, step: int) -> None:
        """Let the step that comes next have this number."""
        self.step, self._step_is_over = step, False
        if self._readings is not None:
            self._readings.wakes_at = 0

    # Moments, as hooks.StepEvents names them

    def loader_begins(self, now_ns: int) -> None:
        """The loop asks the loader for a batch."""
        self._loader_is_watched = True
        self._mark("other", now_ns)

    def loader_ends(self, now_ns: int) -> None:
        """A batch arrived: whatever follows belongs to the next step."""
        self._mark("data", now_ns)
        if self._step_is_over:
            self._begin_next_step()

    def batch_is_on_device(self, now_ns: int) -> None:
        """The batch was moved to where the model computes, or that was asked of the device."""
        self._mark("to_device", now_ns)

    def forward_begins(
        self,
        now_ns: int,
        model: nn.Module | None = None,
        arguments: tuple[Any, ...] = (),
        named: Mapping[str, Any] = NOTHING,
    ) -> None:
        """The model is called, in training mode."""
        if self._step_is_over:
            self._begin_next_step()
        self._forwards += 1
        if self._forwards == FORWARDS_WITHOUT_STEP:
            self._tell_no_step()
        if self._in_optimizer and self._has_closure:
            self._mark("optimizer", now_ns)
        else:
            self._in_optimizer = False  # a step that raised never reported its end
            self._mark("other" if self._loader_is_watched else "data", now_ns)
        if model is not None and self.watched is not None:
            self.watched.meters.forward_begins(model, arguments, named)
            if self.step >= self.watched.activations.wakes_at:
                self._hook_modules(self.watched, model)

    def forward_ends(self, now_ns: int) -> None:
        """The model returned."""
        self._mark("forward", now_ns)
        if self.watched is not None and self.watched.activations.is_open:
            self.watched.activations.forward_ends()

    def result_is_new(self, _now_ns: int, part: nn.Module, output: Any) -> None:
        """The model, or a part of it that the loop calls, returned from its first training forward."""
        model = self.watched.model if self.watched is not None else None
        if self.watched is not None and model is not None and self.watched.graphs.read(self.step, model, part, output):
            self._mark("torchglass", self._guard.now_ns())

    def backward_begins(self, now_ns: int) -> None:
        """The first gradient reached the model's output."""
        self._mark("other", now_ns)

    def backward_ends(self, now_ns: int) -> None:
        """All gradients of this backward are accumulated."""
        self._mark("backward", now_ns)
        self._micro_steps += 1

    def gradients_are_synchronized(self, now_ns: int) -> None:
        """The other ranks' gradients have arrived, too."""
        self._mark("gradient_sync", now_ns)

    def evaluation_begins(self, now_ns: int) -> None:
        """The model is called in evaluation mode or without gradients."""
        self._mark("other", now_ns)

    def evaluation_ends(self, now_ns: int) -> None:
        """It returned."""
        self._mark("other", now_ns)

    def optimizer_begins(
        self, now_ns: int, optimizer: torch.optim.Optimizer | None = None, has_closure: bool = False
    ) -> None:
        """`optimizer.step` was called; gradients are as it will see them, unless it has a closure to make them."""
        if self._in_optimizer:
            # A subclass calls the step of its base, whose hooks are these too; or the last step raised.
            self._mark("optimizer", now_ns)
            return
        if self._step_is_over:
            self._begin_next_step()
        self._mark("other", now_ns)
        self._in_optimizer, self._has_closure = True, has_closure
        self._moves = not _is_known_to_skip(optimizer)
        if self._readings is not None and self.step >= self._readings.wakes_at:
            self._readings.begin(optimizer)
            if not has_closure:
                self._read_before_step(self._readings, optimizer)

    def closure_returned(self, now_ns: int, optimizer: torch.optim.Optimizer | None = None) -> None:
        """The closure of a step returned: its first gradient is the one at the weights that the step began with."""
        self._mark("optimizer", now_ns)
        if self._readings is not None and self.step >= self._readings.wakes_at:
            self._read_before_step(self._readings, optimizer)

    def optimizer_ends(self, now_ns: int, optimizer: torch.optim.Optimizer | None = None) -> None:
        """The weights are updated."""
        if not self._in_optimizer:
            return
        self._in_optimizer = False
        self._mark("optimizer", now_ns)
        if not self._moves:
            return  # as with an optimizer that the scaler does not call at all: the step is yet to come
        readings = self._readings
        if readings is not None and self.step >= readings.wakes_at and readings.after(self.step, optimizer):
            self._mark("torchglass", self._guard.now_ns())
        found_inf = getattr(optimizer, "found_inf", None)
        if found_inf is not None:
            self._rows.send_skipped(self.step, self._clock(), found_inf)
        if self.watched is None or self.watched.is_last(optimizer):
            self._end_step(now_ns)

    def calls_are_unseen(self, _now_ns: int) -> None:
        """Steps went by without a call of the model: it is called where no hook sees it."""
        text = (
            "the optimizer steps without a call of the attached model: forward and backward are not told apart. "
            "Give attach what the loop calls; a model within a compiled function cannot be seen"
        )
        tell(f"torchglass: {text}")
        self._state("warnings/forward", text)

    def named_step_begins(self, now_ns: int) -> None:
        """A loop that names its steps itself begins one."""
        if self._step_is_over:
            self._begin_next_step()
        self._mark("other", now_ns)

    def named_step_ends(self, now_ns: int) -> None:
        """It ends it, unless an optimizer already did."""
        self._mark("other", now_ns)
        if not self._step_is_over:
            self._end_step(now_ns)

    def look_finally(self) -> None:
        """Explain the probes once more: the loop came to its end."""
        watched = self.watched
        if watched is not None and watched.probes is not None:
            watched.profiler.close()
            watched.probes.finish(self.step if self._step_is_over else self.step - 1, watched.model)

    def finish(self) -> None:
        """Deliver what the device still owes; may wait for it, the loop is over."""
        self.abandon()
        self._transfer.drain()
        self._settle()
        for name, lost in (
            ("device values", self._transfer.dropped),
            ("steps' phases", self._timeline.given_up if self._timeline is not None else 0),
        ):
            if lost:
                text = f"{lost} {name} were given up: the device was too far behind or a CUDA graph was being captured"
                self._state(f"warnings/{name}", text)

    def abandon(self) -> None:
        """Leave the training loop alone: nothing may go on by itself."""
        if self.watched is not None:
            self.watched.profiler.close()
            self.watched.activations.close()
            self.watched.meters.close(self._clock())
        if self._timeline is not None:
            self._mark = self._timeline.mark

    # What they record

    def _read_before_step(self, readings: Readings, optimizer: torch.optim.Optimizer | None) -> None:
        # One that will not move has nothing to show.
        if self._moves and readings.before(self.step, optimizer):
            self._mark("torchglass", self._guard.now_ns())

    def _hook_modules(self, watched: Watched, called: nn.Module) -> None:
        model = watched.model
        if model is not None:
            watched.activations.forward_begins(self.step, model, called)

    def _begin_next_step(self) -> None:
        self._step_is_over = False
        self.step += 1

    def _end_step(self, now_ns: int) -> None:
        """Record the step, and pass on whatever has arrived from the device by now."""
        self._step_is_over = True
        micro_steps, self._forwards, self._micro_steps = self._micro_steps, 0, 0
        when = self._clock.base + now_ns / 1e9
        timeline, watched = self._timeline, self.watched
        passed = timeline.close_step(self.step, when) if timeline is not None else None
        spent_ns = self._guard.spent_ns
        self._rows.note(self.step, when, passed, watched, micro_steps, spent_ns - self._told_ns)
        self._told_ns = spent_ns
        if passed is None and timeline is not None:
            timeline.poll()
        if self._transfer.pending:
            self._transfer.poll()
        if watched is not None:
            watched.meters.step_ended(self.step, when)
            if self._readings is not None and self.step >= self._readings.wakes_at:
                self._readings.step_ended(self.step)
            if self.step >= watched.activations.wakes_at:
                watched.activations.step_ended(self.step)
            if watched.probes is not None and self.step >= watched.probes.wakes_at:
                self._look(watched, watched.probes)
            if self.step >= watched.profiler.wakes_at:
                self._turn_window(watched, now_ns)

    def _look(self, watched: Watched, probes: ProbeTurns) -> None:
        """Explain the probes if it is their turn, and never within a profiler window, which would show that instead."""
        if not watched.profiler.is_open and probes.step_ended(self.step, watched.model):
            self._mark("torchglass", self._guard.now_ns())

    def _turn_window(self, watched: Watched, now_ns: int) -> None:
        """Open, advance or close a profiler window; while one is open phases are told to it, too."""
        watched.profiler.step_ended(self.step, now_ns)
        if self._timeline is not None:
            self._mark = self._mark_and_tell if watched.profiler.is_open else self._timeline.mark

    def _mark_and_tell(self, phase: Phase, now_ns: int) -> None:
        if self._timeline is not None:
            self._timeline.mark(phase, now_ns)
        mark_phase(phase)

    def _begin_timeline(self, _phase: Phase, now_ns: int) -> None:
        """Make the timeline, at the first moment: by then the model is on the device where it trains."""
        device = self.watched.device if self.watched is not None else torch.device("cpu")
        self._timeline = (
            DeviceTimeline(CudaClock(device), self._rows.put_phases) if device.type == "cuda" else HostTimeline(now_ns)
        )
        self._mark = self._timeline.mark
        self._state("phases", {"clock": self._timeline.name, "device": str(device)})

    def _settle(self) -> None:
        if self._timeline is not None:
            self._timeline.settle()
            self._timeline.poll()

    def _tell_no_step(self) -> None:
        if not self._told_no_step:
            self._told_no_step = True
            text = (
                f"{FORWARDS_WITHOUT_STEP} forward passes without a step: unless gradients are accumulated that long, "
                "give attach the optimizer that the loop steps, or name steps with run.step()"
            )
            tell(f"torchglass counted {text}")
            self._state("warnings/steps", text)

    def _state(self, key: str, value: object) -> None:
        self._buffer.put(Fact(self._rank, key, value, self._clock()))


def _is_known_to_skip(optimizer: torch.optim.Optimizer | None) -> bool:
    """Tell whether a fused step will move nothing, by what GradScaler lends the optimizer for that time.

    On the host reading that is free. On a device it would wait: there the step counts, and is later told as skipped.
    """
    found_inf = getattr(optimizer, "found_inf", None)
    return isinstance(found_inf, torch.Tensor) and found_inf.device.type == "cpu" and bool(found_inf.any())
