"""The training loop: plain PyTorch, as its reader would write it, with three calls to the run that records it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, TensorDataset

from torchglass.reference_models.augmentation import Jitter
from torchglass.reference_models.exhibit import Recipe
from torchglass.reference_models.precision import Precision
from torchglass.reference_models.progress import Bar, bar
from torchglass.reference_models.recorder import Recorder
from torchglass.reference_models.schedule import rise_and_fall
from torchglass.reference_models.scores import Scores, Tally
from torchglass.reference_models.split import Split

Batch = tuple[Tensor, Tensor]

TEST_BATCH = 512  # no gradients are kept, so a larger batch than the recipe's costs little memory


@dataclass(frozen=True, eq=False)
class Lesson:
    """All that one training run needs: the model on its device, what it learns from, and how."""

    model: nn.Module
    classes: int
    split: Split
    loader: DataLoader[Batch]
    jitter: Jitter | None
    optimizer: Optimizer
    schedule: LRScheduler
    precision: Precision
    epochs: int


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures, counted from 1, and the scores at its end.

    `step` is its last step in the run's own count. `train` was counted while the weights changed and on jittered
    pictures, so it may lie below `test`.
    """

    number: int
    step: int
    train: Scores
    test: Scores


def prepare(
    model: nn.Module, classes: int, split: Split, recipe: Recipe, precision: Precision, *, seed: int, workers: int
) -> Lesson:
    """Lay out a lesson for a model that is already on its device; the order of pictures depends on `seed` alone."""
    loader: DataLoader[Batch] = DataLoader(
        TensorDataset(split.train_images, split.train_labels),  # type: ignore[arg-type]  # its batches are pairs here
        batch_size=recipe.batch_size,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=precision.device.type == "cuda",
    )
    optimizer = AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = rise_and_fall(optimizer, recipe.epochs * len(loader))
    return Lesson(
        model=model,
        classes=classes,
        split=split,
        loader=loader,
        jitter=Jitter(seed) if recipe.augment else None,
        optimizer=optimizer,
        schedule=schedule,
        precision=precision,
        epochs=recipe.epochs,
    )


def fit(lesson: Lesson, run: Recorder, *, progress: bool) -> Iterator[Epoch]:
    """Train epoch by epoch and yield each one's scores; the device is waited for once an epoch, never within one."""
    with bar("training", lesson.epochs, "epoch", show=progress) as epochs_bar:
        for number in range(1, lesson.epochs + 1):
            with bar(f"epoch {number}", len(lesson.loader), "batch", show=progress, stays=False) as batches_bar:
                tally = train_epoch(lesson, run, batches_bar)
            epoch = Epoch(number, run.current_step, tally.read(), evaluate(lesson))
            log_epoch(epoch, run)
            epochs_bar.set_postfix_str(f"test accuracy {epoch.test.accuracy:.2%}, loss {epoch.test.loss:.3f}")
            epochs_bar.update()
            yield epoch


def train_epoch(lesson: Lesson, run: Recorder, batches_bar: Bar) -> Tally:
    """Take one optimizer step for each batch and return the count of its answers, still on the device."""
    model, optimizer, scaler = lesson.model, lesson.optimizer, lesson.precision.scaler
    device = lesson.precision.device
    tally = Tally(lesson.classes, device)
    model.train()
    for batch in run.batches(lesson.loader):
        images, labels = (tensor.to(device, non_blocking=True) for tensor in batch)
        if lesson.jitter is not None:
            images = lesson.jitter(images)
        with lesson.precision.autocast():
            logits = model(images)
        loss = functional.cross_entropy(logits.float(), labels)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        lesson.schedule.step()
        tally.add(logits, labels, loss)
        run.log({"loss": loss.detach()})
        batches_bar.update()
    return tally


def evaluate(lesson: Lesson) -> Scores:
    """Score the model on the test pictures, in eval mode and without gradients; its mode is restored."""
    was_training = lesson.model.training
    tally = Tally(lesson.classes, lesson.precision.device)
    lesson.model.eval()
    try:
        with torch.no_grad():
            for images, labels in _test_batches(lesson):
                with lesson.precision.autocast():
                    logits = lesson.model(images)
                tally.add(logits, labels, functional.cross_entropy(logits.float(), labels))
    finally:
        lesson.model.train(was_training)
    return tally.read()


def log_epoch(epoch: Epoch, run: Recorder) -> None:
    """Record an epoch's scores at its last step."""
    run.log(
        {
            "epoch": epoch.number,
            "train/accuracy": epoch.train.accuracy,
            "test/loss": epoch.test.loss,
            "test/accuracy": epoch.test.accuracy,
            "test/precision": epoch.test.precision,
            "test/recall": epoch.test.recall,
            "test/f1": epoch.test.f1,
        },
        step=epoch.step,
    )


def _test_batches(lesson: Lesson) -> Iterator[Batch]:
    device, split = lesson.precision.device, lesson.split
    for images, labels in zip(
        torch.split(split.test_images, TEST_BATCH), torch.split(split.test_labels, TEST_BATCH), strict=True
    ):
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
