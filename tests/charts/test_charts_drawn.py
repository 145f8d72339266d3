"""Every chart of a recorded run, drawn by a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import pytest
from browsing import Watched
from plotly.offline import get_plotlyjs
from profiled import gpu_window
from recorded import record_example_run

from torchglass import charts
from torchglass.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page


def all_figures(store: Store, run_id: int, start: float) -> Iterator[go.Figure]:
    scalars = charts.read_series(store, run_id, kind="scalar")
    curves = [charts.Curve(record.series.key, record.points, start) for record in scalars]
    for axis in ("step", "relative", "wall"):
        yield charts.scalars_figure(charts.scalars_data(curves, x_axis=axis, smoothing=0.6), log_y=axis == "step")
    histograms = charts.histograms_data(store.histograms(run_id, "weights/conv1.weight"))
    yield charts.histograms_figure(histograms)
    yield charts.percentiles_figure(histograms)
    yield charts.ridgelines_figure(charts.ridgelines_data(store.histograms(run_id, "weights/conv1.weight")))
    layers = charts.read_series(store, run_id, kind="layer")
    yield charts.gradient_flow_figure(charts.gradient_flow_data(layers, "gradient_norm"))
    yield charts.gradient_flow_figure(charts.gradient_flow_data(layers, "update_ratio"))
    phases = charts.phases_data(charts.read_series(store, run_id, kind="phase", max_points=None))
    yield charts.phases_figure(phases)
    yield charts.phase_shares_figure(phases)
    for panel in charts.devices_data(charts.read_series(store, run_id, kind="device"), start=start):
        yield charts.devices_figure(panel)
    windows = store.windows(run_id)
    tables = charts.read_tables(store, windows)
    yield charts.kernels_figure(charts.kernels_data(tables["kernels"], "kernel", windows))
    profiled = gpu_window()
    yield charts.breakdown_figure(charts.breakdown_data(profiled.tables["breakdown"]))
    yield charts.icicle_figure(charts.icicle_data(profiled.tables["links"]), steps=3)
    yield charts.idle_figure(charts.idle_data(profiled.tables["idle"]), steps=3)
    yield charts.timeline_figure(charts.timeline_data(profiled.tables))
    explained = [
        charts.Explained(artifact, store.arrays(artifact.id))
        for artifact in store.artifacts(run_id, kind="explanation", key="test/7")
    ]
    yield from charts.explanation_figures(charts.explanations_data(explained))
    yield charts.empty_figure("because")


def _real(problems: list[dict[str, Any]]) -> list[str]:
    """Without the complaint that a typed array in base64 is no array: plotly draws it all the same."""
    return [problem["msg"] for problem in problems if problem["code"] != "array"]


@pytest.mark.browser
def test_plotly_draws_every_figure_without_a_complaint(tmp_path: Path, page: Page, watched: Watched) -> None:
    with Store(tmp_path / "a.db") as store:
        run = record_example_run(store, gpu=True)
        figures = list(all_figures(store, run.id, run.created_at))
    page.set_content("<body></body>")
    page.add_script_tag(content=get_plotlyjs())
    drawn: list[dict[str, Any]] = page.evaluate(
        """async (figures) => {
            const results = [];
            for (const figure of figures.map(JSON.parse)) {
                const box = document.body.appendChild(document.createElement("div"));
                await Plotly.newPlot(box, figure.data, figure.layout);
                results.push({problems: Plotly.validate(box.data, box.layout) || [], height: box.offsetHeight});
            }
            return results;
        }""",
        [figure.to_json() for figure in figures],
    )
    assert len(drawn) == len(figures) >= 20
    assert [_real(result["problems"]) for result in drawn] == [[]] * len(figures)
    assert all(result["height"] > 100 for result in drawn)
    assert watched.errors == []
    assert watched.foreign_requests == []
