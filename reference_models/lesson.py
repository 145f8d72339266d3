"""What training needs, and what a training run that is ready to go can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.samples import Samples, Scale, Split
from torchglass.reference_models.exhibit import QualityBar, ReferenceModel
from torchglass.reference_models.learning.placement import ALONE, Placement
from torchglass.reference_models.learning.precision import Precision
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.recorder import Recorder
from torchglass.reference_models.tasks.scores import Scores


@dataclass(frozen=True, eq=False)
class Setup:
    """All that a lesson is prepared from. `split` is what the data source loaded; `model` has its initial weights and
    is on its device, not yet wrapped for several processes or compiled.
    """

    exhibit: ReferenceModel
    bar: QualityBar
    model: nn.Module
    split: Split
    recipe: Recipe
    precision: Precision
    seed: int = 0
    workers: int = 0
    placement: Placement = ALONE
    compile: bool = False
    progress: bool = False

    @property
    def device(self) -> torch.device:
        """Return where the model is."""
        return self.precision.device


@dataclass(frozen=True, eq=False)
class Epoch:
    """One pass over the training set, counted from 1, and the scores at its end.

    `step` is its last step in the run's own count. Scores of the training set were counted while the weights changed
    and on jittered samples, so they may lie below the test's.
    """

    number: int
    step: int
    scores: Scores


class StopTraining(Exception):
    """Raised by whoever watches the epochs: this one was the last, and the run ends in good order."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Samples that a run keeps for explaining, and the training samples that stand for "anything" (`background`)."""

    samples: Samples
    background: torch.Tensor
    vocabulary: tuple[str, ...] = ()
    scale: Scale | None = None


class Lesson(Protocol):
    """A training run, ready to go."""

    @property
    def model(self) -> nn.Module:
        """What the loop calls and torchglass watches; of several networks the module that holds them all."""
        ...

    @property
    def trained(self) -> nn.Module:
        """The plain module with the weights to keep: neither compiled nor wrapped, averaged where that was asked."""
        ...

    @property
    def optimizer(self) -> Optimizer | Sequence[Optimizer]:
        """The optimizer, or the optimizers in the order in which a step of the loop steps them."""
        ...

    @property
    def form(self) -> DataForm:
        """What the model's samples and answers are."""
        ...

    @property
    def epochs(self) -> int:
        """How many epochs there are at most."""
        ...

    def fit(self, run: Recorder, *, done: int = 0) -> Iterator[Epoch]:
        """Train epoch by epoch, after `done` of them, and yield each one's scores."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on: tensors and plain values, as `torch.save` takes them."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was called."""
        ...

    def gallery(self) -> Gallery:
        """Choose the samples that the run keeps."""
        ...
