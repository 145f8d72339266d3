"""Hyper-parameters that become known after a run began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchglass.instrumentation import Run

CONFIG_FACT = "config"


class LateConfig:
    """Collects what is added to a run's configuration and states it as the fact "config"; the last value counts."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._added: dict[str, Any] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Add values by name, or replace them; names and values of the run's own config are left out if equal."""
        news = {str(name): value for name, value in values.items() if not _same(self._run.config.get(name), value)}
        if news:
            self._added = self._added | news
            self._run.state(CONFIG_FACT, dict(self._added))


def _same(kept: Any, value: Any) -> bool:
    return type(kept) is type(value) and isinstance(value, bool | int | float | str) and kept == value
