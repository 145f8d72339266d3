"""What a reference model is: a builder, its data, its recipes, what to explain and the quality that it must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.errors import OptionError
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest, Load
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from torchglass.reference_models.data.samples import Split
    from torchglass.reference_models.lesson import Lesson, Setup


@dataclass(frozen=True)
class QualityBar:
    """The value that a score of the test set, such as "test/accuracy", must reach with the recipe of the data set."""

    metric: str
    at_least: float


@dataclass(frozen=True)
class DataSource:
    """A data set that a model can be trained on, and the recipe that reaches the model's quality bar on it.

    `needs` says what must be at hand: "" nothing, "network" a download at the first time, "file" a file of the user's.
    `bar` is for data whose bar is another than the model's own; `ignores` names switches that mean nothing on the data.
    """

    name: str
    load: Load
    recipe: Recipe
    needs: str = ""
    bar: QualityBar | None = None
    ignores: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ExplainTarget:
    """What of a model is explained, and how.

    `methods` are names that `torchglass.explainers` knows, best first. `layer` is the module whose map
    class-activation methods read (None: it is searched). `baseline` stands for "nothing there". `scorer` wraps the
    trained model as one that maps samples to scores (N, K); None where the model does that itself.
    """

    methods: tuple[str, ...]
    layer: str | None = None
    baseline: float = 0.0
    scorer: Callable[[nn.Module], nn.Module] | None = None


@dataclass(frozen=True)
class Blueprint:
    """What a builder builds for: the data, the dropout rate where the model has one, and a folder of a user's model."""

    form: DataForm
    dropout: float | None = None
    path: Path | None = None


@dataclass(frozen=True)
class ReferenceModel:
    """One exhibit. Everything here reads without torch; `builder`, `loss` and `lesson` import it on use.

    `loss` replaces the task's own: (outputs, targets) to a mean over the batch, 0-d. `lesson` prepares a training loop
    of the model's own; None is the supervised one. `switches` names the recipe's fields (and "amp", "compile", "ddp")
    that such a loop honours; None is all of them. `dropout` is the builder's own rate, None where it has no dropout.
    `needs_path` says that the model itself is read from a folder of the user's, `takes_path` that its weights may begin
    as those of a file of the user's.
    """

    name: str
    title: str
    summary: str
    builder: Callable[[Blueprint], nn.Module]
    sources: tuple[DataSource, ...]
    bar: QualityBar
    explain: ExplainTarget
    dropout: float | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    lesson: Callable[[Setup], Lesson] | None = None
    switches: frozenset[str] | None = None
    needs_path: bool = False
    takes_path: bool = False

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

    def bar_on(self, dataset: str) -> QualityBar:
        """Return the quality bar on a data set."""
        return self.source(dataset).bar or self.bar

    def honours(self, switch: str, dataset: str | None = None) -> bool:
        """Tell whether training this model, on a data set, heeds a switch of the recipe, or "amp", "compile", "ddp"."""
        if dataset is not None and switch in self.source(dataset).ignores:
            return False
        if switch == "dropout":
            return self.dropout is not None
        return self.switches is None or switch in self.switches

    def build(self, form: DataForm, dropout: float | None = None, path: Path | None = None) -> nn.Module:
        """Build the model with fresh weights, drawn from torch's global generator."""
        return self.builder(Blueprint(form, self.dropout if dropout is None else dropout, path))

    def load_data(self, dataset: str | None = None, request: DataRequest | None = None) -> Split:
        """Load a data set (None: the default one), split into training and test samples.

        Raises:
            OptionError: when the model has no such data set.
            DataError: when its files are missing or damaged.
        """
        return self.source(dataset or self.datasets[0]).load(request or DataRequest())
