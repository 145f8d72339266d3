"""What is stored of explanations over the steps of a run: probes of its training, and saved checkpoints explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torchglass.charts.attribution_drift import DriftData, drift_data, judging_key
from torchglass.charts.explanations_words import Explained
from torchglass.charts.film_strip import (
    MOST_ROWS,
    FilmStripData,
    chosen_steps,
    distance_to_last,
    film_strip_data,
    histories,
)
from torchglass.charts.records import MAX_POINTS
from torchglass.language import mark
from torchglass.store.records import Artifact
from torchglass.store.store import Store

PROBES, CHECKPOINTS = "probe", "test"
GROUPS = {PROBES: mark("Probes, during training"), CHECKPOINTS: mark("Test samples, by saved checkpoints")}
LEGEND = mark(
    "All maps share one colour scale, so a map that grows also looks it. Drift is 1 minus the rank correlation of two "
    "maps: 0 the same order of places, 1 no relation. A map that still moves while the score stands has not settled. "
    "What is known to decide is outlined in green, or marked by ●."
)


class OverTraining(NamedTuple):
    """One method's film strip of one group of inputs, and how far its maps moved. `group` is a key of `GROUPS`."""

    group: str
    method: str
    strip: FilmStripData
    drift: DriftData


def is_probe(artifact: Artifact) -> bool:
    """Tell what was explained during training from what a person asked for."""
    return artifact.key.startswith(f"{PROBES}/")


def methods_over_training(artifacts: Sequence[Artifact]) -> dict[str, tuple[str, ...]]:
    """The methods by group that explained an input at two steps at least, in the order in which they were stored."""
    steps: dict[tuple[str, str], dict[str, set[int]]] = {}
    for artifact in artifacts:
        found = (artifact.key.partition("/")[0], str(artifact.meta.get("method")))
        steps.setdefault(found, {}).setdefault(artifact.key, set()).add(artifact.step)
    return {
        group: methods
        for group in GROUPS
        if (
            methods := tuple(
                method
                for (own, method), keys in steps.items()
                if own == group and max(len(each) for each in keys.values()) > 1
            )
        )
    }


def read_over_training(
    store: Store, run_id: int, artifacts: Sequence[Artifact], group: str, method: str, *, first: str = ""
) -> OverTraining | None:
    """Read a film strip and its curves: at most a dozen steps and eight inputs, the one of the key `first` on top."""
    own = [artifact for artifact in artifacts if artifact.key.startswith(f"{group}/")]
    found = {key: frames for key, frames in histories(own, method).items() if len(frames) > 1}
    keys = sorted(found, key=lambda key: key != first)[:MOST_ROWS]
    steps = set(chosen_steps(artifact.step for key in keys for artifact in found[key]))
    strips = {key: [Explained(one, store.arrays(one.id)) for one in found[key] if one.step in steps] for key in keys}
    data = film_strip_data(strips, left_out=len(found) - len(keys))
    if data is None:
        return None
    series = {one.key: one for one in store.series_of(run_id, kind="scalar", rank=0)}
    judged = judging_key(list(series))
    goodness = None if judged is None else (judged, store.points(series[judged].id, max_points=MAX_POINTS))
    moved = series.get(f"explanation/{method}/drift") if group == PROBES else None
    drift = None if moved is None else store.points(moved.id, max_points=MAX_POINTS)
    return OverTraining(group, method, data, drift_data(goodness, drift, distance_to_last(data)))
