"""Servers of the page that the tests share, and a visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import ROOT, SETTLED, Server, by_streamlit_run, by_torchglass_ui, free_port, running

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="session")
def ui_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`torchglass ui`, started in a folder whose Streamlit configuration would open the page to everybody."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(
        "[server]\nenableCORS = false\naddress = '0.0.0.0'\n[browser]\ngatherUsageStats = true\n"
    )
    with running(by_torchglass_ui(free_port()), folder / "runs.db", folder) as server:
        yield server


@pytest.fixture(scope="session")
def clone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`streamlit run app.py`, in the clone."""
    folder = tmp_path_factory.mktemp("clone")
    with running(by_streamlit_run(free_port()), folder / "runs.db", ROOT) as server:
        yield server


@pytest.fixture
def server(ui_server: Server) -> Server:
    """A server without a store."""
    ui_server.clear()
    return ui_server


@pytest.fixture
def visit(page: Page, watched: Watched) -> Callable[[str], None]:
    """Open an address and wait until Streamlit has drawn it."""
    watched.errors.clear()
    page.on(
        "response",
        lambda answer: watched.errors.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
    )

    def open_page(address: str) -> None:
        page.goto(address)
        page.wait_for_selector(SETTLED)

    return open_page
