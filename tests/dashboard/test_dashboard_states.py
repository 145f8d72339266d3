"""Every page, in every state of the store, says something useful: no exception, no complaint, nothing asked abroad."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from browsing import Watched
from driving import RUN_PAGES, Server, wait_until
from hostile import ALL_AT_ONCE, CORPUS, FOREIGN, MEGABYTE, record_hostile_run, storable
from judged import record_judged
from recorded import record_example_run
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.serving.server import ENTRY_SCRIPT
from torchglass.store import ArtifactBlock, Store, open_store
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
        page.locator("code", has_text=re.compile(r"run\.log|torchglass\.|torchglass report")).first.wait_for()
        assert_calm(page, watched)


# What would load, run or lead elsewhere, had any text become more than text.
LEADS_AWAY = f"""[...document.querySelectorAll("*")].flatMap((element) => [...element.attributes]
    .filter((one) => /^on|^(href|src|srcset|action|formaction|data|poster|xlink:href|style)$/.test(one.name))
    .filter((one) => one.name.startsWith("on") || /{FOREIGN}|javascript:|data:text/.test(one.value))
    .map((one) => `${{element.tagName}} ${{one.name}}=${{one.value}}`))"""


@pytest.mark.parametrize(
    ("order", "addresses"),
    [(1, (*RUN_PAGES, "sweep", "train")), (-1, ("", "training", "model", "explain"))],
    ids=["forwards", "backwards"],
)
def test_no_text_of_a_hostile_store_is_obeyed(
    server: Server, page: Page, visit: Visit, watched: Watched, order: int, addresses: tuple[str, ...]
) -> None:
    texts = list(CORPUS.values())[::order]
    with server.fresh_store() as store:
        name = record_hostile_run(store, f"{ALL_AT_ONCE[:300]}{order}", texts).name
        for text in texts if "" in addresses else ():
            store.end_run(store.start_run(storable(text), {storable(text): 1}, host="h", pid=1).id, "failed")
    query = urlencode({"run": name})
    for address in addresses:
        visit(f"{server.url}/{address}?{query}")
        wait_until(page, "document.querySelectorAll('h2').length > 0")
        if address == "training":
            page.locator(".tg-plot .main-svg").first.wait_for()
            shown = set(page.locator(".tg-caption").all_text_contents())
            assert len(shown) > 20
            assert shown <= {f"{storable(text)}/loss" for text in texts}
        assert page.evaluate(LEADS_AWAY) == []
        assert page.locator("script:not([src])").count() == 2  # Streamlit's own and the one that names the server
        assert_calm(page, watched)


def test_a_name_of_a_megabyte_is_left_out_of_the_picker_and_stops_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    monkeypatch.setenv("TORCHGLASS_STORE", str(path))
    with open_store(path) as store:
        store.end_run(store.start_run("known", {}, host="h", pid=1).id, "finished")
        run = store.start_run(MEGABYTE, {}, host="h", pid=1)
        store.annotate(run.id, MEGABYTE)
        store.end_run(run.id, "failed", MEGABYTE)
    app = AppTest.from_file(str(ENTRY_SCRIPT), default_timeout=60).run()
    assert not app.exception
    assert app.query_params["run"] == "known"
    assert next(box for box in app.sidebar.selectbox if box.label == "Run").options == ["known"]


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
