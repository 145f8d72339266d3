"""What a run used: work, energy, memory at its peak, what held its GPUs back, the last reading of each figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torchglass.analysis.energy import StepEnergy, read_step_energy
from torchglass.charts import Curve, ScalarsData, read_series, scalars_data
from torchglass.charts.device_values import DeviceValue, device_values
from torchglass.charts.memory import PREFIX as MEMORY
from torchglass.charts.memory_peak import KIND as PEAK
from torchglass.charts.memory_peak import PeakData, peak_data
from torchglass.charts.series_titles import series_title
from torchglass.charts.text import plain_text
from torchglass.charts.throttling import ThrottlingData, read_throttling
from torchglass.charts.units import quantity
from torchglass.language import mark, tr
from torchglass.report.bounds import Bounds
from torchglass.store import Run, Series, Store

MAX_PEAKS = 3
MISSING = "missing/"
REASON_CHARACTERS = 300
WORK = (
    (mark("Host-bound"), "work/host_bound_percent", "%"),
    (mark("Samples a second"), "work/samples_per_second", ""),
    ("MFU", "work/mfu_percent", "%"),
)
HELD = (
    (mark("Peak"), "peak_bytes"),
    (mark("Allocated"), "allocated_bytes"),
    (mark("Reserved"), "reserved_bytes"),
    (mark("Fragmentation"), "fragmentation_bytes"),
    (mark("This process"), "process_bytes"),
)

Tile = tuple[str, str]


class WorkChart(NamedTuple):
    """A series of what was done a step, and its title."""

    title: str
    data: ScalarsData


class Peak(NamedTuple):
    """The largest allocations of a recorded peak, and what the recording says of itself."""

    step: int
    told: str
    data: PeakData


class Resources(NamedTuple):
    """Tiles are a name and a value with its unit; `memory_missing` are figures and why they were not measured."""

    work: tuple[WorkChart, ...]
    work_tiles: tuple[Tile, ...]
    memory_tiles: tuple[Tile, ...]
    memory_missing: tuple[tuple[str, str], ...]
    peaks: tuple[Peak, ...]
    throttling: ThrottlingData
    readings: tuple[DeviceValue, ...]


def read_resources(store: Store, run: Run, facts: Mapping[str, Any], bounds: Bounds) -> Resources:
    """Read what rank 0 used, and what held the GPUs of all ranks back; `facts` are those of rank 0."""
    summaries = {series.key: series for series in store.series_of(run.id, rank=0)}
    return Resources(
        work=tuple(_work(store, run, bounds)),
        work_tiles=(*_work_tiles(summaries), *_energy_tiles(read_step_energy(store, run.id))),
        memory_tiles=tuple(
            (tr(title), quantity(series.last, "B")) for title, name in HELD if (series := summaries.get(MEMORY + name))
        ),
        memory_missing=tuple(_memory_missing(facts)),
        peaks=tuple(_peaks(store, run)) if bounds.pictures else (),
        throttling=read_throttling(store, run.id),
        readings=device_values(store.series_of(run.id, kind="device"), store.facts(run.id)) if bounds.rows else (),
    )


def _work(store: Store, run: Run, bounds: Bounds) -> Iterator[WorkChart]:
    for kind in ("work", "self"):
        for record in read_series(store, run.id, kind=kind, max_points=bounds.points):
            series = record.series
            data = scalars_data([Curve(series.key, record.points, run.created_at)], unit=series.unit)
            if data.lines:
                yield WorkChart(series_title(series.kind, series.key), data)


def _work_tiles(summaries: Mapping[str, Series]) -> Iterator[Tile]:
    for title, key, unit in WORK:
        if key in summaries:
            yield tr(title), quantity(_rounded(summaries[key].mean), unit)


def _energy_tiles(energy: StepEnergy | None) -> Iterator[Tile]:
    if energy is not None:
        yield tr("Energy a step"), quantity(_rounded(energy.step_joules), "J")
        if energy.sample_joules is not None:
            yield tr("Energy a sample"), quantity(_rounded(energy.sample_joules), "J")


def _memory_missing(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, reason in facts.items():
        if key.startswith(f"{MISSING}{MEMORY}"):
            yield series_title("memory", key.removeprefix(MISSING)), plain_text(reason, REASON_CHARACTERS)


def _peaks(store: Store, run: Run) -> Iterator[Peak]:
    for artifact in store.artifacts(run.id, kind=PEAK)[-MAX_PEAKS:]:
        meta = artifact.meta
        size = quantity(_number(meta.get("peak_bytes")), "B")
        told = tr(
            "{size} at the peak of {steps} steps from step {first} on {device}.",
            size=size,
            steps=plain_text(meta.get("steps"), 12),
            first=plain_text(meta.get("first_step"), 12),
            device=plain_text(meta.get("device"), 40),
        )
        yield Peak(artifact.step, told, peak_data(meta, store.arrays(artifact.id)))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")
