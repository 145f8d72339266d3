"""What can be asked of a training run, checked before anything loads; needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.exhibit import ReferenceModel
from torchglass.reference_models.recipe import Recipe

DEVICE_FORM = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
MAX_SEED = 2**32 - 1  # scikit-learn's generator takes no larger one
MOST_CHECKPOINTS = 100
VALIDATION = 0.1  # share that early stopping holds out where none is given

Amp = Literal["auto", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainingOptions:
    """One training run. None means: as the model's recipe for the data set says.

    `changes` are switches of the recipe by name (`recipe.SWITCHES` lists them). `store` is where the run is recorded
    (None: attach's own default), `run` its name (None: model and data set), `notes` what to keep with its
    configuration. `amp` asks for mixed precision (precision.py says which). `data` is the user's own file for a data
    set that is read from one, `model_path` the folder of a model that is; `cache` is the folder of downloaded and
    generated data; `limit` trains on the first samples only. `resume` goes on where the run of that name stopped.
    `keep_checkpoints` is how many the store keeps at most, evenly spaced and with the last one (None: ten, of a large
    model only the last). `mode="disabled"` trains the same weights and records nothing; None leaves it to
    `TORCHGLASS_MODE`.

    Raises:
        OptionError: when a value cannot be taken.
    """

    model: str = "lenet5"
    dataset: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    store: str | Path | None = field(default=None, repr=False)  # a database's address may hold its password
    run: str | None = None
    device: str = "auto"
    amp: Amp | None = None
    compile: bool = False
    resume: bool = False
    data: Path | None = None
    model_path: Path | None = None
    limit: int | None = None
    seed: int = 0
    workers: int = 0
    progress: bool = True
    cache: Path | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    mode: Literal["on", "disabled"] | None = None
    keep_checkpoints: int | None = None

    def __post_init__(self) -> None:
        source = self.exhibit.source(self.dataset_name)
        if source.needs == "file" and self.data is None:
            raise OptionError(f"{source.name} of {self.model} is read from a file of yours: name it with --data FILE")
        if source.needs != "file" and self.data is not None:
            raise OptionError(f"data is {str(self.data)!r} and {source.name} is read from no file: leave it out")
        if self.exhibit.needs_path and self.model_path is None:
            raise OptionError(f"{self.model} is read from a folder of yours: name it with --model-path DIR")
        if self.model_path is not None and not (self.exhibit.needs_path or self.exhibit.takes_path):
            raise OptionError(f"model_path is {str(self.model_path)!r} and {self.model} takes none: leave it out")
        if not DEVICE_FORM.fullmatch(self.device):
            raise OptionError(f"no device is called {self.device!r}: choose auto, cpu, mps, cuda or cuda:1")
        if self.amp not in (None, "auto", "bf16", "fp16"):
            raise OptionError(f"amp is {self.amp!r}: choose auto, bf16 or fp16")
        _check_whole("seed", self.seed, at_least=0, at_most=MAX_SEED)
        _check_whole("workers", self.workers, at_least=0)
        if self.limit is not None:
            _check_whole("limit", self.limit, at_least=1)
        if self.keep_checkpoints is not None:
            _check_whole("keep_checkpoints", self.keep_checkpoints, at_least=1, at_most=MOST_CHECKPOINTS)
        if self.mode not in ("on", "disabled", None):
            raise OptionError(f"mode is {self.mode!r}: choose 'on' or 'disabled'")
        if self.resume and self.mode == "disabled":
            raise OptionError("resume is on and mode is 'disabled', which keeps nothing to resume: choose one of them")
        self._check_honoured()
        _ = self.recipe

    @property
    def exhibit(self) -> ReferenceModel:
        """Return the reference model that is asked for."""
        return get(self.model)

    @property
    def dataset_name(self) -> str:
        """Return the data set that is asked for, the model's first one where none is."""
        if self.dataset is not None:
            return self.dataset
        of_file = (source.name for source in self.exhibit.sources if source.needs == "file")
        return next(of_file, self.exhibit.datasets[0]) if self.data is not None else self.exhibit.datasets[0]

    @property
    def run_name(self) -> str:
        """Return the name that is asked for the run."""
        return self.run if self.run is not None else f"{self.model}-{self.dataset_name}"

    @property
    def recipe(self) -> Recipe:
        """Return the model's recipe for the data set with what was asked for in its place."""
        recipe = self.exhibit.source(self.dataset_name).recipe.changed(self.changes)
        if recipe.early_stopping and not recipe.validation and "validation" not in self.changes:
            return recipe.changed({"validation": VALIDATION})
        return recipe

    @property
    def request(self) -> DataRequest:
        """Return what is asked of the data set."""
        return DataRequest(self.seed, self.cache, self.progress, self.data, self.model_path)

    def _check_honoured(self) -> None:
        asked = [*self.changes, *(["amp"] if self.amp else []), *(["compile"] if self.compile else [])]
        for switch in asked:
            if not self.exhibit.honours(switch):
                raise OptionError(f"{self.model} does not take {switch}: its training has no use for it")


def _check_whole(name: str, value: int, *, at_least: int, at_most: int | None = None) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < at_least or (at_most is not None and value > at_most):
        span = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise OptionError(f"{name} is {value!r}: give a whole number {span}")
