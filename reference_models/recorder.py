"""The part of an attached run that training code talks to: of what `torchglass.attach` gives, what is used here."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy.typing as npt
from torch import Tensor

T = TypeVar("T")


class Recorder(Protocol):
    """Records a run. Nothing here waits for the device or for the store."""

    @property
    def name(self) -> str:
        """The run's name, which may differ from the one asked for."""
        ...

    @property
    def folder(self) -> Path:
        """Where files that belong to the run are kept."""
        ...

    @property
    def current_step(self) -> int:
        """The step that `log` records to: the running one, or the last one until the next begins."""
        ...

    def batches(self, loader: Iterable[T]) -> Iterable[T]:
        """Pass the batches on and name the time spent waiting for them."""
        ...

    def log(self, values: Mapping[str, float | Tensor], /, *, step: int | None = None) -> None:
        """Record numbers or 0-d tensors at a step, the current one by default."""
        ...

    def save_arrays(
        self,
        kind: str,
        key: str,
        arrays: dict[str, npt.NDArray[Any]],
        meta: dict[str, Any],
        step: int | None = None,
    ) -> None:
        """Keep arrays with notes beside the run."""
        ...
