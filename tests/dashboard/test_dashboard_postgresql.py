"""The page on a database: it comes up before the store does, shows it, and never says how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil
import pytest
from browsing import Watched
from driving import Server as PageServer
from driving import by_torchglass_ui, free_port, running, wait_until
from postgresql import PASSWORD, Server
from recorded import record_example_run

from torchglass.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.postgresql, pytest.mark.browser]


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.url()


@pytest.fixture
def served(url: str, tmp_path: Path) -> Iterator[PageServer]:
    """`torchglass ui` on a database in which no store was made yet."""
    with running(by_torchglass_ui(free_port()), tmp_path / "unused.db", tmp_path, address=url) as server:
        yield server


def assert_tells_no_password(page: Page) -> None:
    for text in (page.content(), page.url):
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text


def test_the_page_finds_a_store_that_appears_in_a_database_and_shows_it(
    postgresql: Server, url: str, served: PageServer, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    visit(served.url)
    page.get_by_text("No store here yet").wait_for()
    page.get_by_text("Looked for postgresql://").wait_for()
    assert_tells_no_password(page)
    with Store(url) as store:
        page.get_by_text("The store holds no run yet").wait_for()
        record_example_run(store, status="running")
    page.get_by_text("Click a cell to open a run").wait_for()
    visit(f"{served.url}/training?run=example")
    wait_until(page, "document.querySelectorAll('.js-plotly-plot').length > 2", "charts are drawn")
    assert_tells_no_password(page)
    for address in ("distributions", "explain", "report"):
        visit(f"{served.url}/{address}?run=example")
        assert page.get_by_text("This page failed").count() == 0
        assert_tells_no_password(page)
    assert watched.errors == []
    commands = [" ".join(each.cmdline()) for each in psutil.Process(served.pid).children(recursive=True)]
    assert not [command for command in commands if quote(PASSWORD, safe="") in command]

    postgresql.stop()
    try:
        visit(f"{served.url}/training?run=example")
        page.get_by_text("The store cannot be read").wait_for()
        assert_tells_no_password(page)
    finally:
        postgresql.start()
    visit(f"{served.url}/training?run=example")
    wait_until(page, "document.querySelectorAll('.js-plotly-plot').length > 2", "charts are drawn again")


@pytest.mark.slow
def test_a_job_that_the_page_starts_finds_the_database(
    url: str, served: PageServer, page: Page, visit: Callable[[str], None]
) -> None:
    with Store(url) as store:
        record_example_run(store)
        visit(f"{served.url}/train")
        page.get_by_label("Epochs", exact=True).fill("1")
        page.get_by_label("Run name", exact=True).fill("ordered")
        page.get_by_role("button", name="Train", exact=True).click()
        # The form sends what was typed when its button is pressed; the run then appears in the database.
        for _ in range(1200):
            if [run.name for run in store.runs() if run.status == "finished"] == ["ordered", "example"]:
                break
            page.wait_for_timeout(50)
        assert store.run("ordered").status == "finished"
    assert_tells_no_password(page)
