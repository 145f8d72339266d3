"""How two or more runs stand by each scalar: its last value, its best one, its value at a step, and who leads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from torchglass.analysis.direction import Extreme, best_extreme, best_step, best_value
from torchglass.store import Series

Statistic = Literal["last", "best", "at"]


class Reading(NamedTuple):
    """A value and the step at which it was recorded."""

    value: float
    step: int | None


class Standing(NamedTuple):
    """One value of a scalar in each run; None where a run has none.

    `better` is the extreme that is the better one by the scalar's name, None where that does not say; `leaders` are the
    places of the runs with the best value, none where no run has another one.
    """

    key: str
    unit: str
    statistic: Statistic
    better: Extreme | None
    readings: tuple[Reading | None, ...]
    leaders: frozenset[int]


def standings(
    runs: Sequence[Mapping[str, Series]], at: Sequence[Mapping[str, Reading]] | None = None
) -> tuple[Standing, ...]:
    """Compare the scalars (by key) of runs, those first that most runs have; `at` are their values at a step."""
    keys = dict.fromkeys(key for each in runs for key in each)
    shared = sorted(keys, key=lambda key: (-sum(key in each for each in runs), "loss" not in key.lower()))
    found = []
    for key in shared:
        series = [each.get(key) for each in runs]
        unit = next(one.unit for one in series if one is not None)
        if at is not None:
            found.append(_standing(key, unit, "at", [each.get(key) for each in at]))
        found.append(_standing(key, unit, "last", [_reading(one, _last(one), _last_step(one)) for one in series]))
        if best_extreme(key) is not None:
            best = [None if one is None else _reading(one, best_value(one), best_step(one)) for one in series]
            found.append(_standing(key, unit, "best", best))
    return tuple(found)


def _standing(key: str, unit: str, statistic: Statistic, readings: Sequence[Reading | None]) -> Standing:
    better = best_extreme(key)
    known = [one.value for one in readings if one is not None and math.isfinite(one.value)]
    leaders: frozenset[int] = frozenset()
    if better is not None and len(set(known)) > 1:
        best = min(known) if better == "min" else max(known)
        leaders = frozenset(place for place, one in enumerate(readings) if one is not None and one.value == best)
    return Standing(key, unit, statistic, better, tuple(readings), leaders)


def _reading(series: Series | None, value: float | None, step: int | None) -> Reading | None:
    return None if series is None or value is None else Reading(value, step)


def _last(series: Series | None) -> float | None:
    return None if series is None else series.last


def _last_step(series: Series | None) -> int | None:
    return None if series is None else series.last_step
