"""A report tells what the model is and what it gets right, of the newest step, and says so where a run has neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from judged import (
    FUNCTION,
    PARAMETER,
    add,
    graph_meta,
    graph_table,
    record_detector,
    record_generated,
    record_judged,
    record_regression,
)

from torchglass.report.contents import Contents, read_contents
from torchglass.report.figures import drawings
from torchglass.report.html import render
from torchglass.report.judged import FOLD_FROM
from torchglass.store import Run, Store

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    return store.start_run("judged", {}, host="h", pid=1)


def names(contents: Contents, section: str) -> list[str]:
    return [drawing.name for drawing in drawings(contents) if drawing.section == section]


def test_a_classifier_has_its_graph_its_layers_and_the_newest_scores(store: Store, run: Run) -> None:
    record_judged(store, run.id)
    read = read_contents(store, run, written_at=0.0)
    assert names(read, "model") == ["Autograd graph"]
    assert names(read, "quality") == ["What is taken for what", "Right answers by confidence"]
    assert read.judged.step == 150
    assert list(read.judged.listings["model"]) == ["Layers"]
    assert list(read.judged.listings["quality"]) == ["Classes", "What is confused most"]
    text = render(read)
    assert "94.03 % of 134 samples are right." in text
    assert "48,120" in text


def test_every_task_has_its_figures(store: Store, run: Run) -> None:
    record_detector(store, run.id)
    record_generated(store, run.id)
    read = read_contents(store, run, written_at=0.0)
    assert names(read, "quality") == [
        "What is taken for what",
        "What is found where",
        "Generated pictures at step 60",
    ]
    assert "Average precision" in read.judged.listings["quality"]
    other = store.start_run("other", {}, host="h", pid=1)
    record_regression(store, other.id)
    read = read_contents(store, other, written_at=0.0)
    assert names(read, "quality") == ["Predicted and true"]
    assert "59 samples: root mean square error 2" in render(read)


def test_a_run_without_a_model_says_how_it_would_have_one(store: Store, run: Run) -> None:
    text = render(read_contents(store, run, written_at=0.0))
    assert "layers and graph are read at the first training forward of an attached model" in text
    assert "runs of the reference models store scores of their test set after each epoch" in text


def test_a_large_graph_is_folded_and_one_too_large_is_a_reason(store: Store, run: Run) -> None:
    count = FOLD_FROM // 2 + 1
    nodes = [
        node
        for place in range(count)
        for node in (("MulBackward0", 0, "", ""), ("AccumulateGrad", PARAMETER, f"l{place}.w", ""))
    ]
    edges = [(2 * place, 2 * place + 1) for place in range(count)]
    edges += [(2 * place, 2 * place + 2) for place in range(count - 1)]
    table = graph_table(nodes, edges)
    add(store, run.id, "graph", "autograd", table, graph_meta(table))
    judged = read_contents(store, run, written_at=0.0).judged
    assert judged.graphs[0].data.folded
    assert len(judged.graphs[0].data.nodes) == count
    empty = graph_table([], [])
    add(store, run.id, "graph", "autograd", empty, graph_meta(empty, nodes=9999, too_large=True), step=1)
    judged = read_contents(store, run, written_at=0.0).judged
    assert judged.graphs[0].data.reason == "too large to draw (9,999 nodes)"


def test_names_and_arrays_of_strangers_break_nothing(store: Store, run: Run) -> None:
    table = graph_table([(HOSTILE, FUNCTION, "", HOSTILE), ("A", PARAMETER, f"{HOSTILE}.w", "")], [(0, 1)])
    add(store, run.id, "graph", "autograd", table, graph_meta(table, part=HOSTILE))
    arrays = {name: np.zeros(3) for name in ("confusion", "calibration", "detections", "true", "predicted")}
    add(store, run.id, "scores", "test", arrays | {"predicted": np.zeros(2)}, {"class_names": HOSTILE})
    text = render(read_contents(store, run, written_at=0.0))
    assert HOSTILE not in text
