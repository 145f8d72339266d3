"""What a model is and what it gets right, as a report tells it: its layers, its graph, the newest scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy.typing as npt

from torchglass.charts.autograd_graph import AutogradGraphData, autograd_graph_data, kinds_listing
from torchglass.charts.calibration import CalibrationData, calibration_data, calibration_text
from torchglass.charts.confusion import ConfusionData, classes_listing, confusion_data, confusion_text, mistakes_listing
from torchglass.charts.detections import DetectionsData, detections_data, precision_listing
from torchglass.charts.generated import SheetData, sheet_data
from torchglass.charts.layers_table import layers_listing
from torchglass.charts.listings import Listing
from torchglass.charts.predictions import PredictionsData, predictions_data, predictions_text
from torchglass.language import mark
from torchglass.report.bounds import FULL, Bounds
from torchglass.store import Artifact, Run, Store

MAX_ROWS = 60
FOLD_FROM = 60  # nodes; a reader of a report cannot fold a graph
MAX_PARTS = 4


class Graph(NamedTuple):
    """The graph of a part of the model, "" for the whole, not yet escaped."""

    part: str
    data: AutogradGraphData


class Judged(NamedTuple):
    """Everything on the pages Model and Quality, of the newest step that has it; `texts` are sentences by section.

    `listings` are tables by section and title.
    """

    graphs: tuple[Graph, ...]
    step: int | None
    confusion: ConfusionData | None
    calibration: CalibrationData | None
    predictions: PredictionsData | None
    detections: DetectionsData | None
    generated: SheetData | None
    generated_step: int | None
    listings: Mapping[str, Mapping[str, Listing]]
    texts: Mapping[str, tuple[str, ...]]


def read_judged(store: Store, run: Run, facts: Mapping[str, Any], bounds: Bounds = FULL) -> Judged:
    """Read what is stored; each part is missing where a run has none of it, pictures where the bounds leave none."""
    layers = _newest(store.artifacts(run.id, kind="graph", key="layers"))
    graphs, kinds = _graphs(store, run) if bounds.pictures else ((), Listing(()))
    scores = _newest(store.artifacts(run.id, kind="scores", key="test"))
    arrays = {} if scores is None else dict(store.arrays(scores.id))
    names = _class_names(scores)
    confusion = confusion_data(arrays["confusion"], names) if "confusion" in arrays else None
    calibration = calibration_data(arrays["calibration"]) if "calibration" in arrays else None
    predictions = (
        predictions_data(arrays["true"], arrays["predicted"]) if {"true", "predicted"} <= set(arrays) else None
    )
    made = _newest(store.artifacts(run.id, kind="generated")) if bounds.pictures else None
    table = Listing(()) if layers is None else _layers(store, run, layers, facts)
    return Judged(
        graphs=graphs,
        step=None if scores is None else scores.step,
        confusion=confusion,
        calibration=calibration,
        predictions=predictions,
        detections=_detections(store, run, arrays, names) if bounds.pictures else None,
        generated=None if made is None else _sheet(store, made),
        generated_step=None if made is None else made.step,
        listings={
            "model": _filled({mark("Layers"): table, mark("Nodes of the autograd graph"): kinds}),
            "quality": _filled(
                {
                    mark("Classes"): Listing(()) if confusion is None else classes_listing(confusion),
                    mark("What is confused most"): (
                        Listing(()) if confusion is None else mistakes_listing(confusion, most=MAX_ROWS)
                    ),
                    mark("Average precision"): (
                        precision_listing(arrays["average_precision"], names)
                        if "average_precision" in arrays
                        else Listing(())
                    ),
                }
            ),
        },
        texts={"quality": tuple(_sentences(confusion, calibration, predictions, of_boxes="detections" in arrays))},
    )


def _layers(store: Store, run: Run, layers: Artifact, facts: Mapping[str, Any]) -> Listing:
    work = facts.get("work")
    outputs = work.get("outputs") if isinstance(work, Mapping) else None
    return layers_listing(
        store.arrays(layers.id),
        series=store.series_of(run.id, kind="layer", rank=0),
        outputs=outputs if isinstance(outputs, Mapping) else None,
        most=MAX_ROWS,
    )


def _graphs(store: Store, run: Run) -> tuple[tuple[Graph, ...], Listing]:
    """The graphs that can be drawn, and the kinds of nodes of one that cannot."""
    newest = {str(one.meta.get("part", "")): one for one in store.artifacts(run.id, kind="graph", key="autograd")}
    graphs, kinds = [], Listing(())
    for part, artifact in list(newest.items())[:MAX_PARTS]:
        table = store.arrays(artifact.id)
        data = autograd_graph_data(table, artifact.meta, folded=len(table.get("names", ())) > FOLD_FROM)
        graphs.append(Graph(part, data))
        if not data.nodes:
            kinds = kinds_listing(table, most=MAX_ROWS)
    return tuple(graphs), kinds


def _detections(
    store: Store, run: Run, arrays: Mapping[str, npt.NDArray[Any]], names: Sequence[object]
) -> DetectionsData | None:
    gallery = _newest(store.artifacts(run.id, kind="samples"))
    if "detections" not in arrays or gallery is None:
        return None
    pictures = store.arrays(gallery.id)
    return detections_data(pictures["inputs"], arrays["detections"], pictures.get("targets"), names)


def _sheet(store: Store, made: Artifact) -> SheetData | None:
    pictures = next((array for array in store.arrays(made.id).values() if array.ndim == 4), None)
    return None if pictures is None else sheet_data(pictures)


def _sentences(
    confusion: ConfusionData | None,
    calibration: CalibrationData | None,
    predictions: PredictionsData | None,
    *,
    of_boxes: bool,
) -> list[str]:
    found = []
    if confusion is not None:
        found.append(confusion_text(confusion, of_boxes=of_boxes))
    if calibration is not None:
        found.append(calibration_text(calibration))
    if predictions is not None:
        found.append(predictions_text(predictions))
    return found


def _filled(listings: Mapping[str, Listing]) -> dict[str, Listing]:
    """The tables that have rows, of each at most as many as a report has room for."""
    return {
        title: Listing(
            tuple(field._replace(values=field.values[:MAX_ROWS]) for field in listing.fields),
            listing.left_out + max(0, len(listing) - MAX_ROWS),
            listing.unknown,
        )
        for title, listing in listings.items()
        if len(listing)
    }


def _newest(artifacts: Sequence[Artifact]) -> Artifact | None:
    """The artifact of the last step, of several the one stored last."""
    return max(artifacts, key=lambda one: (one.step, one.id), default=None)


def _class_names(scores: Artifact | None) -> Sequence[object]:
    names = None if scores is None else scores.meta.get("class_names")
    return names if isinstance(names, list | tuple) else ()
