"""A run that records nothing: what `mode="disabled"` gives, and what a copy of a run is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, SupportsIndex

import torch

from torchglass.instrumentation.batches import Batch, Moved
from torchglass.instrumentation.options import DEFAULT_PROFILE
from torchglass.instrumentation.run import Run
from torchglass.store import RunStatus, Series


class DisabledRun(Run):
    """What `attach(mode="disabled")` returns: everything may be called and nothing happens."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    name = "disabled"
    id = 0
    uid = ""
    store_path = Path()
    store_address = ""
    folder = Path()
    current_step = 0

    @property
    def config(self) -> Mapping[str, Any]:
        return self._config

    @property
    def summary(self) -> Mapping[str, Series]:
        """Nothing: nothing is recorded."""
        return {}

    def log(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        step: SupportsIndex | None = None,
        time: float | None = None,
        **named: Any,
    ) -> None:
        """Do nothing."""

    def log_histogram(
        self, name: str, values: Any, step: SupportsIndex | None = None, time: float | None = None
    ) -> None:
        """Do nothing."""

    def state(self, key: str, value: Any) -> None:
        """Do nothing."""

    def configure(self, values: Mapping[str, Any]) -> None:
        """Do nothing."""

    def batches(self, loader: Iterable[Batch], device: torch.device | str | None = None) -> Any:
        """Return the loader itself; with a device, one whose batches arrive there."""
        if device is None:
            return loader
        return Moved(loader, torch.device(device))

    @contextmanager
    def to_device(self) -> Iterator[None]:
        """Do nothing."""
        yield

    @contextmanager
    def step(self) -> Iterator[int]:
        yield 0

    def save_arrays(self, *_arguments: Any, **_options: Any) -> None:
        """Do nothing."""

    def profile_now(self, steps: int = DEFAULT_PROFILE.steps) -> None:
        """Do nothing."""

    def record_memory(self, steps: int = 3) -> None:
        """Do nothing."""

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Do nothing: all that is recorded, nothing, is stored."""
        return True

    def report(self, path: str | os.PathLike[str] | None = None, **options: Any) -> None:
        """Write nothing: nothing is recorded."""

    def finish(self, status: RunStatus = "finished", error: str | None = None) -> None:
        """Do nothing."""
