"""Every axis of numbers says what it counts and in which unit."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from judged import record_detector, record_generated, record_judged, record_regression
from overviewed import record_overviews
from profiled import record_profiled_run
from recorded import record_example_run
from report_runs import record_everything_rare

from torchglass.report.contents import read_contents
from torchglass.report.figures import drawings
from torchglass.store import Store

CHARTS = Path(__file__).parents[2] / "charts"
REPORT = CHARTS.parent / "report"
# Drawn by the page alone, or of what no other run of the tests has; their own tests hold their axes.
DRAWN_ELSEWHERE = {
    *("dead_units_figure", "histogram_bars_figure", "enlarged_figure", "pictures_grid_figure", "rows_grid_figure"),
    *("distributions_figure", "phase_pairs_figure", "contributions_figure"),  # two runs: test_charts_comparison
    *("history_figure", "importances_figure", "parallel_figure"),  # a sweep: test_charts_sweep
    *(
        "variants_figure",
        "effects_figure",
        "text_figure",
        "table_figure",
        "explanations_figure",
        "ranks_figure",
        "own_work_figure",
    ),
}
NO_FIGURE_OF_ITS_OWN = {"new_figure", "empty_figure", "picture_figure"}


def figures(store: Store) -> Iterator[tuple[str, go.Figure]]:
    """Name and figure of everything that reports of such runs draw."""
    everything = record_example_run(store, "everything", gpu=True)
    record_judged(store, everything.id)
    record_everything_rare(store, everything)
    numbers = record_example_run(store, "numbers", steps=20)
    record_regression(store, numbers.id)
    boxes = record_example_run(store, "boxes", steps=20)
    record_detector(store, boxes.id)
    record_generated(store, boxes.id)
    for run in (everything, numbers, boxes, record_overviews(store), record_profiled_run(store)):
        for drawing in drawings(read_contents(store, store.run(run.name), written_at=time.time())):
            yield f"{run.name}: {drawing.name}", drawing.figure


def axes(figure: go.Figure) -> Iterator[tuple[str, Any]]:
    """Names and axes that are seen and count something: not those that name rows, and not those of pictures."""
    for name in figure.layout.to_plotly_json():
        if name[:5] in ("xaxis", "yaxis"):
            axis = figure.layout[name]
            is_hidden = axis.visible is False or axis.showticklabels is False
            if not is_hidden and not names_rows(figure, axis, name):
                yield name, axis


def names_rows(figure: go.Figure, axis: Any, name: str) -> bool:
    """Whether the ticks of an axis are names, such as those of layers, and not numbers."""
    if axis.type == "category" or axis.ticktext is not None:
        texts = [str(text) for text in (axis.ticktext if axis.ticktext is not None else ())]
        return not texts or any(not text.replace(",", "").replace(".", "").lstrip("-").isdigit() for text in texts)
    letter, number = name[0], name[5:]
    own = [each for each in figure.data if (getattr(each, f"{letter}axis", None) or letter) == f"{letter}{number}"]
    values = [np.asarray(each[letter], dtype=object).ravel() for each in own if each[letter] is not None]
    return bool(values) and all(isinstance(value, str) for each in values for value in each)


def is_told(figure: go.Figure, name: str, axis: Any) -> bool:
    """Whether an axis has a title or a unit at its ticks, or is the upper one of several that share theirs."""
    if axis.title.text or axis.ticksuffix:
        return True
    shared = [other for other in figure.layout.to_plotly_json() if other[:5] == name[:5] and other != name]
    return axis.matches is not None and any(figure.layout[other].title.text for other in shared)


def own_figures() -> set[str]:
    """Names of all public `…_figure` and `…_figures` functions of the charts."""
    trees = [ast.parse(path.read_text("utf-8")) for path in CHARTS.glob("*.py")]
    return {
        node.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and node.name.endswith(("_figure", "_figures"))
        and not node.name.startswith("_")
    }


def test_every_axis_of_numbers_has_a_title_or_a_unit(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        silent = [
            f"{name}: {axis_name}"
            for name, figure in figures(store)
            for axis_name, axis in axes(figure)
            if not is_told(figure, axis_name, axis)
        ]
    assert silent == []


def test_no_figure_is_left_out() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in (*REPORT.glob("*.py"), CHARTS / "overviews.py")]
    drawn = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert own_figures() - drawn - DRAWN_ELSEWHERE - NO_FIGURE_OF_ITS_OWN == set()


def test_the_search_sees_an_axis_that_says_nothing() -> None:
    figure = go.Figure()
    figure.add_scatter(x=[1, 2], y=[3, 4])
    figure.update_layout(xaxis={"title": {"text": "step"}}, yaxis={"range": [0, 5]})
    assert [name for name, axis in axes(figure) if not is_told(figure, name, axis)] == ["yaxis"]
    figure.update_layout(yaxis={"ticksuffix": " ms"})
    assert [name for name, axis in axes(figure) if not is_told(figure, name, axis)] == []
