"""Everything that a report shows, read from the store once and frozen: whatever draws it needs no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from torchglass.analysis.ranks import read_ranks
from torchglass.analysis.stragglers import find_straggler, straggler_text
from torchglass.charts import (
    Curve,
    DevicePanel,
    Explained,
    ExplanationsData,
    GradientFlowData,
    HistogramsData,
    PhasesData,
    Recorded,
    RidgelinesData,
    ScalarsData,
    devices_data,
    explanations_data,
    gradient_flow_data,
    histograms_data,
    phases_data,
    read_series,
    ridgelines_data,
    scalars_data,
)
from torchglass.charts.dead_units import AtStep, DeadUnitsData, at_step, dead_units_data
from torchglass.charts.gradient_flow import LayerQuantity
from torchglass.charts.memory import MemoryData, memory_data, read_memory
from torchglass.charts.over_training import OverTraining, is_probe, methods_over_training, read_over_training
from torchglass.charts.ranks import RanksData, ranks_data
from torchglass.charts.shortcuts import ARTIFACT_KIND as SHORTCUTS_KIND
from torchglass.charts.shortcuts import ShortcutsData, shortcuts_data
from torchglass.charts.theme import MAX_LINES
from torchglass.charts.variants import ARTIFACT_KIND, Mode, VariantsData, variants_data
from torchglass.charts.what_if import ARTIFACT_KIND as WHAT_IF_KIND
from torchglass.charts.what_if import WhatIfData, what_if_data
from torchglass.charts.work_done import work_notes
from torchglass.language import tr
from torchglass.report.bounds import FULL, Bounds
from torchglass.report.judged import Judged, read_judged
from torchglass.report.overviews import Overviews, read_overviews
from torchglass.report.profiled import Profiled, read_profile
from torchglass.report.resources import Resources, read_resources
from torchglass.store import Artifact, Run, Series, Store

SMOOTHING = 0.6
SMOOTH_FROM = 100  # an average over a few evaluations hides what little there is
OF_EXPLANATIONS = " of explanations"
SPLITS = ("train", "test", "val", "valid", "validation", "eval")
LAYER_QUANTITIES: tuple[LayerQuantity, ...] = ("gradient_norm", "update_ratio", "weight_norm")


class Curves(NamedTuple):
    """Scalars of one chart and what the run calls them, not yet escaped."""

    name: str
    data: ScalarsData


class Histograms(NamedTuple):
    """Histograms of one tensor and its key, not yet escaped; `ridges` None where they are left out."""

    name: str
    data: HistogramsData
    ridges: RidgelinesData | None


@dataclass(frozen=True)
class Contents:
    """A run as a report tells it; `left_out` are sentences about what a bound kept out, by section.

    `explanation_keys` are those of `explanations`: the same sample has the same key in every run.
    """

    run: Run
    written_at: float
    step: int | None
    rank_count: int
    environment: Mapping[str, Any]
    model: Mapping[str, Any]
    warnings: tuple[str, ...]
    summaries: tuple[Series, ...]
    curves: tuple[Curves, ...]
    phases: PhasesData
    phase_facts: Mapping[str, Any]
    layers: tuple[GradientFlowData, ...]
    dead_units: DeadUnitsData
    dead_now: AtStep | None
    histograms: tuple[Histograms, ...]
    devices: tuple[DevicePanel, ...]
    device_facts: Mapping[str, Any]
    gpus: tuple[Mapping[str, Any], ...]
    missing_devices: tuple[tuple[str, str], ...]
    work_notes: tuple[str, ...]
    memory: MemoryData
    resources: Resources
    ranks: RanksData | None
    straggler: str
    profile: Profiled
    variants: tuple[VariantsData, ...]
    judged: Judged
    explanations: tuple[ExplanationsData, ...]
    explanation_keys: tuple[str, ...]
    what_ifs: tuple[WhatIfData, ...]
    shortcuts: ShortcutsData | None
    over_training: tuple[OverTraining, ...]
    overviews: Overviews
    left_out: Mapping[str, str]

    @property
    def duration_seconds(self) -> float:
        """From the run's start to its end, or to its last sign of life."""
        return (self.run.ended_at or self.run.heartbeat_at) - self.run.created_at


def read_contents(store: Store, run: Run, *, written_at: float, bounds: Bounds = FULL) -> Contents:
    """Read a run as far as the bounds go; series, layers and phases are those of rank 0."""
    summaries = store.series_of(run.id)
    facts = {fact.key: fact.value for fact in reversed(store.facts(run.id))}  # rank 0 wins
    groups = _groups(read_series(store, run.id, kind="scalar", max_points=bounds.points))
    keys = store.histogram_keys(run.id)
    layers = read_series(store, run.id, kind="layer", max_points=bounds.points)
    ranks = read_ranks(store, run.id)
    explained = store.artifacts(run.id, kind="explanation")
    samples = _latest_explanations([artifact for artifact in explained if not is_probe(artifact)])
    shown = samples[max(0, len(samples) - bounds.samples) :]
    return Contents(
        run=run,
        written_at=written_at,
        step=max((series.last_step for series in summaries if series.last_step is not None), default=None),
        rank_count=len({series.rank for series in summaries}),
        environment=_mapping(facts.get("environment")),
        model=_mapping(facts.get("model")),
        warnings=tuple(str(value) for key, value in sorted(facts.items()) if key.startswith("warnings/")),
        summaries=tuple(series for series in summaries if series.kind == "scalar"),
        curves=tuple(_curves(name, groups[name], run.created_at) for name in list(groups)[: bounds.curve_charts]),
        phases=phases_data(read_series(store, run.id, kind="phase", max_points=None)),
        phase_facts=_mapping(facts.get("phases")),
        layers=tuple(gradient_flow_data(layers, quantity) for quantity in LAYER_QUANTITIES),
        dead_units=dead_units_data(layers),
        dead_now=at_step(layers, None),
        histograms=tuple(
            _histograms(store, run, key, with_ridges=place < bounds.ridgelines)
            for place, key in enumerate(keys[: bounds.histograms])
        ),
        devices=devices_data(read_series(store, run.id, kind="device", max_points=bounds.points), start=run.created_at),
        device_facts=_mapping(facts.get("devices/host")),
        gpus=tuple(_mapping(gpu) for gpu in _mapping(facts.get("devices/gpu")).get("gpus") or ()),
        missing_devices=_missing(facts),
        work_notes=tuple(work_notes(facts)),
        memory=memory_data(read_memory(store, run.id), limit_bytes=_memory_limit(facts)),
        resources=read_resources(store, run, facts, bounds),
        ranks=ranks_data(ranks) if len(ranks.ranks) > 1 else None,
        straggler=straggler_text(ranks, find_straggler(ranks)) if len(ranks.ranks) > 1 else "",
        profile=read_profile(store, run, bounds),
        variants=_variants(store.artifacts(run.id, kind=ARTIFACT_KIND)),
        judged=read_judged(store, run, facts, bounds),
        explanations=tuple(_explain(store, artifacts) for artifacts in shown),
        explanation_keys=tuple(artifacts[0].key for artifacts in shown),
        what_ifs=_what_ifs(store, run, bounds.samples),
        shortcuts=_shortcuts(store, run),
        over_training=tuple(_over_training(store, run, explained, bounds.strips)),
        overviews=read_overviews(store, run),
        left_out=_left_out(bounds, len(groups), len(keys), len(samples)),
    )


def _variants(artifacts: Sequence[Artifact]) -> tuple[VariantsData, ...]:
    """The model under each technique, in training and in inference, as far as that was measured."""
    modes: tuple[Mode, ...] = ("train", "infer")
    measured = [variants_data(artifacts, mode) for mode in modes]
    return tuple(data for data in measured if data is not None)


def _groups(records: Sequence[Recorded]) -> dict[str, list[Recorded]]:
    """Scalars that belong in one chart: "train/accuracy" with "test/accuracy", "loss/ce" with "loss/kl"."""
    groups: dict[str, list[Recorded]] = {}
    for record in records:
        parts = record.series.key.split("/")
        if parts[0] in SPLITS and len(parts) > 1:
            parts = parts[1:]
        if parts[0] == "explanation":  # sizes and shares on one axis would hide each other
            parts = [parts[-1].replace("_", " ") + OF_EXPLANATIONS]
        groups.setdefault(parts[0], []).append(record)
    # What a reader looks for comes first, and what has a section of its own last.
    ordered = sorted(groups.items(), key=lambda group: (group[0] != "loss", group[0].endswith(OF_EXPLANATIONS)))
    return {
        name if not first else f"{name} ({first // MAX_LINES + 1})": several[first : first + MAX_LINES]
        for name, several in ordered
        for first in range(0, len(several), MAX_LINES)  # of more lines, none is told from the others
    }


def _histograms(store: Store, run: Run, key: str, *, with_ridges: bool) -> Histograms:
    found = store.histograms(run.id, key)
    return Histograms(key, histograms_data(found), ridgelines_data(found) if with_ridges else None)


def _curves(name: str, records: Sequence[Recorded], start: float) -> Curves:
    curves = [Curve(record.series.key, record.points, start) for record in records]
    smoothing = SMOOTHING if name != "learning_rate" else 0.0  # a schedule is exact: an average would only shift it
    return Curves(name, scalars_data(curves, smoothing=smoothing, smooth_from=SMOOTH_FROM))


def _latest_explanations(artifacts: Sequence[Artifact]) -> list[list[Artifact]]:
    """The newest explanation by each method, sample by sample."""
    samples: dict[str, dict[str, Artifact]] = {}
    for artifact in artifacts:
        samples.setdefault(artifact.key, {})[str(artifact.meta.get("method"))] = artifact
    return [list(methods.values()) for methods in samples.values()]


def _explain(store: Store, artifacts: Sequence[Artifact]) -> ExplanationsData:
    explained = explanations_data([Explained(artifact, store.arrays(artifact.id)) for artifact in artifacts])
    assert explained is not None  # a sample is only listed with its explanations
    return explained


def _what_ifs(store: Store, run: Run, most: int) -> tuple[WhatIfData, ...]:
    """The newest trials, the last one first."""
    trials = store.artifacts(run.id, kind=WHAT_IF_KIND)
    return tuple(what_if_data(trial, store.arrays(trial.id)) for trial in trials[::-1][:most])


def _over_training(store: Store, run: Run, explained: Sequence[Artifact], most: int) -> Iterator[OverTraining]:
    """A film strip for each method that explained the same inputs at several steps."""
    found = ((group, method) for group, methods in methods_over_training(explained).items() for method in methods)
    for group, method in islice(found, most):
        read = read_over_training(store, run.id, explained, group, method)
        if read is not None:
            yield read


def _shortcuts(store: Store, run: Run) -> ShortcutsData | None:
    """The newest search; None where nobody looked."""
    found = store.artifacts(run.id, kind=SHORTCUTS_KIND)
    return shortcuts_data(found[-1], store.arrays(found[-1].id)) if found else None


def _missing(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What was not measured and why, GPUs as a whole first."""
    gpu = _mapping(facts.get("devices/gpu"))
    whole = [("GPU", str(gpu["reason"]))] if gpu.get("reason") else []
    return (*whole, *((str(key), str(reason)) for key, reason in _mapping(gpu.get("missing")).items()))


def _memory_limit(facts: Mapping[str, Any]) -> float | None:
    total = _mapping(facts.get("memory")).get("total_bytes")
    return float(total) if isinstance(total, int | float) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _left_out(bounds: Bounds, charts: int, histograms: int, samples: int) -> dict[str, str]:
    told = {}
    if charts > bounds.curve_charts:
        told["curves"] = tr(
            "This report shows {shown} of {count} charts of scalars; the table above lists all of them.",
            shown=bounds.curve_charts,
            count=charts,
        )
    if histograms > bounds.histograms:
        told["histograms"] = tr(
            "This report shows {shown} of {count} histograms.", shown=bounds.histograms, count=histograms
        )
    elif histograms > bounds.ridgelines:
        told["histograms"] = tr(
            "Ridgelines are drawn of {shown} of {count} histograms.", shown=bounds.ridgelines, count=histograms
        )
    if samples > bounds.samples:
        told["explanations"] = tr(
            "This report shows {shown} of {count} explained samples, the newest.", shown=bounds.samples, count=samples
        )
    return told
