"""Compare variants that learn: the time of a step, and whether the first steps go the original's way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from torchglass.reference_models.variants.devices import seeded_on, waiting_for
from torchglass.reference_models.variants.learning import (
    Batch,
    first_losses,
    gradient,
    optimizer_of,
    relative_difference,
    train_step,
)
from torchglass.reference_models.variants.preparing import prepare
from torchglass.reference_models.variants.results import CannotRun, Training
from torchglass.reference_models.variants.technique import Learner, Variant
from torchglass.reference_models.variants.timing import reason, summarize
from torchglass.reference_models.variants.workplace import Measured, Recall, Workplace


class Ready(NamedTuple):
    """A learner that has taken its first steps: the losses before each, and the gradient (n,) at the very first."""

    learner: Learner
    optimizer: Optimizer
    seconds: float
    warnings: tuple[str, ...]
    losses: tuple[float | None, ...]
    gradient: Tensor


def compare_training(
    place: Workplace, model: nn.Module, variants: Sequence[Variant], recall: Recall
) -> Measured[Training]:
    """Train a copy of the model under each variant that learns, and measure their steps in turns.

    Raises:
        OptionError: the first variant, with which the others are compared, cannot run.
    """
    batches = place.batches()
    found = {variant.name: _ready(place, model, variant, batches) for variant in variants}
    ready = {name: each for name, each in found.items() if isinstance(each, Ready)}
    tasks = {name: _task(each, batches) for name, each in ready.items()}
    turns, calls = place.take_turns(tasks, variants[0].name, found)
    original = ready[variants[0].name]
    outcomes: dict[str, Training | CannotRun] = {}
    for variant in variants:
        name, each = variant.name, found[variant.name]
        place.tell(f"training, memory of {name}")
        if isinstance(each, CannotRun) or name in turns.failed:
            outcomes[name] = each if isinstance(each, CannotRun) else turns.failed[name]
            continue
        last, originals_last = each.losses[-1], original.losses[-1]
        outcomes[name] = Training(
            timing=summarize(turns.seconds[name], turns.seconds[variants[0].name], place.batch_size, each.seconds),
            memory=recall(name, "train"),
            losses=each.losses,
            last_loss_difference=None if last is None or originals_last is None else last - originals_last,
            gradient_difference=relative_difference(each.gradient, original.gradient),
            notes=each.learner.notes,
            warnings=each.warnings,
        )
    return Measured(outcomes, turns.seconds, calls)


def _ready(place: Workplace, model: nn.Module, variant: Variant, batches: Sequence[Batch]) -> Ready | CannotRun:
    """Make the learner and let it take its first steps; every variant draws the same random numbers."""
    place.tell(f"training, {variant.name}")
    if variant.learner is None:
        return CannotRun(variant.one_sided)
    with seeded_on(place.device, place.seed):
        prepared = prepare(
            variant.learner,
            lambda learner: gradient(learner, batches[0]),
            place.subject(model, training=True),
            waiting_for(place.device),
        )
        if isinstance(prepared, CannotRun):
            return prepared
        learner = prepared.made
        optimizer = optimizer_of(
            learner, learning_rate=place.recipe.learning_rate, weight_decay=place.recipe.weight_decay
        )
        try:
            losses = first_losses(learner, optimizer, batches)
        except Exception as error:  # a step that fails where a first call did not, of whatever class
            return CannotRun(reason(error))
    return Ready(learner, optimizer, prepared.seconds, prepared.warnings, losses, prepared.seen)


def _task(ready: Ready, batches: Sequence[Batch]) -> Callable[[], object]:
    """A step on one batch after the other, each time round again."""
    endless = cycle(batches)
    return lambda: train_step(ready.learner, ready.optimizer, next(endless))
