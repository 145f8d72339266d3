"""What the statistics of a layer at one step say of it, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from torchglass.charts.records import Recorded
from torchglass.language import tr

HARDLY_MOVES = 1e-6  # update ratio: a thousandth of the usual thousandth
MOVES_FAR = 1e-1  # update ratio: a tenth of the weight in one step
HALF_DEAD = 50.0  # per cent of the units


def values_at(records: Iterable[Recorded], step: int | None) -> tuple[dict[str, float], int | None]:
    """The value of each series at its recorded step nearest to one (None: the last), and the newest such step."""
    found: dict[str, float] = {}
    shown: int | None = None
    for series, points in records:
        if len(points.steps):
            place = len(points.steps) - 1 if step is None else int(np.abs(points.steps - step).argmin())
            found[series.key] = float(points.values[place])
            shown = max(int(points.steps[place]), -1 if shown is None else shown)
    return found, shown


def health(gradient: float | None, ratio: float | None, dead_percent: float | None) -> str:
    """A word for a layer; "" where nothing was measured."""
    told = [number for number in (gradient, ratio, dead_percent) if number is not None]
    if not told:
        return ""
    if any(not math.isfinite(number) for number in told):
        return tr("NaN or infinite")
    if dead_percent is not None and dead_percent >= HALF_DEAD:
        return tr("{share} % dead", share=f"{dead_percent:.0f}")
    if gradient == 0:
        return tr("no gradient")
    if ratio is not None and ratio >= MOVES_FAR:
        return tr("moves too far")
    if ratio is not None and ratio <= HARDLY_MOVES:
        return tr("hardly moves")
    return tr("fine")


def work_of_modules(work: object) -> Mapping[str, int]:
    """Floating-point operations of a forward and backward pass by module, from the fact "work"; those counted last."""
    modules = work.get("modules") if isinstance(work, Mapping) else None
    found: dict[str, int] = {}
    for each in modules if isinstance(modules, Sequence) else ():
        if isinstance(each, Mapping):
            passes = [each.get(f"{name}_flops") for name in ("forward", "backward", "recomputed")]
            found[str(each.get("name"))] = sum(one for one in passes if isinstance(one, int))
    return found
