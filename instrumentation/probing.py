"""When probes are explained: after the first step, every so many, at the end; in between they rest for what they cost.

What is explained, and how, is the business of whoever made the probes: nothing here knows an explainer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt
import torch
from torch import nn

from torchglass.instrumentation.buffer import Record, ScalarRow
from torchglass.instrumentation.guard import tell
from torchglass.instrumentation.transfer import is_capturing
from torchglass.store import ArtifactBlock, Fact

FRAMES_AT_A_STRIDE = 24  # looks whose maps are kept before every second one is, then every fourth, and so on
ARTIFACT_KIND = "explanation"


class Frame(Protocol):
    """One probe as one method explains it, ready to be kept."""

    @property
    def key(self) -> str:
        """Which probe."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """Facts that JSON takes."""

    @property
    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """What is drawn."""


class Look(Protocol):
    """What one look found."""

    @property
    def values(self) -> Mapping[str, float]:
        """Numbers by "<method>/<figure>"."""

    @property
    def frames(self) -> Sequence[Frame]:
        """A frame for each method and probe."""

    @property
    def notices(self) -> Sequence[str]:
        """What could not be explained, and why."""


class Looks(Protocol):
    """The looks of one run at one model."""

    def look(self, model: nn.Module) -> Look:
        """Explain the probes by the model as it is now, and leave it as it is."""


@runtime_checkable
class ProbeSet(Protocol):
    """What `attach(probes=...)` takes: `torchglass.Probes` is one."""

    every: int
    budget: float

    def begin(self, model: nn.Module) -> Looks:
        """Begin the looks of a run; raises where the model cannot be explained."""


class ProbeTurns:
    """Takes the looks of a run. `step_ended` is called from step `wakes_at` on, `finish` at the end of the training.

    A look that fails altogether is the last one: it is told of, and training goes on.
    """

    def __init__(
        self,
        probes: ProbeSet,
        looks: Looks,
        rank: int,
        put: Callable[[Record], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._every = probes.every
        self._budget = probes.budget
        self._looks = looks
        self._rank = rank
        self._put = put
        self._clock = clock
        self._monotonic = monotonic
        self._rests_until = -math.inf
        self._looked_at: int | None = None
        self._taken = self._left_out = 0
        self._seconds = 0.0
        self._kept, self._stride = 0, 1
        self._left: tuple[Sequence[Frame], int, float] | None = None  # maps of the last look that were not kept
        self._told: set[str] = set()
        self.wakes_at = -math.inf

    def step_ended(self, step: int, model: nn.Module | None) -> bool:
        """Look where it is this step's turn; tell whether that took time."""
        if is_capturing():
            return False  # at the next step: what we compute would become part of the graph
        is_first = self._looked_at is None
        self.wakes_at = (step // self._every + 1) * self._every
        if model is None:
            return False
        if not is_first and self._monotonic() < self._rests_until:
            self._left_out += 1
            return False
        self._look(step, model, keep=self._taken % self._stride == 0)
        return True

    def finish(self, step: int, model: nn.Module | None) -> None:
        """Look at what became of the model, unless the last look saw it, and state what the looks took."""
        if self._looked_at is None or self.wakes_at == math.inf:
            return
        if model is not None and step > self._looked_at and not is_capturing():
            self._look(step, model, keep=True)
        if self._left is not None:
            self._keep(*self._left)
        taken = {"looks": self._taken, "left_out": self._left_out, "seconds": self._seconds, "budget": self._budget}
        self._put(Fact(self._rank, "probes", taken, self._clock()))

    def _look(self, step: int, model: nn.Module, *, keep: bool) -> None:
        self._looked_at = step
        _wait_for(model)
        began = self._monotonic()
        try:
            found = self._looks.look(model)
        except Exception as error:  # out of memory, say: nothing else is the worse for that
            self.wakes_at = math.inf
            first = next(iter(str(error).splitlines()), "")
            self._tell(f"probes are explained no more after step {step}: {type(error).__name__}: {first}")
            return
        when = self._clock()
        if found.values:
            self._put(ScalarRow(step, when, {f"explanation/{name}": value for name, value in found.values.items()}))
        self._left = None if keep else (found.frames, step, when)
        if keep:
            self._keep(found.frames, step, when)
        for notice in found.notices:
            self._tell(f"a probe could not be explained: {notice}", about=notice.partition(":")[0])
        self._taken += 1
        cost = self._monotonic() - began
        self._seconds += cost
        self._rests_until = self._monotonic() + cost * (1 / self._budget - 1)

    def _keep(self, frames: Sequence[Frame], step: int, when: float) -> None:
        for frame in frames:
            self._put(ArtifactBlock(ARTIFACT_KIND, frame.key, step, when, dict(frame.meta), dict(frame.arrays)))
        self._kept += 1
        if self._kept == FRAMES_AT_A_STRIDE:
            self._kept, self._stride = 0, 2 * self._stride

    def _tell(self, text: str, about: str = "") -> None:
        """State it once for each method: a network that diverged is not news at every look."""
        if about not in self._told:
            self._told.add(about)
            tell(f"torchglass: {text}")
            self._put(Fact(self._rank, f"warnings/probes{f' {about}' if about else ''}", text, self._clock()))


def _wait_for(model: nn.Module) -> None:
    """Let the device finish the training's work first: it is not the look that costs it."""
    device = next((parameter.device for parameter in model.parameters()), None)
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
