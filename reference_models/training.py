"""Train a reference model from end to end, watched by torchglass: the only file here that attaches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchglass.instrumentation import Run, attach, every
from torchglass.instrumentation.disabled import DisabledRun
from torchglass.reference_models.exhibit import Recipe
from torchglass.reference_models.loop import Epoch, Lesson, fit, prepare
from torchglass.reference_models.options import TrainingOptions
from torchglass.reference_models.precision import Precision, choose_device, choose_precision
from torchglass.reference_models.recorder import Recorder
from torchglass.reference_models.samples import save_samples
from torchglass.reference_models.threads import cpu_threads
from torchglass.reference_models.weights import save_weights, state_arrays, weights_path

LAYERS_EVERY = 10  # steps between layer statistics: two points an epoch on the digits, a tenth of the cost
HISTOGRAMS_EVERY = 50
PROFILE_EVERY, PROFILE_STEPS = 150, 3
MAX_CHECKPOINTS = 10  # a model's growth in ten pictures; LeNet-5 then takes 2.5 MB of the store


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What came of a training run: the epochs that were completed and the trained model, in eval mode on its device.

    `seconds` is wall time from attaching to the last record; `weights` is the file of the final weights, None where
    training was interrupted or nothing is recorded.
    """

    run_name: str
    store: str | None = field(repr=False)  # a database's address may hold its password
    device: str
    epochs: tuple[Epoch, ...]
    seconds: float
    weights: Path | None
    interrupted: bool
    quality_bar: float
    model: nn.Module

    @property
    def test_accuracy(self) -> float | None:
        """Return the last epoch's test accuracy, 0..1; None when no epoch was completed."""
        return self.epochs[-1].test.accuracy if self.epochs else None

    @property
    def passed(self) -> bool:
        """Tell whether the test accuracy reached the model's quality bar."""
        return self.test_accuracy is not None and self.test_accuracy >= self.quality_bar


def train(options: TrainingOptions) -> TrainingResult:
    """Train as asked and record the run; Ctrl-C ends it in good order and returns what there is, `interrupted`.

    With the same options on the same device the weights are equal, bit for bit on the CPU, recorded or not.

    Raises:
        OptionError: when the machine has no such device, or the device no mixed precision.
        DataError: when the data set is missing or damaged, or the weights cannot be written.
    """
    precision = choose_precision(choose_device(options.device), options.amp)
    lesson = prepare_lesson(options, precision)
    run_name, store, weights = options.run_name, None, None
    epochs: list[Epoch] = []
    interrupted = False
    started = time.perf_counter()
    try:
        with threads_for(precision.device, options.recipe), watch(lesson, options) as run:
            if not isinstance(run, DisabledRun):
                run_name, store = run.name, run.store_address
            save_gallery(lesson, options, run)
            for epoch in fit(lesson, run, progress=options.progress):
                epochs.append(epoch)
                if is_kept(epoch.number, lesson.epochs):
                    save_checkpoint(lesson.model, epoch, options, run)
            if store is not None:
                weights = weights_path(run.folder, run_name)
                save_weights(lesson.model, weights)
    except KeyboardInterrupt:
        interrupted = True
    return TrainingResult(
        run_name=run_name,
        store=store,
        device=str(precision.device),
        epochs=tuple(epochs),
        seconds=time.perf_counter() - started,
        weights=weights,
        interrupted=interrupted,
        quality_bar=options.exhibit.quality_bar,
        model=lesson.model.eval(),
    )


def prepare_lesson(options: TrainingOptions, precision: Precision) -> Lesson:
    """Load the data and build the model that the options name, with initial weights by the seed."""
    exhibit = options.exhibit
    split = exhibit.load_data(options.dataset_name, options.seed, options.cache, progress=options.progress)
    with seeded(options.seed):
        model = exhibit.build()
    return prepare(
        model.to(precision.device),
        len(exhibit.class_names),
        split,
        options.recipe,
        precision,
        seed=options.seed,
        workers=options.workers,
    )


def watch(lesson: Lesson, options: TrainingOptions) -> Run:
    """Attach torchglass to the lesson with everything that the page can show."""
    return attach(
        lesson.model,
        lesson.optimizer,
        run=options.run_name,
        store=options.store,
        config=describe(lesson, options),
        every=LAYERS_EVERY,
        histograms=HISTOGRAMS_EVERY,
        profile=every(PROFILE_EVERY, steps=PROFILE_STEPS),
        mode=options.mode,
    )


def threads_for(device: torch.device, recipe: Recipe) -> AbstractContextManager[None]:
    """Return the context in which the recipe's thread count holds, which speaks of the CPU alone."""
    return cpu_threads(recipe.cpu_threads if device.type == "cpu" else None)


def describe(lesson: Lesson, options: TrainingOptions) -> dict[str, Any]:
    """Return what a reader must know to train the same model again."""
    precision = lesson.precision
    return {
        "model": options.model,
        "dataset": options.dataset_name,
        "seed": options.seed,
        "device": str(precision.device),
        "precision": "float32" if precision.dtype is None else str(precision.dtype).removeprefix("torch."),
        "optimizer": type(lesson.optimizer).__name__,
        "schedule": "linear rise, cosine fall",
        "workers": options.workers,
        "train_images": len(lesson.split.train_labels),
        "test_images": len(lesson.split.test_labels),
        **asdict(options.recipe),
    }


def save_gallery(lesson: Lesson, options: TrainingOptions, run: Recorder) -> None:
    """Keep the first test pictures with the run."""
    images, labels = lesson.split.test_images, lesson.split.test_labels
    save_samples(run, options.exhibit, options.dataset_name, options.seed, images, labels)


def save_checkpoint(model: nn.Module, epoch: Epoch, options: TrainingOptions, run: Recorder) -> None:
    """Keep the weights after an epoch with the run, and what `model_from_checkpoint` needs to rebuild the model."""
    meta = {
        "model": options.model,
        "dataset": options.dataset_name,
        "seed": options.seed,
        "epoch": epoch.number,
        "test_accuracy": epoch.test.accuracy,
    }
    run.save_arrays("checkpoint", "weights", state_arrays(model), meta, step=epoch.step)


def is_kept(number: int, epochs: int) -> bool:
    """Tell whether the weights after epoch `number` (from 1) are kept: the last one, and evenly spaced ones before."""
    return number == epochs or number % -(-epochs // MAX_CHECKPOINTS) == 0


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator for a while; afterwards it is as it was before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
