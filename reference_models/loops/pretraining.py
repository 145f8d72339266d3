"""A loop of its own: learn to fill in masked words first (Devlin et al. 2018), then the classes, in one run.

The first half of the epochs sees no label. A share of each text's words is asked for; most of those are hidden behind
the mask, some replaced by any word, some left as they are. Their count is what the loss is a mean over. The second half
is the supervised lesson, with the same optimizer begun anew at a third of the learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.words import MASK, PADDING, SPECIAL_WORDS
from torchglass.reference_models.learning.batches import Batches, held_out
from torchglass.reference_models.learning.checkpointing import checkpointed
from torchglass.reference_models.learning.schedule import share_of_peak
from torchglass.reference_models.learning.seeding import epoch_seed, reseed
from torchglass.reference_models.learning.stepping import take_step
from torchglass.reference_models.lesson import Epoch, Gallery, Setup
from torchglass.reference_models.networks.encoder import Encoder
from torchglass.reference_models.progress import bar
from torchglass.reference_models.recorder import Recorder
from torchglass.reference_models.tasks.scores import Scores
from torchglass.reference_models.training import supervised

PRETRAINING_SHARE = 0.5  # of the epochs
CLASSES_RATE = 1 / 3  # of the learning rate: classes learnt at the full one undo what the words have taught
ASKED_SHARE = 0.15  # of the words; of these 80 % are hidden, 10 % replaced and 10 % left, as in BERT
HIDDEN_SHARE, REPLACED_SHARE = 0.8, 0.1
NOT_ASKED = -100  # what cross entropy leaves out
TEST_BATCH = 256


class Quiz(NamedTuple):
    """Texts with words hidden: the ids shown (N, T), and those asked for (N, T), `NOT_ASKED` elsewhere."""

    shown: Tensor
    asked: Tensor


class PretrainingLesson:
    """Masked words, then classes. `epochs` counts both; the last one is for classes even if it is the only one."""

    def __init__(self, setup: Setup) -> None:
        recipe = setup.recipe
        self.epochs = recipe.epochs
        self.pretraining_epochs = int(PRETRAINING_SHARE * recipe.epochs)
        rate = recipe.learning_rate * (CLASSES_RATE if self.pretraining_epochs else 1)
        left = recipe.changed({"epochs": recipe.epochs - self.pretraining_epochs, "learning_rate": rate})
        self._classifying = supervised(replace(setup, recipe=left))
        self._setup, self._recipe, self._precision = setup, recipe, setup.precision
        self._encoder = cast(Encoder, setup.model)
        self._name_words = torch.compile(self._encoder.name_words) if setup.compile else self._encoder.name_words
        self._first_rates = [group["lr"] for group in self.optimizer.param_groups]
        learnt, _ = held_out(setup.split.train, recipe.validation, setup.seed)
        self._batches = Batches(
            learnt,
            recipe.batch_size,
            seed=setup.seed,
            workers=setup.workers,
            placement=setup.placement,
            pinned=setup.device.type == "cuda",
        )

    @property
    def model(self) -> nn.Module:
        """The encoder as the classifying loop calls it."""
        return self._classifying.model

    @property
    def trained(self) -> nn.Module:
        """The encoder with the weights to keep."""
        return self._classifying.trained

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of both parts."""
        return self._classifying.optimizer

    @property
    def form(self) -> DataForm:
        """What the texts and their classes are."""
        return self._classifying.form

    def fit(self, run: Recorder, *, done: int = 0) -> Iterator[Epoch]:
        """Pre-train, then classify, and yield each epoch's scores; those of the first part have no test accuracy."""
        before = self.pretraining_epochs
        if done <= before:  # what was kept after the first part's last epoch is not begun anew yet
            yield from self._pretrain(run, done)
            self._begin_anew()
        for epoch in self._classifying.fit(run, done=max(0, done - before)):
            yield replace(epoch, number=before + epoch.number)

    def _pretrain(self, run: Recorder, done: int) -> Iterator[Epoch]:
        show = self._setup.progress
        with ExitStack() as stack:
            if self._recipe.checkpointing:
                stack.enter_context(checkpointed(self._encoder))
            epochs_bar = stack.enter_context(bar("pre-training", self.pretraining_epochs, "epoch", show=show))
            epochs_bar.update(done)
            for number in range(done + 1, self.pretraining_epochs + 1):
                loss, accuracy = self._pretrain_epoch(number, run)
                scores = {"pretrain/test_loss": loss, "pretrain/test_accuracy": accuracy}
                epochs_bar.set_postfix_str(f"masked words right {accuracy:.2%}")
                epochs_bar.update()
                yield Epoch(number, run.current_step, Scores(scores))

    def _pretrain_epoch(self, number: int, run: Recorder) -> tuple[float, float]:
        """Take one optimizer step for each batch and return loss and accuracy on the test's texts."""
        device, precision = self._setup.device, self._precision
        words = self._setup.split.form.vocabulary_size
        step = (number - 1) * len(self._batches)
        reseed(self._setup.seed, -number, self._setup.placement.rank, device)  # the second part counts from 1 as well
        random = torch.Generator().manual_seed(epoch_seed(self._setup.seed, -number))
        self._encoder.train()
        for ids, _ in run.batches(self._batches.of_epoch(number)):
            quiz = mask_words(ids, words, random)
            shown, asked = (part.to(device, non_blocking=True) for part in quiz)
            self._set_rate(step)
            with precision.autocast():
                logits = self._name_words(shown)
            loss = word_loss(logits, asked)
            precision.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            take_step(self.optimizer, self._encoder.parameters(), precision, self._recipe.clip_norm, run)
            step += 1
            run.log({"pretrain/loss": loss.detach(), "pretrain/accuracy": word_accuracy(logits.detach(), asked)})
        return self._examine()

    def _set_rate(self, step: int) -> None:
        """Let the learning rate rise and fall within this part, as it does again in the second."""
        total = self.pretraining_epochs * len(self._batches)
        share = share_of_peak(step, total, self._recipe.schedule, self._recipe.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = share * self._recipe.learning_rate

    def _begin_anew(self) -> None:
        """Forget the first part's moments and learning rate: its gradients were those of another loss."""
        self.optimizer.state.clear()
        for group, rate in zip(self.optimizer.param_groups, self._first_rates, strict=True):
            group["lr"] = rate

    def _examine(self) -> tuple[float, float]:
        """Return loss and accuracy on the test's texts, whose hidden words are the same in every epoch."""
        split, device = self._setup.split, self._setup.device
        random = torch.Generator().manual_seed(self._setup.seed)
        quiz = mask_words(split.test.inputs, split.form.vocabulary_size, random)
        sums = torch.zeros(2, device=device)
        self._encoder.eval()
        with torch.no_grad():
            for shown, asked in zip(*(torch.split(part.to(device), TEST_BATCH) for part in quiz), strict=True):
                with self._precision.autocast():
                    logits = self._encoder.name_words(shown)
                count = (asked != NOT_ASKED).sum()
                sums += count * torch.stack([word_loss(logits, asked), word_accuracy(logits, asked)])
        loss, accuracy = (sums.cpu() / max(1, int((quiz.asked != NOT_ASKED).sum()))).tolist()
        return loss, accuracy

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return self._classifying.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was called."""
        self._classifying.load_state(state)

    def gallery(self) -> Gallery:
        """Choose the samples that the run keeps."""
        return self._classifying.gallery()


def mask_words(ids: Tensor, vocabulary_size: int, random: torch.Generator) -> Quiz:
    """Choose the words to ask for, never padding, and hide most of them; draws on the CPU, equal for every device."""
    asked = (torch.rand(ids.shape, generator=random) < ASKED_SHARE) & (ids != PADDING)
    fate = torch.rand(ids.shape, generator=random)
    any_word = torch.randint(len(SPECIAL_WORDS), vocabulary_size, ids.shape, generator=random)
    hidden = asked & (fate < HIDDEN_SHARE)
    replaced = asked & (fate >= HIDDEN_SHARE) & (fate < HIDDEN_SHARE + REPLACED_SHARE)
    shown = torch.where(hidden, MASK, torch.where(replaced, any_word, ids))
    return Quiz(shown, torch.where(asked, ids, NOT_ASKED))


def word_loss(logits: Tensor, asked: Tensor) -> Tensor:
    """Return the mean cross entropy (0-d) over the words asked for: logits (N, T, V), asked (N, T); 0 without any.

    No position is picked out: on a GPU that would have to wait until their number is known.
    """
    total = functional.cross_entropy(
        logits.float().flatten(0, 1), asked.flatten(), ignore_index=NOT_ASKED, reduction="sum"
    )
    return total / (asked != NOT_ASKED).sum().clamp(min=1)


def word_accuracy(logits: Tensor, asked: Tensor) -> Tensor:
    """Return the share (0-d) of the words asked for that have the highest logit; 0 without any."""
    right = (logits.argmax(dim=2) == asked).sum()  # no word has the id NOT_ASKED
    return right / (asked != NOT_ASKED).sum().clamp(min=1)


def pretraining(setup: Setup) -> PretrainingLesson:
    """Prepare the lesson.

    Raises:
        OptionError: a switch has no meaning for these data.
    """
    return PretrainingLesson(setup)
