"""Artifacts of a trained model as training stores them: layers, autograd graph, scores, boxes, generated pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.store import ArtifactBlock, Store

Arrays = dict[str, npt.NDArray[Any]]

OPERATION, PARAMETER, INPUT, FUNCTION = range(4)
CLASS_NAMES = ("circle", "square", "star")
CONFUSION = ((18, 2, 0), (3, 15, 2), (0, 1, 9))
LENET_LAYERS = (
    ("", "LeNet5", 0),
    ("conv1", "Conv2d", 156),
    ("conv2", "Conv2d", 2416),
    ("fc1", "Linear", 48120),
    ("fc2", "Linear", 10164),
    ("fc3", "Linear", 850),
    ("pool", "MaxPool2d", 0),
)


def graph_table(nodes: Sequence[tuple[str, int, str, str]], edges: Sequence[tuple[int, int]]) -> Arrays:
    """Columns as they are stored, of nodes (name, kind, label, shape) that are given from the result to the inputs."""
    names, kinds, labels, shapes = zip(*nodes, strict=True) if nodes else ((), (), (), ())
    numbers = [-1 if kind in (PARAMETER, INPUT) else len(nodes) - place for place, kind in enumerate(kinds)]
    ends = np.array(edges, np.int64).reshape(-1, 2)
    return {
        "names": np.array(names, np.str_),
        "kinds": np.array(kinds, np.uint8),
        "labels": np.array(labels, np.str_),
        "shapes": np.array(shapes, np.str_),
        "sequence_numbers": np.array(numbers, np.int64),
        "parents": ends[:, 0].copy(),
        "children": ends[:, 1].copy(),
        "outputs": np.array([0] if nodes else [], np.int64),
    }


def lenet_graph() -> Arrays:
    """The graph of a LeNet-5 whose last activation is a custom Function."""
    nodes: list[tuple[str, int, str, str]] = []
    edges: list[tuple[int, int]] = []

    def add(name: str, kind: int = OPERATION, label: str = "", shape: str = "", above: int | None = None) -> int:
        nodes.append((name, kind, label, shape))
        if above is not None:
            edges.append((above, len(nodes) - 1))
        return len(nodes) - 1

    last: int | None = None
    for layer, width, shape in (("fc3", 10, "(10, 84)"), ("fc2", 84, "(84, 120)"), ("fc1", 120, "(120, 400)")):
        if layer != "fc3":
            name, kind = ("SiLU", FUNCTION) if layer == "fc2" else ("TanhBackward0", OPERATION)
            last = add(name, kind, shape=f"(64, {width})", above=last)
        last = add("AddmmBackward0", shape=f"(64, {width})", above=last)
        add("AccumulateGrad", PARAMETER, f"{layer}.bias", f"({width},)", last)
        turned = add("TBackward0", shape=shape, above=last)
        add("AccumulateGrad", PARAMETER, f"{layer}.weight", shape, turned)
    last = add("ViewBackward0", shape="(64, 400)", above=last)
    for layer, shape in (("conv2", "(16, 6, 5, 5)"), ("conv1", "(6, 1, 5, 5)")):
        last = add("AvgPool2DBackward0", shape="(64, 16, 5, 5)", above=last)
        last = add("TanhBackward0", shape="(64, 16, 10, 10)", above=last)
        last = add("ConvolutionBackward0", shape="(64, 16, 10, 10)", above=last)
        add("AccumulateGrad", PARAMETER, f"{layer}.weight", shape, last)
        add("AccumulateGrad", PARAMETER, f"{layer}.bias", f"({shape[1:].split(',')[0]},)", last)
    return graph_table(nodes, edges)


def graph_meta(table: Arrays, **changed: Any) -> dict[str, Any]:
    """What is stored beside a graph."""
    return {
        "class": "LeNet5",
        "part": "",
        "reason": None,
        "nodes": len(table["names"]),
        "edges": len(table["parents"]),
        "parameters": int((table["kinds"] == PARAMETER).sum()),
        "unreached": [],
        "unreached_count": 0,
        "too_large": False,
        "counted_to_the_end": True,
    } | changed


def layers_table(layers: Sequence[tuple[str, str, int]] = LENET_LAYERS, frozen: Sequence[str] = ()) -> Arrays:
    """Columns as they are stored, of layers (path, type, own parameters)."""
    names, types, counts = zip(*layers, strict=True)
    trainable = [0 if name in frozen else count for name, count in zip(names, counts, strict=True)]
    return {
        "names": np.array(names, np.str_),
        "types": np.array(types, np.str_),
        "parameters": np.array(counts, np.int64),
        "trainable": np.array(trainable, np.int64),
        "buffers": np.zeros(len(names), np.int64),
    }


def calibration_table(bins: int = 15) -> npt.NDArray[np.float64]:
    """Bins (b, 3): more samples the surer, 10 points too sure everywhere, the lowest third empty."""
    middles = (np.arange(bins) + 0.5) / bins
    counts = np.where(middles < 1 / 3, 0, np.round(200 * middles**3))
    means = np.where(counts[:, None] > 0, np.stack([middles, np.clip(middles - 0.1, 0, 1)], axis=1), np.nan)
    return np.concatenate([counts[:, None], means], axis=1)


def scores_arrays(epoch: int = 1) -> Arrays:
    """Scores of a classifier; the later the epoch, the fewer mistakes."""
    counts = np.array(CONFUSION, np.int64)
    right = np.diag(counts) * (epoch - 1)
    return {"confusion": counts + np.diag(right), "calibration": calibration_table()}


def boxes(*rows: Sequence[float], width: int, most: int = 4) -> npt.NDArray[np.float32]:
    """Boxes of one picture (most, width), filled up with none."""
    table = np.full((most, width), -1, np.float32)
    table[: len(rows)] = np.array(rows, np.float32).reshape(-1, width)
    return table


def detector_arrays() -> Arrays:
    """Scores of a detector: the second class never occurs; boxes in two pictures of 32 x 32."""
    found = [
        boxes((0, 0.95, 3, 4, 14, 15), (2, 0.1, 20, 20, 30, 31), width=6),
        boxes((2, 0.7, 8, 8, 25, 24), width=6),
    ]
    return {
        "average_precision": np.array([0.9, np.nan, 0.45]),
        "detections": np.stack(found),
        "confusion": np.array([[4, 0, 1], [0, 0, 0], [2, 0, 3]], np.int64),
    }


def detector_gallery() -> Arrays:
    """The pictures and their true boxes."""
    pictures = np.random.default_rng(0).integers(0, 255, (2, 3, 32, 32), dtype=np.uint8)
    true = np.stack([boxes((0, 3, 4, 15, 15), width=5), boxes((2, 8, 7, 26, 24), (0, 1, 1, 6, 6), width=5)])
    return {"inputs": pictures, "targets": true}


def record_judged(
    store: Store, run_id: int, *, names: Sequence[str] = CLASS_NAMES, model: str = "LeNet5", epochs: int = 3
) -> None:
    """Store what a classifier's run has on the pages Model and Quality."""
    table = lenet_graph()
    add(store, run_id, "graph", "layers", layers_table(), {"class": model})
    add(store, run_id, "graph", "autograd", table, graph_meta(table, **{"class": model}))
    for epoch in range(1, epochs + 1):
        meta = {"class_names": list(names), "epoch": epoch}
        add(store, run_id, "scores", "test", scores_arrays(epoch), meta, step=50 * epoch)


def record_detector(store: Store, run_id: int) -> None:
    """Store what a detector's run has on the page Quality."""
    meta = {"class_names": list(CLASS_NAMES)}
    add(store, run_id, "scores", "test", detector_arrays(), meta, step=40)
    add(store, run_id, "samples", "test", detector_gallery(), meta, step=40)


def record_regression(store: Store, run_id: int, count: int = 60) -> None:
    """Store predictions that are two too high, all but the last, which is not a number."""
    true = np.linspace(50, 300, count)
    predicted = true + 2
    predicted[-1] = np.nan
    add(store, run_id, "scores", "test", {"true": true, "predicted": predicted}, {}, step=30)


def record_generated(store: Store, run_id: int, epochs: int = 3) -> None:
    """Store generated pictures (16, 1, 16, 16) of some epochs."""
    for epoch in range(1, epochs + 1):
        pictures = np.random.default_rng(epoch).integers(0, 80 * epoch, (16, 1, 16, 16), dtype=np.uint8)
        add(store, run_id, "generated", "samples", {"pictures": pictures}, {"epoch": epoch}, step=20 * epoch)


def add(
    store: Store,
    run_id: int,
    kind: str,
    key: str,
    arrays: Mapping[str, npt.NDArray[Any]],
    meta: Mapping[str, Any],
    *,
    step: int = 0,
) -> None:
    """Store one artifact."""
    store.add_artifact(run_id, ArtifactBlock(kind, key, step, 0.0, meta, arrays))
