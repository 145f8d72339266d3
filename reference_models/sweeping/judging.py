"""What a set of values is worth: a training run with them, scored on samples held out of the training set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.exhibit import ReferenceModel
from torchglass.reference_models.front_door import train
from torchglass.reference_models.lesson import Epoch, StopTraining
from torchglass.reference_models.options import TrainingOptions
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.sweeping.space import Space, Suggesting, defaults, search_space, suggest

VALIDATION = 0.2  # share of the training set that is held out where the recipe holds out none
TEST, HELD_OUT = "test/", "validation/"


class Pruned(Exception):
    """The trial was worse than others at the same epoch and was stopped."""


class Trial(Suggesting, Protocol):
    """The part of an Optuna trial that a training run speaks to."""

    @property
    def number(self) -> int:
        """Its place in the sweep, from 0."""
        ...

    def report(self, value: float, step: int) -> None:
        """Tell the score after an epoch."""
        ...

    def should_prune(self) -> bool:
        """Tell whether it is not worth going on."""
        ...

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep a fact with the trial."""
        ...


@dataclass(frozen=True)
class SweepOrder:
    """What a sweep searches for: values of `switches` (None: all with a span) that do best on held out samples.

    The other values are the recipe's, but for `epochs`. `seed` is of the training and of the search. Without a name
    the sweep is called after the model and its data set.

    Raises:
        OptionError: when the model, its data set, an epoch count or a switch cannot be taken.
    """

    model: str
    name: str = ""
    dataset: str | None = None
    store: str | Path | None = field(default=None, repr=False)  # a database's address may hold its password
    epochs: int | None = None
    switches: tuple[str, ...] | None = None
    seed: int = 0
    device: str = "auto"
    data: Path | None = None
    model_path: Path | None = None
    cache: Path | None = None
    workers: int = 0
    limit: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if not self.exhibit.honours("validation"):
            raise OptionError(f"{self.model} holds no samples out to choose by, so it cannot be swept")
        plain = self.options({})
        _ = self.space
        if not self.name:
            object.__setattr__(self, "name", f"{self.model}-{plain.dataset_name}")

    @property
    def exhibit(self) -> ReferenceModel:
        """The model."""
        return get(self.model)

    @property
    def recipe(self) -> Recipe:
        """The recipe that the search begins with."""
        return self.options({}).recipe

    @property
    def space(self) -> Space:
        """What is varied."""
        return search_space(self.exhibit, self.recipe, self.switches, dataset=self._dataset)

    @property
    def defaults(self) -> dict[str, Any]:
        """The recipe's own values of what is varied."""
        return defaults(self.exhibit, self.recipe, self.space)

    @property
    def _dataset(self) -> str:
        return self.dataset or self.exhibit.datasets[0]

    @property
    def metric(self) -> str:
        """Name of the score that is to be as large as possible, such as "validation/accuracy"."""
        return HELD_OUT + self.exhibit.bar_on(self._dataset).metric.removeprefix(TEST)

    def options(self, values: Mapping[str, Any], trial: int | None = None) -> TrainingOptions:
        """Return the training run of some values."""
        plain = TrainingOptions(
            model=self.model,
            dataset=self.dataset,
            store=self.store,
            run=self.name if trial is None else f"{self.name}/{trial}",
            device=self.device,
            seed=self.seed,
            data=self.data,
            model_path=self.model_path,
            cache=self.cache,
            workers=self.workers,
            limit=self.limit,
            progress=self.progress,
            notes={"sweep": self.name, "trial": trial},
        )
        changes: dict[str, Any] = {"validation": plain.recipe.validation or VALIDATION}
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        return replace(plain, changes=changes | dict(values))


def judge(trial: Trial, order: SweepOrder) -> float:
    """Train with values that the trial chooses, and return the score of the weights that are kept.

    The run's name and its last scores are kept with the trial, the test set's among them, which choose nothing.

    Raises:
        Pruned: when it was stopped because others did better.
        KeyboardInterrupt: when it was interrupted; the run has ended in good order.
        ArithmeticError: when the score is no number.
    """
    watcher = _Watcher(trial, order.metric)
    result = train(order.options(suggest(trial, order.space), trial.number), watching=watcher)
    trial.set_user_attr("run", result.run_name)
    trial.set_user_attr("seconds", result.seconds)
    if result.interrupted:
        raise KeyboardInterrupt
    trial.set_user_attr("scores", watcher.scores)
    if watcher.is_pruned:
        raise Pruned
    if not math.isfinite(watcher.score):
        raise ArithmeticError(f"{order.metric} is {watcher.score}")
    return watcher.score


class _Watcher:
    """Tells the trial how each epoch ended, and stops what is not worth going on.

    `score` and `scores` are of the last epoch; with early stopping of the best one, whose weights are kept.
    """

    def __init__(self, trial: Trial, metric: str) -> None:
        self._trial = trial
        self._metric = metric
        self.score = math.nan
        self.scores: dict[str, float] = {}
        self.is_pruned = False

    def __call__(self, epoch: Epoch) -> None:
        values = epoch.scores.values
        if self._metric not in values:
            raise OptionError(f"training told no {self._metric}, but {', '.join(values)}")
        self.score = values[self._metric]
        self.scores = {name: value for name, value in values.items() if math.isfinite(value)}
        if not math.isfinite(self.score):
            raise StopTraining
        self._trial.report(self.score, epoch.number)
        if self._trial.should_prune():
            self.is_pruned = True
            raise StopTraining
