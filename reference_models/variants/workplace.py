"""What the comparisons share: the original, its data in batches on the device, and how long to measure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.variants.devices import waiting_for
from torchglass.reference_models.variants.learning import Batch
from torchglass.reference_models.variants.results import CannotRun, Floats, Memory
from torchglass.reference_models.variants.technique import Mode, Subject
from torchglass.reference_models.variants.timing import Turns, calls_for, take_turns

CALIBRATION_IMAGES = 512
TURN_SECONDS = 0.02  # ten thousand ticks of the clock, and short enough that a disturbance meets several variants
MOST_CALLS = 200  # a turn

Outcome = TypeVar("Outcome")
Recall = Callable[[str, Mode], Memory]


@dataclass(frozen=True)
class Measured(Generic[Outcome]):
    """What came of one mode: an outcome for each variant, the turns of those that ran, and the calls in a turn."""

    outcomes: Mapping[str, Outcome | CannotRun]
    seconds: Mapping[str, Floats]
    calls: int


@dataclass(frozen=True, eq=False)
class Workplace:
    """Where variants are compared. `model` is the original, on `device`: techniques get copies of it.

    `tell` hears what comes next, twice for each variant and mode.
    """

    model: nn.Module
    split: Split
    recipe: Recipe
    device: torch.device
    batch_size: int
    rounds: int
    steps: int
    seed: int
    tell: Callable[[str], None]

    @property
    def calibration(self) -> Tensor:
        """Return training images (n, C, H, W) on the CPU for techniques that must see data."""
        return self.split.train.inputs[:CALIBRATION_IMAGES]

    def batches(self) -> list[Batch]:
        """Return `steps` batches of training images and labels on the device, in an order by the seed.

        A small data set begins again, in the same order.
        """
        count = len(self.split.train.targets)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))
        places = torch.split(order[torch.arange(self.steps * self.batch_size) % count], self.batch_size)
        images, labels = self.split.train.inputs, self.split.train.targets
        return [(images[place].to(self.device), labels[place].to(self.device)) for place in places]

    def subject(self, model: nn.Module, *, training: bool) -> Subject:
        """Return a copy of a model, in the mode asked for, with what a technique may look at."""
        images = self.split.train.inputs[torch.arange(self.batch_size) % len(self.split.train.targets)]
        return Subject(copy.deepcopy(model).train(training), self.device, images.to(self.device), self.calibration)

    def take_turns(
        self, tasks: Mapping[str, Callable[[], object]], original: str, found: Mapping[str, object]
    ) -> tuple[Turns, int]:
        """Time the tasks in turns whose length the original's speed sets; return them and the calls in a turn.

        Raises:
            OptionError: there is no task of the original, for the reason that was `found`, or it failed on the way.
        """
        if original not in tasks:
            raise OptionError(f"{original}, to compare the others with, cannot run: {_reason_in(found[original])}")
        wait = waiting_for(self.device)
        trial = take_turns({original: tasks[original]}, rounds=3, calls=1, seed=self.seed, wait=wait)
        seconds = float(trial.seconds[original].min()) if original in trial.seconds else TURN_SECONDS
        calls = calls_for(seconds, turn_seconds=TURN_SECONDS, most=MOST_CALLS)
        turns = take_turns(tasks, rounds=self.rounds, calls=calls, seed=self.seed, wait=wait)
        if original in turns.failed:
            raise OptionError(f"{original}, to compare the others with, failed {turns.failed[original].reason}")
        return turns, calls


def _reason_in(found: object) -> str:
    return found.reason if isinstance(found, CannotRun) else "no reason is known"
