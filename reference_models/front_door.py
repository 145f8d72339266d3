"""Train a reference model from end to end, watched by torchglass: the only file here that attaches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchglass.errors import DataError, OptionError, TorchglassError
from torchglass.instrumentation import Run, attach, every
from torchglass.instrumentation.disabled import DisabledRun
from torchglass.reference_models.exhibit import QualityBar, ReferenceModel
from torchglass.reference_models.gallery import save_gallery
from torchglass.reference_models.learning.initialization import initialize
from torchglass.reference_models.learning.placement import ALONE, Placement, find_placement
from torchglass.reference_models.learning.precision import Precision, choose_device, choose_precision
from torchglass.reference_models.learning.processes import joined
from torchglass.reference_models.learning.seeding import seeded
from torchglass.reference_models.learning.threads import cpu_threads
from torchglass.reference_models.lesson import Epoch, Lesson, Setup, StopTraining
from torchglass.reference_models.options import TrainingOptions
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.resuming import load_resume, resume_path, save_resume
from torchglass.reference_models.training import supervised
from torchglass.reference_models.weights import save_weights, state_arrays, weights_path
from torchglass.store import open_store

LAYERS_EVERY = 10  # steps between layer statistics: two points an epoch on the digits, a tenth of the cost
HISTOGRAMS_EVERY = 50
PROFILE_EVERY, PROFILE_STEPS = 150, 3
MAX_CHECKPOINTS = 10  # a model's growth in ten pictures; LeNet-5 then takes 2.5 MB of the store
MAX_CHECKPOINT_BYTES = 20_000_000  # of a larger model the store keeps the last weights alone
PATIENCE_SECONDS = 120.0  # for the store at the end: on a busy machine attach's own 10 s lose what nobody can repeat
MakeProbes = Callable[[ReferenceModel, Lesson, Recipe], Any]  # what `attach(probes=...)` takes, or None
SHARES = frozenset({"accuracy", "precision", "recall", "f1", "map50"})  # shown in per cent


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
    bar: QualityBar
    model: nn.Module

    @property
    def score(self) -> float | None:
        """Return the last epoch's value of the bar's metric; None without an epoch or where there is no such score."""
        return self.epochs[-1].scores.values.get(self.bar.metric) if self.epochs else None

    @property
    def told(self) -> str:
        """Say how good the model became, such as "test accuracy 99.17 %"."""
        if not self.epochs:
            return "no epoch was completed"
        if self.score is None:
            return f"test loss {self.epochs[-1].scores.values.get('test/loss', float('nan')):.4g}"
        is_share = self.bar.metric.rpartition("/")[2] in SHARES
        value = f"{100 * self.score:.2f} %" if is_share else f"{self.score:.4g}"
        return f"{self.bar.metric.replace('/', ' ')} {value}"

    @property
    def passed(self) -> bool:
        """Tell whether the score reached the model's quality bar."""
        return self.score is not None and self.score >= self.bar.at_least


def train(
    options: TrainingOptions, watching: Callable[[Epoch], None] | None = None, probes: MakeProbes | None = None
) -> TrainingResult:
    """Train as asked and record the run; Ctrl-C ends it in good order and returns what there is, `interrupted`.

    With the same options on the same device the weights are equal, bit for bit on the CPU, recorded or not, in one go
    or resumed. `watching` is told of each epoch once it is recorded, and may raise `StopTraining`. `probes` chooses
    what `attach` explains on the way, None for nothing; the weights are the same with and without.

    Raises:
        OptionError: when the machine has no such device, the device no such precision, or a switch no meaning here.
        DataError: when the data set is missing or damaged, or the weights cannot be written.
    """
    place = find_placement()
    precision = choose_precision(_device_of(options, place), options.amp)
    threads = options.recipe.cpu_threads if precision.device.type == "cpu" else None
    run_name, store, weights = options.run_name, None, None
    epochs: list[Epoch] = []
    interrupted = is_over = False
    with ExitStack() as stack:
        stack.enter_context(cpu_threads(threads))
        stack.enter_context(seeded(options.seed, precision.device))
        stack.enter_context(_memory_told(options))
        stack.enter_context(joined(place, precision.device))
        lesson = prepare_lesson(options, precision, place)
        config = describe(lesson, options, precision)
        before = _resumed(lesson, options, config)
        started = time.perf_counter()
        try:
            with watch(lesson, options, config, before, probes) as run:
                if not isinstance(run, DisabledRun):
                    run_name, store = run.name, run.store_address
                for epoch in lesson.fit(run, done=before.epoch):
                    epochs.append(epoch)
                    if store is not None and place.is_first:
                        _keep(lesson, epoch, options, run, config)
                    if watching is not None:
                        try:
                            watching(epoch)
                        except StopTraining:
                            break
                else:
                    is_over = True
                if store is not None and place.is_first:
                    save_gallery(run, lesson.gallery(), lesson.form, _origin(options))
                    weights = weights_path(run.folder, run_name)
                    save_weights(lesson.trained, weights)
                    if is_over:  # three times the weights' size, and nothing left to go on with
                        resume_path(run.folder, run.uid).unlink(missing_ok=True)
                run.flush(PATIENCE_SECONDS)
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
        bar=options.exhibit.bar_on(options.dataset_name),
        model=lesson.trained.eval(),
    )


def prepare_lesson(options: TrainingOptions, precision: Precision, place: Placement = ALONE) -> Lesson:
    """Load the data and build the model that the options name, with initial weights by the seed."""
    exhibit, recipe = options.exhibit, options.recipe
    if place.is_shared and not exhibit.honours("ddp"):
        raise OptionError(f"{exhibit.name} trains in one process: start it without torchrun")
    split = exhibit.load_data(options.dataset_name, options.request).limited(options.limit)
    with seeded(options.seed):
        model = exhibit.build(split.form, recipe.dropout, options.model_path)
        initialize(model, recipe.initialization)
    setup = Setup(
        exhibit=exhibit,
        bar=exhibit.bar_on(options.dataset_name),
        model=model.to(precision.device),
        split=split,
        recipe=recipe,
        precision=precision,
        seed=options.seed,
        workers=options.workers,
        placement=place,
        compile=options.compile,
        progress=options.progress and place.is_first,
    )
    return (exhibit.lesson or supervised)(setup)


def watch(
    lesson: Lesson, options: TrainingOptions, config: dict[str, Any], before: Before, probes: MakeProbes | None = None
) -> Run:
    """Attach torchglass to the lesson with everything that the page can show."""
    return attach(
        lesson.model,
        lesson.optimizer,
        run=options.run_name,
        store=options.store,
        config=config,
        every=LAYERS_EVERY,
        histograms=HISTOGRAMS_EVERY,
        profile=every(PROFILE_EVERY, steps=PROFILE_STEPS),
        probes=None if probes is None else probes(options.exhibit, lesson, options.recipe),
        resume=options.run_name if options.resume else None,
        resume_step=before.step if options.resume else None,
        mode=options.mode,
    )


def describe(lesson: Lesson, options: TrainingOptions, precision: Precision) -> dict[str, Any]:
    """Return what a reader must know to train the same model again."""
    return {
        **_origin(options),
        "device": str(precision.device),
        "precision": "float32" if precision.dtype is None else str(precision.dtype).removeprefix("torch."),
        "compile": options.compile,
        "workers": options.workers,
        "limit": options.limit,
        **asdict(options.recipe),
        **options.notes,
    }


@dataclass(frozen=True)
class Before:
    """What a resumed run has behind it: completed epochs, and the step to go on at."""

    epoch: int = 0
    step: int = 0


def _device_of(options: TrainingOptions, place: Placement) -> torch.device:
    device = choose_device(options.device)
    if place.is_shared and str(device) == "cuda":
        return choose_device(f"cuda:{place.local_rank}")
    return device


def _origin(options: TrainingOptions) -> dict[str, Any]:
    path = options.model_path
    return {
        "model": options.model,
        "dataset": options.dataset_name,
        "seed": options.seed,
        "data": None if options.data is None else str(options.data),
        "model_path": None if path is None else str(path),
    }


def _resumed(lesson: Lesson, options: TrainingOptions, config: dict[str, Any]) -> Before:
    """Put the lesson where the run of that name stopped, if that is asked for."""
    if not options.resume:
        return Before()
    with open_store(options.store, read_only=True) as store:
        run = store.run(options.run_name)
        path = resume_path(store.location.folder, run.uid)
    if run.status == "finished" and not path.is_file():
        raise OptionError(f"the training of {options.run_name} is over: there is nothing to resume")
    found = load_resume(path, _binding(config))
    if found["epoch"] >= lesson.epochs:
        raise OptionError(f"{options.run_name} has completed its {lesson.epochs} epochs: there is nothing to resume")
    try:
        lesson.load_state(found["state"])
    except TorchglassError:
        raise
    except (
        AttributeError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # of modules, optimizers and schedules
        raise DataError(
            f"{path} holds the state of another {options.model} ({type(error).__name__}): train again without --resume"
        ) from error
    return Before(found["epoch"], found["step"] + 1)


def _binding(config: dict[str, Any]) -> dict[str, Any]:
    """What must be the same when a run is resumed; more workers or another file of the same data do no harm."""
    return {name: config[name] for name in config.keys() - {"workers", "data", "model_path", "cpu_threads"}}


def _keep(lesson: Lesson, epoch: Epoch, options: TrainingOptions, run: Run, config: dict[str, Any]) -> None:
    """Record an epoch's scores, its weights now and then, and what a resumed run needs."""
    run.log({"epoch": epoch.number, **epoch.scores.values}, step=epoch.step)
    if epoch.scores.arrays:
        names = {"class_names": list(lesson.form.class_names), "epoch": epoch.number}
        run.save_arrays("scores", "test", dict(epoch.scores.arrays), names, step=epoch.step)
    arrays = state_arrays(lesson.trained)
    is_small = sum(array.nbytes for array in arrays.values()) <= MAX_CHECKPOINT_BYTES
    if is_kept(epoch.number, lesson.epochs, options.keep_checkpoints or (MAX_CHECKPOINTS if is_small else 1)):
        run.save_arrays("checkpoint", "weights", arrays, _notes(lesson, epoch, options), step=epoch.step)
    path = resume_path(run.folder, run.uid)
    save_resume(path, lesson.state(), epoch=epoch.number, step=epoch.step, config=_binding(config))


def _notes(lesson: Lesson, epoch: Epoch, options: TrainingOptions) -> dict[str, Any]:
    """What `model_from_checkpoint` needs to rebuild the model, and how good it was."""
    return {
        **_origin(options),
        "form": lesson.form.to_json(),
        "dropout": options.recipe.dropout,
        "epoch": epoch.number,
        "scores": dict(epoch.scores.values),
    }


def is_kept(number: int, epochs: int, most: int = MAX_CHECKPOINTS) -> bool:
    """Tell whether the weights after epoch `number` (from 1) are kept: the last one, and evenly spaced ones before."""
    return number == epochs or number % -(-epochs // most) == 0


@contextmanager
def _memory_told(options: TrainingOptions) -> Iterator[None]:
    """Turn an allocation that fails into a sentence that says what would help."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(options, error) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # the CPU allocator has no class of its own
            raise
        raise _too_large(options, error) from error


def _too_large(options: TrainingOptions, error: BaseException) -> OptionError:
    first = str(error).strip().partition("\n")[0][:200]
    return OptionError(
        f"{options.model} does not fit into memory with batch_size {options.recipe.batch_size} ({first}): "
        "give a smaller batch_size with accumulate, or checkpointing"
    )
