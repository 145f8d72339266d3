"""Every page, in every state of the store, says something useful: no exception, no complaint, nothing asked abroad."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import RUN_PAGES, Server, wait_until
from judged import record_judged
from recorded import record_example_run

from torchglass.store import ArtifactBlock, Batch, Fact, RowBlock, Store
from torchglass.store.schema import APPLICATION_ID, SCHEMA_VERSION

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

ADDRESSES = ("", *RUN_PAGES)
CHECKPOINT_META = {"model": "lenet5", "dataset": "digits", "seed": 0, "test_accuracy": 0.99}
Visit = Callable[[str], None]


def no_store(server: Server) -> str:
    return "No store here yet"


def empty_store(server: Server) -> str:
    server.fresh_store().close()
    return "The store holds no run yet"


def text_file(server: Server) -> str:
    server.store_path.write_text("step,loss\n1,2.5\n" * 50)
    return "The store cannot be read"


def empty_file(server: Server) -> str:
    server.store_path.touch()
    return "The store cannot be read"


def newer_schema(server: Server) -> str:
    with sqlite3.connect(server.store_path) as connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    return "upgrade torchglass"


@pytest.mark.parametrize("fill", [no_store, empty_store, text_file, empty_file, newer_schema])
def test_a_page_without_a_run_says_what_to_do(
    server: Server, page: Page, visit: Visit, watched: Watched, fill: Callable[[Server], str]
) -> None:
    sentence = fill(server)
    for address in ("", "training", "explain"):
        visit(f"{server.url}/{address}")
        page.get_by_text(sentence).first.wait_for()
        page.locator("code", has_text="torchglass").first.wait_for()
        assert_calm(page, watched)


def test_the_page_goes_on_by_itself_once_a_run_begins(server: Server, page: Page, visit: Visit) -> None:
    visit(server.url)
    page.get_by_text("No store here yet").wait_for()
    with server.fresh_store() as store:
        page.get_by_text("The store holds no run yet").wait_for()
        record_example_run(store, status="running")
        page.get_by_test_id("stDataFrame").wait_for()


@pytest.mark.parametrize("has_run", [True, False])
def test_a_store_that_is_deleted_under_an_open_page_is_said_to_be_gone(
    server: Server, page: Page, visit: Visit, watched: Watched, has_run: bool
) -> None:
    with server.fresh_store() as store:
        if has_run:
            record_example_run(store, "example")
    visit(server.url)
    page.get_by_test_id("stDataFrame" if has_run else "stCode").first.wait_for()
    server.clear()
    page.get_by_text("No store here yet").wait_for()
    assert_calm(page, watched)


@pytest.mark.parametrize("status", ["finished", "running", "failed"])
def test_every_page_of_a_run_draws_without_a_complaint(
    server: Server, page: Page, visit: Visit, watched: Watched, status: str
) -> None:
    with server.fresh_store() as store:
        run = record_example_run(store, "example", gpu=status == "finished", status="running")
        add_checkpoint(store, run.id)
        record_judged(store, run.id)
        if status != "running":
            store.end_run(run.id, status, "RuntimeError: out of memory" if status == "failed" else None)
        for address in ADDRESSES:
            visit(f"{server.url}/{address}?run=example&sample=3")
            if address in ("training", "step_time", "devices"):
                page.locator(".tg-plot .main-svg").first.wait_for()
            if address in ("distributions", "kernels", "explain", "model", "quality"):
                page.locator(".tg-figure .main-svg").first.wait_for()
            if status == "failed" and address:
                page.get_by_text("RuntimeError: out of memory").wait_for()
            assert_calm(page, watched)


def test_every_page_of_a_run_that_recorded_nothing_says_what_to_do(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        store.end_run(store.start_run("bare", {}, host="here", pid=1).id, "finished")
    for address in RUN_PAGES:
        visit(f"{server.url}/{address}?run=bare")
        page.locator("code", has_text="run.log").or_(page.locator("code", has_text="torchglass.")).first.wait_for()
        assert_calm(page, watched)


HOSTILE = (
    "<img src=x onerror=alert(1)> ![p](http://evil.example/p.png) [l](http://evil.example) <script>alert(1)</script>",
    "--help $\\href{http://evil.example}{x}$ :material/home: %{y} www.evil.example me@evil.example",
    "../a\u202eb" + "ü" * 300,
)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_and_never_obeyed(
    server: Server, page: Page, visit: Visit, watched: Watched, name: str
) -> None:
    with server.fresh_store() as store:
        record_hostile_run(store, name)
    for address in ADDRESSES:
        visit(f"{server.url}/{address}")
        wait_until(page, "document.querySelectorAll('h2').length > 0")
        if address == "training":
            page.locator(".tg-plot .main-svg").first.wait_for()
            assert page.locator(".tg-caption").all_text_contents() == [f"{name}/loss"]
        assert page.locator("a[href*='evil.example'], img[src*='evil'], img[src='x']").count() == 0
        assert_calm(page, watched)


def record_hostile_run(store: Store, name: str) -> None:
    """A run whose every text is `name`."""
    run = record_example_run(store, name, config={name: name}, status="running")
    loss = next(series for series in store.series_of(run.id) if series.key == "loss")
    points = store.points(loss.id)
    hostile = store.start_run(name, {name: name}, host=name, pid=1)
    store.write(
        hostile.id,
        0,
        Batch(
            rows=[RowBlock.of_series(f"{name}/loss", "scalar", name, points.steps, points.times, points.values)],
            facts=[
                Fact(0, "devices/gpu", {"gpus": [], "reason": name, "missing": {name: name}}, 0.0),
                Fact(0, "devices/host", {"name": name, "cpu_count": name, "memory_total_bytes": name}, 0.0),
                Fact(0, "phases", {"clock": "host", "note": name}, 0.0),
                Fact(0, "warnings/0", name, 0.0),
            ],
            artifacts=[_samples(store, run.id, name)],
        ),
    )
    record_judged(store, hostile.id, names=[name] * 3, model=name)
    store.end_run(hostile.id, "failed", name)


def _samples(store: Store, run_id: int, name: str) -> ArtifactBlock:
    original = store.artifacts(run_id, kind="samples")[0]
    meta = {"class_names": [name] * 10, "dataset": name, "model": name}
    return ArtifactBlock("samples", "test", 1, 0.0, meta, store.arrays(original.id))


def add_checkpoint(store: Store, run_id: int) -> None:
    """Weights of nothing, which is enough for the page to offer explanations."""
    store.add_artifact(run_id, ArtifactBlock("checkpoint", "weights", 1, 0.0, CHECKPOINT_META, {}))


def test_a_deep_link_restores_the_page_and_the_run(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        for name in ("first", "second/with & signs", "third"):
            record_example_run(store, name)
    visit(f"{server.url}/kernels?run=second%2Fwith+%26+signs")
    page.get_by_role("heading", name="Kernels", exact=True).wait_for()
    assert page.get_by_role("combobox", name="Run").input_value() == "second/with & signs"
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Training").click()
    page.get_by_role("heading", name="Training").wait_for()
    wait_until(page, "location.search === '?run=second%2Fwith+%26+signs'")


def test_picking_a_run_writes_it_into_the_address(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "first")
        record_example_run(store, "second")
    visit(f"{server.url}/devices")
    wait_until(page, "location.search === '?run=second'")
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option", name="first").click()
    wait_until(page, "location.search === '?run=first'")


def test_an_unknown_run_in_the_address_is_said_to_be_missing(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "known")
    visit(f"{server.url}/training?run=%3Cb%3Egone")
    page.get_by_text("is not in the store").wait_for()
    page.get_by_text("Asked for: <b>gone").wait_for()
    page.get_by_text("The newest are: known").wait_for()
    assert_calm(page, watched)
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option", name="known").click()
    page.locator(".tg-plot .main-svg").first.wait_for()


def test_a_click_on_a_row_opens_the_run(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "older")
        record_example_run(store, "newer")
    visit(server.url)
    table = page.get_by_test_id("stDataFrame")
    table.wait_for()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 100, box["y"] + 35 + 35 + 17)  # second row: rows and header are 35 px high
    page.get_by_role("heading", name="Training").wait_for()
    wait_until(page, "location.search === '?run=older'")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Runs").click()
    page.get_by_role("heading", name="Runs").wait_for()
    page.get_by_test_id("stDataFrame").wait_for()


def assert_calm(page: Page, watched: Watched) -> None:
    """No exception on the page, none in the console, no dialog, no request to another machine."""
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_text("This page failed").count() == 0
    assert watched.errors == []
    assert watched.dialogs == []
    assert watched.foreign_requests == []
