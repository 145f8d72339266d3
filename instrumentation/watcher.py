"""The moments of a training step -> what is recorded about it. Everything here runs on the training thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from torchglass.instrumentation.buffer import Record, ScalarRow
from torchglass.instrumentation.cadence import Cadence
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.layers import LayerStatistics
from torchglass.instrumentation.phases import PHASES, CudaClock, HostClock, Phase, StampClock, Timeline
from torchglass.instrumentation.profiling import ProfilerWindows
from torchglass.instrumentation.transfer import Transfer, is_capturing
from torchglass.store import Fact

FORWARDS_WITHOUT_STEP = 200  # more than anybody accumulates or an initial loss scale costs
_PHASE_UNITS = {f"phase/{name}": "s" for name in ("step", *PHASES)}
_SELF_UNITS = {"torchglass/hook_seconds": "s"}


class StepWatcher:
    """Counts steps, times their phases and reads layer statistics when due.

    A step ends with the optimizer's step; its number stays current until the next batch or forward begins, so that a
    `run.log` before or after `optimizer.step()` lands on the same step.
    """

    def __init__(
        self,
        model: nn.Module | None,
        optimizer: torch.optim.Optimizer | None,
        *,
        put: Callable[[Record], None],
        clock: Callable[[], float],
        rank: int,
        guard: Guard,
        transfer: Transfer,
        layers: LayerStatistics,
        profiler: ProfilerWindows,
        norms_cadence: Cadence,
        histograms_cadence: Cadence,
    ) -> None:
        self.step = 0
        self._model = model
        self._optimizer = optimizer
        self._put = put
        self._clock = clock
        self._rank = rank
        self._guard = guard
        self._transfer = transfer
        self._layers = layers
        self._profiler = profiler
        self._norms_cadence = norms_cadence
        self._histograms_cadence = histograms_cadence
        self._step_is_over = False
        self._loader_is_watched = False
        self._in_optimizer = False
        self._told_ns = 0
        self._forwards = 0
        self._told_no_step = False
        self._timeline: Timeline | None = None

    # Moments, as hooks.StepEvents names them

    def loader_begins(self) -> None:
        """The loop asks the loader for a batch."""
        self._loader_is_watched = True
        self._mark("other")

    def loader_ends(self) -> None:
        """A batch arrived: whatever follows belongs to the next step."""
        self._mark("data")
        self._begin_step_if_over()

    def forward_begins(self) -> None:
        """The model is called, in training mode."""
        self._begin_step_if_over()
        self._count_forward()
        if self._in_optimizer:
            self._mark("optimizer")  # a closure that the optimizer calls again and again
        else:
            self._mark("other" if self._loader_is_watched else "data")

    def forward_ends(self) -> None:
        """The model returned."""
        self._mark("forward")

    def backward_begins(self) -> None:
        """The first gradient reached the model's output."""
        self._mark("other")

    def backward_ends(self) -> None:
        """All gradients of this backward are accumulated."""
        self._mark("backward")

    def evaluation_begins(self) -> None:
        """The model is called in evaluation mode or without gradients."""
        self._mark("other")

    def evaluation_ends(self) -> None:
        """It returned."""
        self._mark("other")

    def optimizer_begins(self) -> None:
        """`optimizer.step` was called; gradients are as it will see them."""
        if self._in_optimizer:
            # A subclass calls the step of its base, whose hooks are these too; or the last step raised.
            self._mark("optimizer")
            return
        self._begin_step_if_over()
        self._mark("other")
        if self._is_due():
            # A fused optimizer unscales within its step: GradScaler lends it the scale for that time.
            scale = getattr(self._optimizer, "grad_scale", None)
            self._layers.read_gradients(self.step, self._clock(), **self._due(), scale=scale)
            self._mark("torchglass")
        self._in_optimizer = True

    def optimizer_ends(self) -> None:
        """The weights are updated."""
        if not self._in_optimizer:
            return
        self._in_optimizer = False
        self._mark("optimizer")
        if self._is_due():
            self._layers.read_weights(self.step, self._clock(), **self._due())
            self._mark("torchglass")
        self._put_learning_rates()
        self.end_step()

    def named_step_begins(self) -> None:
        """A loop that names its steps itself begins one."""
        self._begin_step_if_over()
        self._mark("other")

    def named_step_ends(self) -> None:
        """It ends it, unless an optimizer already did."""
        self._mark("other")
        if not self._step_is_over:
            self.end_step()

    def end_step(self) -> None:
        """Close the step and pass on whatever has arrived from the device by now."""
        timeline = self._timeline_now()
        timeline.close_step(self.step, self._clock())
        timeline.poll()
        self._step_is_over = True
        self._forwards = 0
        self._transfer.poll()
        self._put_own_cost()
        if not is_capturing():  # a window opens and closes by waiting for the device, which would end the capture
            self._profiler.step_ended(self.step)

    def finish(self) -> None:
        """Deliver what the device still owes; may wait for it, the loop is over."""
        self._profiler.close()
        self._transfer.drain()
        if self._timeline is not None:
            self._timeline.clock.settle()
            self._timeline.poll()
        for name, lost in (
            ("device values", self._transfer.dropped),
            ("steps' phases", self._timeline.given_up if self._timeline is not None else 0),
        ):
            if lost:
                text = f"{lost} {name} were given up: the device was too far behind or a CUDA graph was being captured"
                self._put(Fact(self._rank, f"warnings/{name}", text, self._clock()))

    def abandon(self) -> None:
        """Leave the training loop alone after a failure of ours: nothing may go on by itself."""
        self._profiler.close()

    # What they record

    def _count_forward(self) -> None:
        self._forwards += 1
        if self._forwards == FORWARDS_WITHOUT_STEP and not self._told_no_step:
            self._told_no_step = True
            text = (
                f"{FORWARDS_WITHOUT_STEP} forward passes without a step: unless gradients are accumulated that long, "
                "give attach the optimizer that the loop steps, or name steps with run.step()"
            )
            tell(f"torchglass counted {text}")
            self._put(Fact(self._rank, "warnings/steps", text, self._clock()))

    def _begin_step_if_over(self) -> None:
        if self._step_is_over:
            self._step_is_over = False
            self.step += 1

    def _is_due(self) -> bool:
        # Not during a capture: what we compute would become part of the user's graph, and run at each replay.
        return any(self._due().values()) and not is_capturing()

    def _due(self) -> dict[str, bool]:
        return {
            "norms": self._norms_cadence.is_due(self.step),
            "histograms": self._histograms_cadence.is_due(self.step),
        }

    def _mark(self, phase: Phase) -> None:
        self._timeline_now().mark(phase)

    def _timeline_now(self) -> Timeline:
        """The timeline, made at the first moment: by then the model is on the device where it trains."""
        if self._timeline is None:
            parameters = self._model.parameters() if self._model is not None else iter(())
            device = next((parameter.device for parameter in parameters), torch.device("cpu"))
            clock: StampClock = CudaClock(device) if device.type == "cuda" else HostClock()
            self._timeline = Timeline(clock, self._deliver_phases)
            self._put(Fact(self._rank, "phases", {"clock": clock.name, "device": str(device)}, self._clock()))
        return self._timeline

    def _deliver_phases(self, step: int, time: float, seconds: Mapping[str, float]) -> None:
        values = {f"phase/{name}": value for name, value in seconds.items()}
        self._put(ScalarRow(step, time, values, "phase", _PHASE_UNITS))

    def _put_learning_rates(self) -> None:
        groups = self._optimizer.param_groups if self._optimizer is not None else []
        values: dict[str, float] = {}
        for index, group in enumerate(groups):
            key = "learning_rate" if index == 0 else f"learning_rate/group{index}"
            rate = group.get("lr")
            if isinstance(rate, torch.Tensor):
                self._send_learning_rate(key, rate)
            elif rate is not None:
                values[key] = float(rate)
        if values:
            self._put(ScalarRow(self.step, self._clock(), values))

    def _send_learning_rate(self, key: str, rate: torch.Tensor) -> None:
        if not self._transfer.accepts(rate.device):
            return
        step, time = self.step, self._clock()

        def deliver(array: np.ndarray) -> None:
            self._put(ScalarRow(step, time, {key: float(array)}))

        # Cloned on its device: a scheduler writes the next rate into the same tensor.
        self._transfer.submit(rate.detach().clone(), deliver)

    def _put_own_cost(self) -> None:
        spent_ns, self._told_ns = self._guard.spent_ns - self._told_ns, self._guard.spent_ns
        self._put(ScalarRow(self.step, self._clock(), {"torchglass/hook_seconds": spent_ns / 1e9}, "self", _SELF_UNITS))
