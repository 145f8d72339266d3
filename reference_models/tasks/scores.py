"""What a task is, and the scores of a set of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scores:
    """How a model did: numbers by name ("test/accuracy") and tables by name ("confusion"), which say more than one."""

    values: Mapping[str, float]
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def under(self, prefix: str) -> dict[str, float]:
        """Return the numbers with `prefix/` before their names."""
        return {f"{prefix}/{name}": value for name, value in self.values.items()}


class Tally(Protocol):
    """Counts answers on the device while batches pass."""

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Add a batch and the mean loss over it (0-d); starts kernels and waits for none of them."""
        ...

    def read(self) -> Scores:
        """Wait for the device and return the scores of what was added, at least one sample; names have no prefix."""
        ...


class Task(Protocol):
    """What is learnt."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over a batch (0-d), of outputs in float32."""
        ...

    def tally(self, device: torch.device, *, train: bool) -> Tally:
        """Begin to count; `train` leaves out what is too dear or too much to read for the training set."""
        ...
