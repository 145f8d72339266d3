"""Several runs side by side, read from the store once: what differs, common curves, speed, resources, explanations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torchglass.analysis.comparison import Comparison, compare
from torchglass.analysis.measured import measure
from torchglass.charts import Curve, ExplanationsData, Recorded, ScalarsData, read_series, scalars_data
from torchglass.charts.devices import with_gaps
from torchglass.charts.explanations import PartsPanel
from torchglass.charts.explanations_pictures import MethodPanel
from torchglass.charts.series_titles import series_title
from torchglass.report.bounds import Bounds
from torchglass.report.contents import SMOOTH_FROM, SMOOTHING, Contents
from torchglass.store import Run, Series, Store
from torchglass.store.records import SeriesKind

LETTERS = "ABCDEFGHIJKL"
MAX_PAIRS = 3  # runs that are held against the first in figures of their own
ON_THE_CLOCK = re.compile(r"[^/]*/(cpu_utilization_percent|utilization_percent|memory_used_bytes|power_watts)")
ON_STEPS = ("memory/allocated_bytes", "memory/peak_bytes", "memory/process_bytes")
_CORE = re.compile(r"host/core\d+_percent")


class Overlay(NamedTuple):
    """A series of several runs in one chart, whose lines are called after the runs; `name` is not escaped."""

    name: str
    data: ScalarsData


class Shown(NamedTuple):
    """A method's explanation of a sample in the run at a place: panel `panel` of what was made of that sample."""

    run: int
    sample: ExplanationsData
    panel: int


class SideBySide(NamedTuple):
    """One sample explained by one method in several runs."""

    key: str
    method: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Compared:
    """Several runs. `labels` are letter and name, not escaped; `pairs` hold each other run against the first.

    `summaries` and `used` are, of each run, the scalars, and the series of devices and memory, by key. `alone` scalars
    were logged by one run only.
    """

    runs: tuple[Run, ...]
    labels: tuple[str, ...]
    pairs: tuple[Comparison, ...]
    summaries: tuple[Mapping[str, Series], ...]
    used: tuple[Mapping[str, Series], ...]
    curves: tuple[Overlay, ...]
    alone: int
    left_out: int
    resources: tuple[Overlay, ...]
    explanations: tuple[SideBySide, ...]

    @property
    def looks(self) -> dict[str, int]:
        """The look of each run's lines."""
        return {label: place for place, label in enumerate(self.labels)}


def read_compared(store: Store, contents: Sequence[Contents], bounds: Bounds) -> Compared:
    """Compare runs that have been read, the others with the first; series are those of rank 0."""
    runs = tuple(one.run for one in contents)
    labels = tuple(f"{letter} {run.name}" for letter, run in zip(LETTERS, runs, strict=False))
    base = measure(store, runs[0])
    summaries = tuple({one.key: one for one in store.series_of(run.id, kind="scalar", rank=0)} for run in runs)
    common = [key for key in _every(summaries) if sum(key in each for each in summaries) > 1]
    return Compared(
        runs=runs,
        labels=labels,
        pairs=tuple(compare(base, measure(store, run)) for run in runs[1:]),
        summaries=summaries,
        used=tuple(_used(store, run) for run in runs),
        curves=tuple(_overlays(store, runs, labels, "scalar", common[: bounds.curve_charts], bounds)),
        alone=len(_every(summaries)) - len(common),
        left_out=max(0, len(common) - bounds.curve_charts),
        resources=tuple(_resources(store, runs, labels, bounds)),
        explanations=tuple(_side_by_side(contents)),
    )


def _every(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of all runs, the loss first, else in the order in which they were logged."""
    keys = dict.fromkeys(key for each in found for key in each)
    return sorted(keys, key=lambda key: "loss" not in key.lower())


def _used(store: Store, run: Run) -> dict[str, Series]:
    kinds: tuple[SeriesKind, ...] = ("device", "memory")
    found = [series for kind in kinds for series in store.series_of(run.id, kind=kind, rank=0)]
    return {series.key: series for series in found if not _CORE.fullmatch(series.key) and series.maximum}


def _overlays(
    store: Store, runs: Sequence[Run], labels: Sequence[str], kind: SeriesKind, keys: Sequence[str], bounds: Bounds
) -> Iterator[Overlay]:
    read = [_by_key(store, run, kind, keys, bounds) for run in runs]
    for key in keys:
        curves = [
            Curve(label, found[key].points, run.created_at)
            for label, found, run in zip(labels, read, runs, strict=True)
            if key in found
        ]
        unit = next((found[key].series.unit for found in read if key in found), "")
        smoothing = 0.0 if kind != "scalar" or key.startswith("learning_rate") else SMOOTHING
        data = scalars_data(curves, smoothing=smoothing, smooth_from=SMOOTH_FROM, unit=unit)
        yield Overlay(key if kind == "scalar" else series_title(kind, key), data)


def _by_key(store: Store, run: Run, kind: SeriesKind, keys: Sequence[str], bounds: Bounds) -> dict[str, Recorded]:
    wanted = set(keys)
    found = [series for series in store.series_of(run.id, kind=kind, rank=0) if series.key in wanted]
    return {one.key: Recorded(one, store.points(one.id, max_points=bounds.points)) for one in found}


def _resources(store: Store, runs: Sequence[Run], labels: Sequence[str], bounds: Bounds) -> Iterator[Overlay]:
    """What devices did since each run began, and memory over the steps, where two runs or more measured it."""
    known = [{one.key for one in store.series_of(run.id, kind="memory", rank=0)} for run in runs]
    keys = [key for key in ON_STEPS if sum(key in each for each in known) > 1]
    yield from _overlays(store, runs, labels, "memory", keys, bounds)
    read = [
        {record.series.key: record for record in read_series(store, run.id, kind="device", max_points=bounds.points)}
        for run in runs
    ]
    for key in dict.fromkeys(key for each in read for key in each if ON_THE_CLOCK.fullmatch(key)):
        found = [(label, run, each[key]) for label, run, each in zip(labels, runs, read, strict=True) if key in each]
        if len(found) > 1:
            curves = [Curve(label, with_gaps(one.points), run.created_at) for label, run, one in found]
            unit = found[0][2].series.unit
            data = scalars_data(curves, x_axis="relative", unit=unit, nonfinite="missing")
            yield Overlay(f"{series_title('device', key)}, {key.partition('/')[0]}", data)


def _side_by_side(contents: Sequence[Contents]) -> Iterator[SideBySide]:
    found: dict[tuple[str, str], list[Shown]] = {}
    for run, one in enumerate(contents):
        for key, sample in zip(one.explanation_keys, one.explanations, strict=True):
            for place, method in enumerate(_methods(sample)):
                found.setdefault((key, method), []).append(Shown(run, sample, place))
    for (key, method), shown in found.items():
        if len(shown) > 1:
            yield SideBySide(key, method, tuple(shown))


def _methods(sample: ExplanationsData) -> list[str]:
    """The method of each panel, whatever kind of sample they show."""
    panels: Sequence[MethodPanel | PartsPanel] = sample.panels
    return [panel.method for panel in panels]
