"""The pages Model and Quality, and the form that trains, in a browser: what they draw, and what they say without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until
from judged import (
    FUNCTION,
    PARAMETER,
    add,
    graph_meta,
    graph_table,
    layers_table,
    lenet_graph,
    record_detector,
    record_generated,
    record_judged,
    record_regression,
)
from streamlit.testing.v1 import AppTest

from torchglass.store import Run, Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]
HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) %{y} $x$ :material/home:"
PLOTS = "[...document.querySelectorAll('.js-plotly-plot')]"
BOXES = f"{PLOTS}.flatMap(plot => (plot.layout.annotations || []).map(box => box.text)).join()"
TRACES = f"{PLOTS}.flatMap(plot => plot.data.map(one => one.name)).join()"
CELLS = f"{PLOTS}[0]?.data.filter(one => one.mode === 'text').flatMap(one => [...one.text]).sort().join()"


def a_run(store: Store, fill: Callable[[Store, int], None]) -> Run:
    run = store.start_run("judged", {}, host="here", pid=1)
    fill(store, run.id)
    store.end_run(run.id, "finished")
    return run


def test_a_model_shows_its_layers_and_its_graph_as_operations_and_as_modules(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        a_run(store, record_judged)
    visit(f"{server.url}/model?run=judged")
    page.get_by_text("61,706 parameters, all of which train").wait_for()
    page.get_by_test_id("stDataFrame").first.wait_for()
    wait_until(page, f"{BOXES}.includes('conv1.weight')", "every operation")
    assert "<b>SiLU</b>" in page.evaluate(BOXES)
    page.get_by_text("25 nodes.").wait_for()
    page.get_by_role("radio", name="Modules").or_(page.get_by_role("button", name="Modules")).click()
    wait_until(page, f"{BOXES} === 'fc3,<b>fc2</b>,fc1,conv2,conv1'", "modules")
    page.get_by_text("25 nodes in 5 modules.").wait_for()
    calm(page, watched)


def test_a_graph_that_is_too_large_says_so_and_parameters_without_a_part_are_named(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    def fill(store: Store, run_id: int) -> None:
        meta = graph_meta(graph_table([], []), nodes=4321, too_large=True, unreached=[HOSTILE], unreached_count=13)
        add(store, run_id, "graph", "autograd", graph_table([], []), meta)

    with server.fresh_store() as store:
        a_run(store, fill)
    visit(f"{server.url}/model?run=judged")
    page.get_by_text("Too large to draw (4,321 nodes)").wait_for()
    page.get_by_text("13 parameters train and have no part in this result").wait_for()
    page.get_by_text(HOSTILE[:20]).wait_for()
    calm(page, watched)


def test_parts_that_are_called_apart_have_a_graph_each_and_names_are_never_obeyed(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    def fill(store: Store, run_id: int) -> None:
        hostile = graph_table([(HOSTILE, FUNCTION, "", HOSTILE), ("A", PARAMETER, f"{HOSTILE}.w", "")], [(0, 1)])
        add(store, run_id, "graph", "layers", layers_table(((HOSTILE, HOSTILE, 7),)), {"class": HOSTILE})
        add(store, run_id, "graph", "autograd", hostile, graph_meta(hostile, part="critic"))
        table = lenet_graph()
        add(store, run_id, "graph", "autograd", table, graph_meta(table, part="generator"))

    with server.fresh_store() as store:
        a_run(store, fill)
    visit(f"{server.url}/model?run=judged")
    wait_until(page, f"{BOXES}.includes('&lt;img')", "the hostile name, escaped")
    page.get_by_role("radio", name="generator").or_(page.get_by_role("button", name="generator")).click()
    wait_until(page, f"{BOXES}.includes('conv1.weight')", "the other part")
    calm(page, watched)


def test_a_classifier_shows_its_matrix_at_every_step_and_its_calibration(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        a_run(store, record_judged)
    visit(f"{server.url}/quality?run=judged")
    page.get_by_text("94.03 % of 134 samples are right.").wait_for()
    wait_until(page, f"{CELLS}?.startsWith('1,2,2,27')", "counts of the last step")
    page.get_by_text("Expected calibration error: 10 % (15 bins of equal width)").wait_for()
    wait_until(page, f"{TRACES}.includes('as sure as right')", "calibration")
    page.get_by_test_id("stSlider").get_by_role("slider").first.press("Home")
    page.get_by_text("84.00 % of 50 samples are right.").wait_for()
    wait_until(page, f"{CELLS} === '1,15,18,2,2,3,9'", "counts of the first step")
    page.get_by_role("radio", name="% of the row").or_(page.get_by_role("button", name="% of the row")).click()
    wait_until(page, f"{CELLS} === '10,10,10,15,75,90,90'", "shares")
    calm(page, watched)


@pytest.mark.parametrize(
    ("fill", "said", "drawn"),
    [
        (record_regression, "59 samples: root mean square error 2", f"{TRACES}.includes('exact')"),
        (record_detector, "70.00 % of 10 found boxes have the right class.", f"{TRACES}.includes('found')"),
        (record_generated, "Generated pictures", f"{PLOTS}.some(plot => plot.data.some(one => one.type === 'image'))"),
    ],
    ids=["regression", "detector", "generator"],
)
def test_other_tasks_show_what_they_have(
    server: Server,
    page: Page,
    visit: Visit,
    watched: Watched,
    fill: Callable[[Store, int], None],
    said: str,
    drawn: str,
) -> None:
    with server.fresh_store() as store:
        a_run(store, fill)
    visit(f"{server.url}/quality?run=judged")
    page.get_by_text(said).first.wait_for()
    wait_until(page, drawn)
    calm(page, watched)


def test_scores_of_a_foreign_run_that_are_no_scores_break_nothing(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    def fill(store: Store, run_id: int) -> None:
        arrays = {name: np.zeros(3) for name in ("confusion", "calibration", "detections", "average_precision")}
        add(store, run_id, "scores", "test", arrays, {"class_names": HOSTILE})

    with server.fresh_store() as store:
        a_run(store, fill)
    visit(f"{server.url}/quality?run=judged")
    page.get_by_text("Scores at step 0").wait_for()
    calm(page, watched)


def test_the_form_shows_the_command_that_it_makes_and_why_there_is_none(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        a_run(store, record_regression)
    visit(f"{server.url}/train")
    command = page.get_by_test_id("stCode").last
    wait_until(page, "document.body.innerText.includes('torchglass train lenet5')")
    page.get_by_label("Epochs", exact=True).fill("3")
    page.get_by_label("Run name", exact=True).fill("my run")
    page.keyboard.press("Tab")
    page.get_by_text("torchglass train lenet5 --epochs=3 '--run=my run'").wait_for()
    assert command.inner_text().strip() == "torchglass train lenet5 --epochs=3 '--run=my run'"
    choose(page, "Model", "mlp")
    wait_until(page, "document.body.innerText.includes('torchglass train mlp')")
    choose(page, "Data set", "csv")
    page.get_by_text("This cannot be trained so.").wait_for()
    page.get_by_text("is read from a file of yours").first.wait_for()
    calm(page, watched)


def test_the_form_offers_what_the_chosen_model_heeds() -> None:
    def script() -> None:
        from torchglass.dashboard.ordering.training_order import order_training

        order_training()

    # Without a browser, which may go on showing a field that the page has dropped until it is next used.
    form = AppTest.from_function(script, default_timeout=30).run()

    def model() -> Any:
        return next(box for box in form.selectbox if box.label == "Model")

    def offered() -> set[str]:
        return {field.label for field in (*form.toggle, *form.selectbox, *form.number_input, *form.button)}

    assert offered() >= {"Augment", "Epochs", "Train", "Mixed precision"}
    model().select("ppo").run()
    assert not offered() & {"Augment", "Mixed precision"}
    assert offered() >= {"Learning rate", "Train"}
    model().select("mlp").run()
    next(box for box in form.selectbox if box.label == "Data set").select("csv").run()
    assert "Train" not in offered()
    assert [warning.value for warning in form.warning] == ["This cannot be trained so."]


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label, exact=True).first.click()
    page.get_by_role("option", name=option).first.click()


def calm(page: Page, watched: Watched) -> None:
    """No exception on the page, none in the console, no dialog, no request to another machine."""
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_text("This page failed").count() == 0
    complaints: tuple[list[Any], ...] = (watched.errors, watched.dialogs, watched.foreign_requests)
    assert complaints == ([], [], [])
