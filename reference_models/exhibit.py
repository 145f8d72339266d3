"""What a reference model is: a builder, its data, its recipe, what to explain and the accuracy that it must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torchglass.errors import OptionError

if TYPE_CHECKING:
    from torch import nn

    from torchglass.reference_models.split import Split


class LoadSplit(Protocol):
    """Load a data set as a Split; `progress` draws bars for what has to be downloaded."""

    def __call__(self, *, seed: int, cache: Path | None, progress: bool) -> Split: ...


@dataclass(frozen=True)
class Recipe:
    """How to train on one data set: AdamW, its learning rate up to `learning_rate` and down to zero (schedule.py).

    `augment` jitters each training batch by small random affine maps (augmentation.py says how small).
    `cpu_threads` is how many threads share an operation when the CPU trains, None for torch's own choice: for a small
    model it is 1, because threads that share a millisecond wait for each other longer than they compute as soon as
    another program, such as the page that watches, wants a core.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    augment: bool
    cpu_threads: int | None


@dataclass(frozen=True)
class DataSource:
    """A data set that a model can be trained on, and the recipe that reaches the model's quality bar on it."""

    name: str
    load: LoadSplit
    recipe: Recipe


@dataclass(frozen=True)
class ReferenceModel:
    """One exhibit. Everything here reads without torch; `build` and `load_data` import it on use.

    `input_shape` is (C, H, W); images are 0..1 and `explain_baseline` is the value that stands for "nothing there".
    `explain_layer` names the module whose feature map class-activation methods read, None where there is none.
    `quality_bar` is the test accuracy, 0..1, that the default recipe must reach.
    """

    name: str
    title: str
    summary: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    builder: Callable[[], nn.Module]
    sources: tuple[DataSource, ...]
    quality_bar: float
    explain_layer: str | None
    explain_baseline: float

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the names of the data sets, the default one first."""
        return tuple(source.name for source in self.sources)

    @property
    def defaults(self) -> Recipe:
        """Return the recipe for the default data set."""
        return self.sources[0].recipe

    def source(self, dataset: str) -> DataSource:
        """Return the data source of that name.

        Raises:
            OptionError: when the model has no such data set.
        """
        for source in self.sources:
            if source.name == dataset:
                return source
        raise OptionError(f"{self.name} has no data set {dataset!r}: choose one of {', '.join(self.datasets)}")

    def build(self) -> nn.Module:
        """Build the model with fresh weights, drawn from torch's global generator."""
        return self.builder()

    def load_data(
        self, dataset: str = "digits", seed: int = 0, cache: Path | None = None, *, progress: bool = False
    ) -> Split:
        """Load a data set, split into training and test images.

        `seed` fixes the split where the data set does not come with one; `cache` is the folder for downloads.

        Raises:
            OptionError: when the model has no such data set.
            DataError: when its files are missing or damaged.
        """
        return self.source(dataset).load(seed=seed, cache=cache, progress=progress)
