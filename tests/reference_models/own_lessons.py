"""Small lessons of the models that have a training loop of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.learning.precision import choose_precision
from torchglass.reference_models.learning.seeding import seeded
from torchglass.reference_models.learning.threads import cpu_threads
from torchglass.reference_models.lesson import Epoch, Lesson, Setup
from torchglass.reference_models.loops.adversarial import AdversarialLesson
from torchglass.reference_models.loops.policy import PolicyLesson, Practice

T = TypeVar("T")
CPU = torch.device("cpu")
SHORT = Practice("CartPole-v1", environments=4, steps=32, rollouts=2, passes=2)


class Notebook:
    """A run that keeps what it is told; its step is the number of optimizer steps so far, less one."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.arrays: list[tuple[str, str, dict[str, npt.NDArray[Any]], dict[str, Any]]] = []

    name = "notebook"
    folder = Path()

    @property
    def current_step(self) -> int:
        return len(self.series("loss/policy") or self.series("loss/generator")) - 1

    def batches(self, loader: Iterable[T]) -> Iterable[T]:
        return loader

    def log(self, values: Mapping[str, float | Tensor], /, *, step: int | None = None) -> None:
        self.rows.append({name: float(value) for name, value in values.items()})

    def save_arrays(
        self,
        kind: str,
        key: str,
        arrays: dict[str, npt.NDArray[Any]],
        meta: dict[str, Any],
        step: int | None = None,
    ) -> None:
        self.arrays.append((kind, key, arrays, meta))

    def series(self, name: str) -> list[float]:
        """Return the values that were logged under a name."""
        return [row[name] for row in self.rows if name in row]


def setup_of(model: str, *, seed: int = 0, limit: int | None = None, **changes: Any) -> Setup:
    """Lay out what a lesson of a model is prepared from, on the CPU."""
    exhibit = get(model)
    split = exhibit.load_data(request=DataRequest(seed=seed)).limited(limit)
    with seeded(seed):
        network = exhibit.build(split.form)
    return Setup(
        exhibit=exhibit,
        bar=exhibit.bar,
        model=network,
        split=split,
        recipe=replace(exhibit.defaults, **changes),
        precision=choose_precision(CPU, None),
        seed=seed,
    )


def agent_lesson(practice: Practice = SHORT, **changes: Any) -> PolicyLesson:
    """Prepare an agent: 2 epochs of 2 rollouts of 128 actions, 8 optimizer steps each, but for the changes."""
    return PolicyLesson(setup_of("ppo", **{"epochs": 2, "batch_size": 32, **changes}), practice)


def painters_lesson(*, limit: int = 96, **changes: Any) -> AdversarialLesson:
    """Prepare two adversaries: 2 epochs of 3 batches of 32 digits, but for the changes."""
    return AdversarialLesson(setup_of("dcgan", limit=limit, **{"epochs": 2, "batch_size": 32, **changes}))


def fitted(lesson: Lesson, *, done: int = 0, until: int | None = None) -> tuple[list[Epoch], Notebook]:
    """Train in one thread, after `done` epochs, up to epoch `until`."""
    notebook, epochs = Notebook(), []
    with one_thread():
        for epoch in lesson.fit(notebook, done=done):
            epochs.append(epoch)
            if epoch.number == until:
                break
    return epochs, notebook


def one_thread() -> AbstractContextManager[None]:
    """Return the context in which the recipes of these models train."""
    return cpu_threads(1)


def state_bits(lesson: Lesson) -> dict[str, bytes]:
    """Return the bits of every trained parameter and buffer, by name."""
    return {name: tensor.numpy().tobytes() for name, tensor in lesson.model.state_dict().items()}
