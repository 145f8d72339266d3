"""A loader that tells the watcher when the loop waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from torchglass.instrumentation.guard import Guard
from torchglass.instrumentation.watcher import StepWatcher

Batch = TypeVar("Batch")


class Batches(Generic[Batch]):
    """A loader whose waits are named; as long as the loader itself."""

    def __init__(self, loader: Iterable[Batch], guard: Guard, watcher: StepWatcher) -> None:
        self._loader = loader
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
            yield batch
