"""What can be asked of a training run, checked before anything loads; needs no torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.exhibit import Recipe, ReferenceModel

DEVICE_FORM = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
MAX_SEED = 2**32 - 1  # scikit-learn's generator takes no larger one


@dataclass(frozen=True)
class TrainingOptions:
    """One training run. None means: as the model's recipe for the data set says.

    `store` is where the run is recorded (None: attach's own default), `run` its name (None: model and data set).
    `amp` asks for mixed precision (precision.py says which). `cache` is the folder for downloads. `mode="disabled"`
    trains the same weights and records nothing; None leaves it to `TORCHGLASS_MODE`.

    Raises:
        OptionError: when a value cannot be taken.
    """

    model: str = "lenet5"
    dataset: str | None = None
    store: str | Path | None = field(default=None, repr=False)  # a database's address may hold its password
    run: str | None = None
    device: str = "auto"
    amp: bool = False
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    workers: int = 0
    progress: bool = True
    cache: Path | None = None
    mode: Literal["on", "disabled"] | None = None

    def __post_init__(self) -> None:
        self.exhibit.source(self.dataset_name)
        if not DEVICE_FORM.fullmatch(self.device):
            raise OptionError(f"no device is called {self.device!r}: choose auto, cpu, mps, cuda or cuda:1")
        _check_whole("epochs", self.epochs, at_least=1)
        _check_whole("batch_size", self.batch_size, at_least=1)
        _check_whole("seed", self.seed, at_least=0, at_most=MAX_SEED)
        _check_whole("workers", self.workers, at_least=0)
        _check_rate(self.learning_rate)
        if self.mode not in ("on", "disabled", None):
            raise OptionError(f"mode is {self.mode!r}: choose 'on' or 'disabled'")

    @property
    def exhibit(self) -> ReferenceModel:
        """Return the reference model that is asked for."""
        return get(self.model)

    @property
    def dataset_name(self) -> str:
        """Return the data set that is asked for, the model's first one where none is."""
        return self.dataset if self.dataset is not None else self.exhibit.datasets[0]

    @property
    def run_name(self) -> str:
        """Return the name that is asked for the run."""
        return self.run if self.run is not None else f"{self.model}-{self.dataset_name}"

    @property
    def recipe(self) -> Recipe:
        """Return the model's recipe for the data set with what was asked for in its place."""
        recipe = self.exhibit.source(self.dataset_name).recipe
        return replace(
            recipe,
            epochs=self.epochs if self.epochs is not None else recipe.epochs,
            batch_size=self.batch_size if self.batch_size is not None else recipe.batch_size,
            learning_rate=self.learning_rate if self.learning_rate is not None else recipe.learning_rate,
        )


def _check_whole(name: str, value: int | None, *, at_least: int, at_most: int | None = None) -> None:
    if value is None:
        return
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < at_least or (at_most is not None and value > at_most):
        span = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise OptionError(f"{name} is {value!r}: give a whole number {span}")


def _check_rate(value: float | None) -> None:
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise OptionError(f"learning_rate is {value!r}: give a number above 0, such as 0.004")
