"""The sections What if and Shortcuts in a browser: a change is ordered and drawn, a search is told in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from browsing import Watched
from driving import Server, wait_until

from torchglass.reference_models import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.weights import state_arrays
from torchglass.store import ArtifactBlock, Run, Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]
PLOTS = "[...document.querySelectorAll('.js-plotly-plot')]"
NAMES = f"{PLOTS}.flatMap(plot => plot.data.map(one => one.name)).join()"
HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) $x$ :material/home:"
JOB_MS = 60_000


def effect(mean: float) -> dict[str, Any]:
    bounds = {"low": mean - 0.1, "high": mean + 0.1, "p": 0.025}
    return {"pictures": 20, "mean": mean, "control": 0.01, "changed": 0.9, "control_changed": 0.0, **bounds}


def a_run(store: Store, name: str, form: DataForm, arrays: dict[str, npt.NDArray[Any]]) -> Run:
    """A run with fresh weights at two checkpoints and the samples."""
    run = store.start_run(name, {"model": name}, host="here", pid=1)
    notes = {"model": name, "dataset": "drawn", "seed": 0, "form": form.to_json(), "dropout": None}
    for step in (5, 10):
        torch.manual_seed(step)
        block = ArtifactBlock("checkpoint", "weights", step, 0.0, notes, state_arrays(get(name).build(form)))
        store.add_artifact(run.id, block)
    meta = notes | {"class_names": list(form.class_names), "feature_names": list(form.feature_names)}
    store.add_artifact(run.id, ArtifactBlock("samples", "test", 10, 0.0, meta, arrays))
    store.end_run(run.id, "finished")
    return run


def pictures() -> dict[str, npt.NDArray[Any]]:
    drawn = np.random.default_rng(0).integers(0, 256, (30, 3, 16, 16)).astype(np.uint8)
    return {"inputs": drawn[:12], "background": drawn[12:], "targets": np.arange(12) % 3}


def search(*, confirmed: bool) -> ArtifactBlock:
    one = {
        "box": [2, 4, 6, 8],
        "confirmed": confirmed,
        "erase": effect(0.5),
        "paste": effect(0.8),
        "sentence": f"Sentence about {HOSTILE}",
    }
    arrays = {
        "mean_picture": np.full((3, 16, 16), 0.5, np.float32),
        "mean_map_0": np.ones((16, 16), np.float16),
        "examples_0": np.zeros((2, 3, 16, 16), np.uint8),
        "example_maps_0": np.ones((2, 16, 16), np.float16),
    }
    meta = {"suspects": [one], "pictures": 30, "method": "gradcam"}
    return ArtifactBlock("shortcuts", "pictures", 10, 0.0, meta, arrays)


def test_a_region_is_erased_by_a_job_and_the_answers_of_all_checkpoints_are_drawn(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    form = DataForm("pictures", "classification", (3, 16, 16), ("ring", HOSTILE, "cross"))
    with server.fresh_store() as store:
        a_run(store, "simple_cnn", form, pictures())
    visit(f"{server.url}/explain?run=simple_cnn&sample=3")
    page.get_by_text("Nobody has looked for shortcuts in this run.").wait_for()
    page.get_by_role("button", name="Try it").click()
    told = "columns 0 to 1, rows 0 to 1 erased with patches of training pictures"
    page.get_by_text(told, exact=True).wait_for(timeout=JOB_MS)
    wait_until(page, f"{NAMES} === 'before,after,before,after'", "scores and checkpoints")
    steps = page.evaluate(f"{PLOTS}[1].data[0].x.join()")
    assert steps == "5,10"
    with Store(server.store_path) as store:
        (trial,) = store.artifacts(store.run("simple_cnn").id, kind="what_if")
    assert (trial.key, trial.meta["box"]) == ("test/3", [0, 0, 2, 2])
    assert watched.errors == []
    assert watched.dialogs == []
    assert watched.foreign_requests == []


def test_a_column_is_set_within_the_span_of_the_kept_rows(server: Server, page: Page, visit: Visit) -> None:
    form = DataForm("table", "classification", (2,), ("no", "yes"), ("age", "size"))
    rows = np.array([[float(k), 7.0] for k in range(8)], np.float32)
    with server.fresh_store() as store:
        a_run(store, "linear", form, {"inputs": rows, "background": rows, "targets": np.zeros(8, np.int64)})
    visit(f"{server.url}/explain?run=linear&sample=1")
    page.get_by_text("Move a slider: all stand at the values that the sample has.").wait_for()
    page.get_by_role("slider", name="age").focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Try it").click()
    page.get_by_text("age becomes 7", exact=True).wait_for(timeout=JOB_MS)


def test_a_column_that_is_called_like_the_number_of_another_is_the_one_that_changes_in_steps_of_its_span(
    server: Server, page: Page, visit: Visit
) -> None:
    form = DataForm("table", "classification", (2,), ("no", "yes"), ("1", "0"))
    rows = np.array([[k / 2000, 7.0] for k in range(8)], np.float32)
    with server.fresh_store() as store:
        a_run(store, "linear", form, {"inputs": rows, "background": rows, "targets": np.zeros(8, np.int64)})
    visit(f"{server.url}/explain?run=linear&sample=1")
    page.get_by_text("0.00050", exact=True).wait_for()
    page.get_by_role("slider", name="1").focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Try it").click()
    page.get_by_text("1 becomes 0.0035", exact=True).wait_for(timeout=JOB_MS)


@pytest.mark.parametrize("confirmed", [True, False], ids=["confirmed", "not confirmed"])
def test_a_search_is_told_with_its_verdict(
    server: Server, page: Page, visit: Visit, watched: Watched, confirmed: bool
) -> None:
    form = DataForm("pictures", "classification", (3, 16, 16), ("ring", "star", "cross"))
    with server.fresh_store() as store:
        run = a_run(store, "simple_cnn", form, pictures())
        store.add_artifact(run.id, search(confirmed=confirmed))
    visit(f"{server.url}/explain?run=simple_cnn")
    said = "1 confirmed. The model decides by a small" if confirmed else "none confirmed. Pasted into other pictures"
    page.get_by_text(said).wait_for()
    verdict = "Confirmed" if confirmed else "Not confirmed"
    page.get_by_text(f"{verdict}: columns 2 to 5, rows 4 to 7", exact=True).wait_for()
    wait_until(page, f"{NAMES}.includes('this spot,random spots')", "effects")
    page.get_by_text("Sentence about <img src=x").wait_for()
    assert page.get_by_role("button", name="Look again").is_visible()
    assert watched.errors == []
    assert watched.dialogs == []


def test_runs_of_rows_have_no_section_for_shortcuts(server: Server, page: Page, visit: Visit) -> None:
    form = DataForm("table", "classification", (2,), ("no", "yes"), ("age", "size"))
    rows = np.ones((8, 2), np.float32)
    with server.fresh_store() as store:
        a_run(store, "linear", form, {"inputs": rows, "background": rows, "targets": np.zeros(8, np.int64)})
    visit(f"{server.url}/explain?run=linear")
    page.get_by_text("Every column has one value in all kept samples: none can be moved.").wait_for()
    assert page.get_by_text("Look for shortcuts").count() == 0
