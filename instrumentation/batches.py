"""A loader that tells the watcher when the loop waits for it, and may bring its batches to a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

import torch

from torchglass.instrumentation.guard import Guard
from torchglass.instrumentation.watcher import StepWatcher

Batch = TypeVar("Batch")


class Batches(Generic[Batch]):
    """A loader whose waits are named; as long as the loader itself. With a device its batches arrive there."""

    def __init__(
        self, loader: Iterable[Batch], guard: Guard, watcher: StepWatcher, device: torch.device | None = None
    ) -> None:
        self._loader = loader
        self._device = device
        self._guard = guard
        self._watcher = watcher

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        self._guard.moment(self._watcher.loader_begins)
        iterator = iter(self._loader)  # a loader with workers starts them here
        while True:
            self._guard.moment(self._watcher.loader_begins)
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._guard.moment(self._watcher.loader_ends)
            if self._device is not None:
                batch = moved(batch, self._device)
                self._guard.moment(self._watcher.batch_is_on_device)
            yield batch


def moved(batch: Any, device: torch.device) -> Any:
    """A batch with all its tensors on a device; containers are made anew, whatever else there is stays as it is.

    Tensors in pinned memory are copied without waiting, as `DataLoader(pin_memory=True)` is for.
    """
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=device.type == "cuda" and batch.is_pinned())
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(each, device) for each in batch))
    if type(batch) in (list, tuple):
        return type(batch)(moved(each, device) for each in batch)
    if type(batch) is dict:
        return {key: moved(each, device) for key, each in batch.items()}
    if hasattr(batch, "to"):
        return batch.to(device)  # a tokenizer's batch, a packed sequence
    return batch


class Moved(Generic[Batch]):
    """A loader whose batches arrive on a device, with nothing recorded; as long as the loader itself."""

    def __init__(self, loader: Iterable[Batch], device: torch.device) -> None:
        self._loader = loader
        self._device = device

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        return (moved(batch, self._device) for batch in self._loader)
