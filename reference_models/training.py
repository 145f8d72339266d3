"""The training loop: plain PyTorch, as its reader would write it, with three calls to the run that records it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import nn

from torchglass.errors import OptionError
from torchglass.reference_models.data.samples import Samples
from torchglass.reference_models.gallery import gallery_of
from torchglass.reference_models.learning.augmentation import Jitter
from torchglass.reference_models.learning.averaging import averaged
from torchglass.reference_models.learning.batches import Batch, Batches, held_out
from torchglass.reference_models.learning.checkpointing import blocks_of, checkpointed
from torchglass.reference_models.learning.optimizers import optimizer_for
from torchglass.reference_models.learning.processes import from_first, shared
from torchglass.reference_models.learning.schedule import scheduled
from torchglass.reference_models.learning.seeding import reseed
from torchglass.reference_models.learning.stepping import take_step
from torchglass.reference_models.learning.stopping import EarlyStopping
from torchglass.reference_models.lesson import Epoch, Gallery, Setup
from torchglass.reference_models.progress import Bar, bar
from torchglass.reference_models.recorder import Recorder
from torchglass.reference_models.tasks.choosing import task_for
from torchglass.reference_models.tasks.scores import Scores, Tally

TEST_BATCH = 256  # no gradients are kept, so a larger batch than the recipe's costs little memory


class SupervisedLesson:
    """Learning from samples and their targets, with every switch of the recipe."""

    def __init__(self, setup: Setup) -> None:
        recipe, split, device = setup.recipe, setup.split, setup.device
        self._setup = setup
        self.form = split.form
        self.epochs = recipe.epochs
        self._recipe, self._precision, self._place = recipe, setup.precision, setup.placement
        self._task = task_for(split, recipe)
        self._loss = setup.exhibit.loss or self._task.loss
        learnt, self._validation = held_out(split.train, recipe.validation, setup.seed)
        self._batches = Batches(
            learnt,
            recipe.batch_size,
            seed=setup.seed,
            workers=setup.workers,
            placement=setup.placement,
            pinned=device.type == "cuda",
        )
        self._jitter = Jitter(setup.seed) if recipe.augment else None
        self._plain = setup.model
        self._average = averaged(self._plain, recipe.ema)
        self._stopping = EarlyStopping(recipe.early_stopping) if recipe.early_stopping else None
        self.model = shared(self._plain, setup.placement, device)
        if setup.compile:
            self.model = torch.compile(self.model)  # type: ignore[assignment]
        self.optimizer = optimizer_for(self._plain.parameters(), recipe)
        self._schedule = scheduled(self.optimizer, recipe, recipe.epochs * -(-len(self._batches) // recipe.accumulate))

    @property
    def trained(self) -> nn.Module:
        """The module whose weights are tested and kept."""
        return self._plain if self._average is None else self._average.module

    def fit(self, run: Recorder, *, done: int = 0) -> Iterator[Epoch]:
        """Train epoch by epoch and yield each one's scores; the device is waited for once an epoch, never within."""
        show = self._setup.progress
        with ExitStack() as stack:
            if self._recipe.checkpointing:
                stack.enter_context(checkpointed(self._plain))
            epochs_bar = stack.enter_context(bar("training", self.epochs, "epoch", show=show))
            epochs_bar.update(done)
            for number in range(done + 1, self.epochs + 1):
                with bar(f"epoch {number}", len(self._batches), "batch", show=show, stays=False) as batches_bar:
                    tally = self.train_epoch(number, run, batches_bar)
                scores, stops = self._judged(tally, last=number == self.epochs)
                epoch = Epoch(number, run.current_step, scores)
                epochs_bar.set_postfix_str(self._headline(scores))
                epochs_bar.update()
                yield epoch
                if stops:
                    return

    def train_epoch(self, number: int, run: Recorder, batches_bar: Bar) -> Tally:
        """Take an optimizer step for each group of batches and return the count of the answers, on the device."""
        device, scaler, accumulate = self._precision.device, self._precision.scaler, self._recipe.accumulate
        tally = self._task.tally(device, train=True)
        group = self._batches.batch_size * accumulate
        seen, last = 0, len(self._batches)
        step_loss = torch.zeros((), device=device)
        reseed(self._setup.seed, number, self._place.rank, device)
        if self._jitter is not None:
            self._jitter.begin(number, self._place.rank)
        self.model.train()
        for place, batch in enumerate(run.batches(self._batches.of_epoch(number)), start=1):
            inputs, targets = (tensor.to(device, non_blocking=True) for tensor in batch)
            if self._jitter is not None:
                inputs = self._jitter(inputs)
            is_whole = place % accumulate == 0 or place == last
            in_group = min(group, self._batches.samples - seen // group * group)
            with self._gradients_kept_apart(is_whole):
                with self._precision.autocast():
                    outputs = self.model(inputs)
                loss = self._loss(outputs.float(), targets)
                share = loss * (len(targets) / in_group)
                scaler.scale(share).backward()  # type: ignore[no-untyped-call]
            seen += len(targets)
            step_loss += share.detach()
            if is_whole:
                self._step(run)
                run.log({"loss": step_loss})
                step_loss = torch.zeros((), device=device)
            tally.add(outputs, targets, loss)
            batches_bar.update()
        return tally

    def evaluate(self, samples: Samples) -> Scores:
        """Score the trained module on samples, in eval mode and without gradients; its mode is restored."""
        model, device = self.trained, self._precision.device
        was_training = model.training
        tally = self._task.tally(device, train=False)
        model.eval()
        try:
            with torch.no_grad():
                for inputs, targets in _test_batches(samples, device):
                    with self._precision.autocast():
                        outputs = model(inputs)
                    tally.add(outputs, targets, self._loss(outputs.float(), targets))
        finally:
            model.train(was_training)
        return tally.read()

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "model": self._plain.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._precision.scaler.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "stopping": None if self._stopping is None else self._stopping.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was called.

        Raises:
            OptionError: early stopping had ended the training.
        """
        self._plain.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._precision.scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if self._stopping is not None:
            self._stopping.load_state(state["stopping"])
            if self._stopping.is_over:
                raise OptionError(
                    "early stopping ended this training with its best weights: there is nothing to resume"
                )

    def gallery(self) -> Gallery:
        """Choose the first test samples, and training samples at random for a background."""
        return gallery_of(self._setup.split, self._setup.seed)

    def _step(self, run: Recorder) -> None:
        take_step(self.optimizer, self._plain.parameters(), self._precision, self._recipe.clip_norm, run)
        self._schedule.step()
        if self._average is not None:
            self._average.update_parameters(self._plain)

    def _gradients_kept_apart(self, is_whole: bool) -> AbstractContextManager[None]:
        """The processes share gradients once a step: in the last of its batches."""
        if self._place.is_shared and not is_whole:
            wrapper: Any = getattr(self.model, "_orig_mod", self.model)
            context: AbstractContextManager[None] = wrapper.no_sync()
            return context
        return nullcontext()

    def _judged(self, tally: Tally, *, last: bool) -> tuple[Scores, bool]:
        """Score the epoch in the first process and tell all whether it was the last one."""
        found = self._judge(tally, last=last) if self._place.is_first else None
        return from_first(found, self._place)

    def _judge(self, tally: Tally, *, last: bool) -> tuple[Scores, bool]:
        values = tally.read().under("train")
        stops = last
        if self._validation is not None:
            validation = self.evaluate(self._validation).under("validation")
            if self._stopping is not None:
                stops |= self._stopping.judge(self._goodness(validation), self.trained)
                if stops:
                    self._stopping.restore(self.trained)
                    validation = self.evaluate(self._validation).under("validation")  # of what is kept, as the test's
                    values["early_stopping/best_epoch"] = self._stopping.best_epoch
            values |= validation
        test = self.evaluate(self._setup.split.test)
        return Scores(values | test.under("test"), test.arrays), stops

    def _goodness(self, validation: Mapping[str, float]) -> float:
        """Return what early stopping chooses by: the bar's score, or the loss where this task has no such score."""
        headline = self._setup.bar.metric.rpartition("/")[2]
        return validation.get(f"validation/{headline}", -validation["validation/loss"])

    def _headline(self, scores: Scores) -> str:
        metric = self._setup.bar.metric
        return f"{metric.replace('/', ' ')} {scores.values.get(metric, float('nan')):.4g}"


def supervised(setup: Setup) -> SupervisedLesson:
    """Prepare the supervised lesson.

    Raises:
        OptionError: a switch has no meaning for these data or this loss.
    """
    form, recipe = setup.split.form, setup.recipe
    if recipe.augment and (form.kind != "pictures" or form.task != "classification"):
        raise OptionError(f"augment jitters pictures that are classified, and these data are {form.kind}: leave it out")
    if recipe.label_smoothing and (form.task != "classification" or setup.exhibit.loss is not None):
        raise OptionError(
            f"label_smoothing is {recipe.label_smoothing} and {setup.exhibit.name} does not learn by cross entropy "
            "here: leave it out"
        )
    if recipe.early_stopping and not recipe.validation:
        raise OptionError("early_stopping chooses by a validation part: give validation too, such as 0.1")
    if recipe.checkpointing and setup.compile:
        raise OptionError("checkpointing and compile are both on, which is not offered: choose one of them")
    if recipe.checkpointing:
        blocks_of(setup.model)
    return SupervisedLesson(setup)


def _test_batches(samples: Samples, device: torch.device) -> Iterator[Batch]:
    for inputs, targets in zip(
        torch.split(samples.inputs, TEST_BATCH), torch.split(samples.targets, TEST_BATCH), strict=True
    ):
        yield inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
