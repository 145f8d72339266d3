"""A supervised lesson on a small table or on small pictures, ready to be watched while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from torchglass.instrumentation import attach
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split
from torchglass.reference_models.exhibit import DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.learning.initialization import initialize
from torchglass.reference_models.learning.precision import Precision, choose_precision
from torchglass.reference_models.lesson import Epoch, Setup
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.training import SupervisedLesson, supervised

CPU = torch.device("cpu")
FEATURES, CLASSES = 6, 3
STEADY: dict[str, Any] = {"schedule": "constant", "warm_up": 0.0, "optimizer": "sgd", "learning_rate": 0.1}


def table_split(count: int = 43, *, seed: int = 0, noise: bool = False) -> Split:
    """Rows whose class is that of their largest feature; with `noise` a class that nothing tells."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count + 20, FEATURES, generator=generator)
    targets = torch.randint(CLASSES, (count + 20,), generator=generator) if noise else inputs[:, :CLASSES].argmax(dim=1)
    form = DataForm("table", "classification", (FEATURES,), ("a", "b", "c"))
    return Split(form, Samples(inputs[:count], targets[:count]), Samples(inputs[count:], targets[count:]))


def small_network() -> nn.Sequential:
    """Two layers, no randomness in training, no statistics of a batch."""
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, CLASSES))


def exhibit_of(build: Callable[[], nn.Module], split: Split) -> ReferenceModel:
    """Make a model of a test's own known to the loop."""

    def load(request: DataRequest) -> Split:
        return split

    return ReferenceModel(
        name="small",
        title="Small",
        summary="A test's own.",
        builder=lambda blueprint: build(),
        sources=(DataSource("rows", load, Recipe()),),
        bar=QualityBar("test/accuracy", 0.0),
        explain=ExplainTarget(methods=()),
    )


def lesson_of(
    build: Callable[[], nn.Module] = small_network,
    split: Split | None = None,
    *,
    precision: Precision | None = None,
    compile: bool = False,
    **changes: Any,
) -> SupervisedLesson:
    """Prepare a lesson: plain SGD at 0.1 on 43 rows, 2 epochs of batches of 16, but for the changes."""
    chosen = split or table_split()
    recipe = Recipe(**{"epochs": 2, "batch_size": 16, **STEADY, **changes})
    torch.manual_seed(0)
    model = build()
    initialize(model, recipe.initialization)
    exhibit = exhibit_of(build, chosen)
    return supervised(
        Setup(
            exhibit=exhibit,
            bar=exhibit.bar,
            model=model,
            split=chosen,
            recipe=recipe,
            precision=precision or choose_precision(CPU, None),
            compile=compile,
        )
    )


def fit(lesson: SupervisedLesson) -> list[Epoch]:
    """Train to the end and record nothing."""
    with attach(lesson.model, lesson.optimizer, mode="disabled") as run:
        return list(lesson.fit(run))


def at_each_step(lesson: SupervisedLesson, look: Callable[[], object], *, after: bool = False) -> list[Any]:
    """Return a list that fills with what `look` sees right before (or after) each optimizer step."""
    seen: list[Any] = []

    def hook(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        seen.append(look())

    register = lesson.optimizer.register_step_post_hook if after else lesson.optimizer.register_step_pre_hook
    register(hook)
    return seen


def weights_of(module: nn.Module) -> list[Tensor]:
    """Return copies of the weights."""
    return [parameter.detach().clone() for parameter in module.parameters()]


def gradients_of(module: nn.Module) -> list[Tensor]:
    """Return copies of the gradients."""
    return [parameter.grad.detach().clone() for parameter in module.parameters() if parameter.grad is not None]


def equal(left: list[Tensor], right: list[Tensor]) -> bool:
    """Tell whether two lists of tensors are equal bit for bit."""
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
