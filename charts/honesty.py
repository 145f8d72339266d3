"""How far the numbers of a profiler window can be trusted, and what it cost to get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from torchglass.charts.units import number, quantity
from torchglass.charts.windows import Tables
from torchglass.language import mark, tr
from torchglass.store.records import ProfilerWindow

LEAST_SEEN_PERCENT = 99.0  # of the launches: below it, tables and links lack a part of the work
MOST_SLOWDOWN = 1.5  # times: above it, a window no longer looks like the steps around it


class Remark(NamedTuple):
    """One thing to know about a window, in our words; `is_alarm` asks for attention."""

    text: str
    is_alarm: bool = False


class HonestyData(NamedTuple):
    """What windows say of themselves; None where they do not. Seconds are of all of them together."""

    launches: int | None
    seen_percent: float | None
    unlinked_kernels: int
    graph_kernels: int
    clipped: int
    dropped_slices: int
    overhead_seconds: float | None
    slowdown: float | None
    cost_seconds: float | None
    events: int | None


def honesty_data(windows: Sequence[ProfilerWindow], tables: Tables) -> HonestyData:
    """Add up the facts of windows; the slowdown is their median."""
    qualities = [_mapping(window.facts.get("quality")) for window in windows]
    costs = [_mapping(window.facts.get("cost")) for window in windows]
    launches = _total(qualities, "launches")
    seen = _total(qualities, "launches_with_kernel")
    slowdowns = [float(told) for window in windows if _is_number(told := window.facts.get("slowdown"))]
    parts = [_total(costs, key) for key in ("start_seconds", "stop_seconds", "read_seconds")]
    overheads = tables.get("overheads")
    return HonestyData(
        launches=None if launches is None else int(launches),
        seen_percent=100 * seen / launches if launches and seen is not None else None,
        unlinked_kernels=int(_total(qualities, "unlinked_kernels") or 0),
        graph_kernels=int(_total(qualities, "graph_kernels") or 0),
        clipped=int(_total(qualities, "clipped") or 0),
        dropped_slices=int(_total(qualities, "dropped_slices") or 0),
        overhead_seconds=None if overheads is None else float(np.sum(overheads["seconds"])),
        slowdown=median(slowdowns) if slowdowns else None,
        cost_seconds=None if all(part is None for part in parts) else sum(part or 0.0 for part in parts),
        events=None if (events := _total(costs, "events")) is None else int(events),
    )


def remarks(data: HonestyData) -> list[Remark]:
    """What to say about the windows, alarms first."""
    found = [*_seen(data), *_slower(data), *_oddities(data), *_costs(data)]
    return sorted(found, key=lambda remark: not remark.is_alarm)


def _seen(data: HonestyData) -> list[Remark]:
    if data.seen_percent is None:
        return []
    text = tr(
        "{percent} of {count} launches had their kernel seen",
        percent=_percent(data.seen_percent),
        count=number(data.launches or 0),
    )
    return [Remark(text, data.seen_percent < LEAST_SEEN_PERCENT)]


def _slower(data: HonestyData) -> list[Remark]:
    if data.slowdown is None:
        return [Remark(tr("how much slower the window was than other steps is not known"))]
    text = tr("steps took {times} times as long as unprofiled ones", times=f"{data.slowdown:.2f}")
    return [Remark(text, data.slowdown > MOST_SLOWDOWN)]


def _oddities(data: HonestyData) -> list[Remark]:
    told = [
        (data.unlinked_kernels, mark("{count} kernels could not be linked to an operator")),
        (data.graph_kernels, mark("{count} kernels ran inside CUDA graphs, where no operator is known")),
        (data.clipped, mark("{count} overlapping slices were clipped")),
        (data.dropped_slices, mark("{count} slices were too many to keep and are missing in the timeline")),
    ]
    return [Remark(tr(what, count=number(count))) for count, what in told if count]


def _costs(data: HonestyData) -> list[Remark]:
    found = []
    if data.overhead_seconds:
        found.append(Remark(tr("{time} were the profiler's own overhead", time=quantity(data.overhead_seconds, "s"))))
    if data.cost_seconds is not None:
        cost = quantity(data.cost_seconds, "s")
        if data.events is None:
            found.append(Remark(tr("the window cost {time}", time=cost)))
        else:
            found.append(Remark(tr("the window cost {time} for {count} events", time=cost, count=number(data.events))))
    return found


def _percent(value: float) -> str:
    """A percentage that reads "100 %" only when it is."""
    return f"{np.floor(value * 10) / 10:g} %"


def _total(facts: Sequence[Mapping[str, Any]], key: str) -> float | None:
    told = [float(value) for fact in facts if _is_number(value := fact.get(key))]
    return sum(told) if told else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
