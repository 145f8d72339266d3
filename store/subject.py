"""A run as a condition sees it: what a name stands for, among its fields, its configuration and its series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from torchglass.errors import OptionError
from torchglass.store.records import Run, Series

FIELDS: Mapping[str, Callable[[Run], Any]] = {
    "name": lambda run: run.name,
    "uid": lambda run: run.uid,
    "status": lambda run: run.status,
    "host": lambda run: run.host,
    "tags": lambda run: list(run.tags),
    "note": lambda run: run.note,
    "error": lambda run: run.error,
    "created": lambda run: run.created_at,
    "ended": lambda run: run.ended_at,
    "duration": lambda run: (run.ended_at or run.heartbeat_at) - run.created_at,
    "archived": lambda run: run.archived_at is not None,
    "deleted": lambda run: run.deleted_at is not None,
    "parent": lambda run: run.parent_uid,
}
STEPS = "steps"  # a field too, which takes the series to know
STATISTICS: Mapping[str, Callable[[Series], Any]] = {
    "last": lambda series: series.last,
    "min": lambda series: series.minimum,
    "max": lambda series: series.maximum,
    "mean": lambda series: series.mean,
    "count": lambda series: series.count,
    "nonfinite": lambda series: series.nonfinite_count,
    "min_step": lambda series: series.minimum_step,
    "max_step": lambda series: series.maximum_step,
    "last_step": lambda series: series.last_step,
}


class Found(NamedTuple):
    """What a name stands for in a run; `is_there` tells a value that is None from none at all."""

    is_there: bool
    value: Any = None


_NOTHING = Found(False)


class Subject:
    """A run as conditions see it; its series are looked up when a name is neither a field nor in the configuration."""

    def __init__(self, run: Run, series_of: Callable[[int], Iterable[Series]]) -> None:
        self.run = run
        self._series_of = series_of

    @cached_property
    def series(self) -> Mapping[str, Series]:
        """Series of rank 0 by key."""
        return {series.key: series for series in self._series_of(self.run.id) if series.rank == 0}

    @property
    def steps(self) -> int:
        """One more than the last step recorded."""
        return max((each.last_step + 1 for each in self.series.values() if each.last_step is not None), default=0)

    def find(self, name: str) -> Found:
        """What a name stands for.

        Raises:
            OptionError: it could be the last part of several keys.
        """
        room, _, rest = name.partition(".")
        if room == "run":
            return self._field(rest)
        if room == "config":
            return _entry(self.run.config, rest)
        if room == "series":
            return self._statistic(rest)
        ways = (self._field, lambda each: _entry(self.run.config, each), self._statistic)
        return next((found for found in (way(name) for way in ways) if found.is_there), _NOTHING)

    def known_names(self) -> list[str]:
        """What might have been meant."""
        return [*FIELDS, STEPS, *self.run.config, *self.series]

    def _field(self, name: str) -> Found:
        if name == STEPS:
            return Found(True, self.steps)
        return Found(True, FIELDS[name](self.run)) if name in FIELDS else _NOTHING

    def _statistic(self, name: str) -> Found:
        series = self._series(name)
        if series is not None:
            return Found(True, series.last)
        key, _, statistic = name.rpartition(".")
        series = self._series(key) if statistic in STATISTICS else None
        return Found(True, STATISTICS[statistic](series)) if series is not None else _NOTHING

    def _series(self, name: str) -> Series | None:
        if name in self.series:
            return self.series[name]
        ending = [each for each in self.series.values() if name and each.key.endswith(f"/{name}")]
        meant = [each for each in ending if each.kind == "scalar"] or ending
        if len(meant) > 1:
            keys = ", ".join(each.key for each in meant[:5])
            raise OptionError(f"{name!r} could be any of {keys}: write the whole key")
        return meant[0] if meant else None


def _entry(config: Any, name: str) -> Found:
    """An entry of a configuration, by its name or by the names on the way to it."""
    if not isinstance(config, Mapping):
        return _NOTHING
    if name in config:
        return Found(True, config[name])
    parts = name.split(".")
    ways = ((".".join(parts[:cut]), ".".join(parts[cut:])) for cut in range(len(parts) - 1, 0, -1))
    found = (_entry(config[head], rest) for head, rest in ways if head in config)
    return next((each for each in found if each.is_there), _NOTHING)
