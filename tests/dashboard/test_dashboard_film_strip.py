"""The section "Over training" in a browser, and in the report: a film strip above the drift of its maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until

from torchglass.report.contents import read_contents
from torchglass.report.figures import drawings
from torchglass.report.html import render
from torchglass.store import ArtifactBlock, Batch, Store
from torchglass.store.records import RowBlock

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[[str], None]
HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example)"
PLOTS = "[...document.querySelectorAll('.js-plotly-plot')]"


def record(store: Store, *, words: bool = False) -> int:
    """A run whose two probes were explained at three steps; their maps double from each step to the next."""
    run = store.start_run("probed", {}, host="here", pid=1).id
    map_ = np.arange(16.0, dtype=np.float16).reshape(1, 1, 4, 4)
    steps = np.array([0, 50, 99])
    for place, step in enumerate(steps.tolist()):
        for probe in range(2):
            values = (map_.reshape(1, 16) if words else map_) * 2**place
            inputs = np.ones((1, 16)) if words else np.full((1, 1, 4, 4), 0.5, np.float16)
            meta = {
                "method": "gradcam",
                "kind": "text" if words else "pictures",
                "target": 0,
                "label": 0,
                "class_names": [HOSTILE],
                "names": [f"{HOSTILE}{i}" for i in range(16)] if words else None,
            }
            arrays = {"attributions": values, "inputs": inputs, "outputs": np.array([1.0], np.float32)}
            store.add_artifact(run, ArtifactBlock("explanation", f"probe/{probe}", step, 0.0, meta, arrays))
    rows = [
        RowBlock.of_series(key, "scalar", "", steps, np.zeros(3), np.array([0.1, 0.5, 0.9]))
        for key in ("explanation/gradcam/drift", "explanation/gradcam/size", "validation/accuracy")
    ]
    store.write(run, 0, Batch(rows=rows))
    store.end_run(run, "finished")
    return run


@pytest.mark.browser
def test_a_run_with_probes_shows_its_film_strip_and_its_drift_without_any_samples(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record(store)
    visit(f"{server.url}/explain?run=probed")
    page.get_by_role("heading", name="Over training").wait_for()
    wait_until(page, f"{PLOTS}.map(plot => (plot.layout.images || []).length).includes(8)", "two inputs, six frames")
    names = page.evaluate(f"{PLOTS}.flatMap(plot => plot.data.map(one => one.name || ''))")
    assert {"validation/accuracy", "drift from the look before", "distance to the newest"} <= set(names)
    scale = page.evaluate(f"{PLOTS}[0].data[0].marker.cmax")
    assert scale == 60.0
    assert watched.errors == watched.dialogs == []
    assert watched.foreign_requests == []


@pytest.mark.browser
def test_a_method_of_a_hostile_name_is_offered_as_text(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    name = "![p](http://evil.example/p.png)"
    with server.fresh_store() as store:
        run = record(store)
        for artifact in store.artifacts(run, kind="explanation"):
            arrays = store.arrays(artifact.id)
            meta = {**artifact.meta, "method": name}
            store.add_artifact(run, ArtifactBlock("explanation", artifact.key, artifact.step, 0.0, meta, arrays))
    visit(f"{server.url}/explain?run=probed")
    page.get_by_role("radio", name="![p]").click()
    page.get_by_text("p.png), raw values up to 60.").wait_for()
    assert watched.errors == watched.dialogs == []
    assert watched.foreign_requests == []


@pytest.mark.browser
def test_a_run_without_probes_is_told_how_to_have_them(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        store.end_run(store.start_run("plain", {}, host="here", pid=1).id, "finished")
    visit(f"{server.url}/explain?run=plain")
    page.get_by_text("explains a few inputs again and again").wait_for()


@pytest.mark.parametrize("words", [False, True], ids=["pictures", "words"])
def test_the_report_has_the_strip_apart_from_the_samples_that_somebody_explained(tmp_path: Path, words: bool) -> None:
    with Store(tmp_path / "s.db") as store:
        record(store, words=words)
        contents = read_contents(store, store.run("probed"), written_at=0.0)
    assert contents.explanations == ()
    (read,) = contents.over_training
    assert (read.strip.limit, read.strip.steps) == (60.0, (0, 50, 99))
    drawn = [drawing for drawing in drawings(contents) if drawing.section == "over_training"]
    assert len(drawn) == (3 if words else 2)
    curves = [drawing.name for drawing in drawings(contents) if drawing.section == "curves"]
    assert curves == ["accuracy", "drift of explanations", "size of explanations"]
    text = render(contents)
    assert "All maps share one colour scale" in text
    assert "<img src=x" not in text
