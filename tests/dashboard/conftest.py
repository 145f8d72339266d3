"""Servers of the page that the tests share, and a visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import SETTLED, Server, by_streamlit_run, by_torchglass_ui, free_port, running
from guarding import GIVEN_NAME, HOSTILE_ENVIRONMENT, hostile_folder, password_file

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="session")
def ui_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`torchglass ui`, started where Streamlit's configuration would open the page to everybody."""
    folder = hostile_folder(tmp_path_factory.mktemp("elsewhere"), "address = '0.0.0.0'")
    command = by_torchglass_ui(free_port())
    with running(command, folder / "runs.db", folder, environment=HOSTILE_ENVIRONMENT) as server:
        yield server


@pytest.fixture(scope="session")
def clone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`streamlit run app.py`, started where configuration and environment would open the page to everybody."""
    folder = hostile_folder(tmp_path_factory.mktemp("clone"), "address = '0.0.0.0'")
    command = by_streamlit_run(free_port())
    with running(command, folder / "runs.db", folder, environment=HOSTILE_ENVIRONMENT) as server:
        yield server


@pytest.fixture(scope="session")
def ui_server_with_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`torchglass ui --host 0.0.0.0` with a password file and a name of its own."""
    folder = hostile_folder(tmp_path_factory.mktemp("shared"))
    file = password_file(folder)
    options = ("--host", "0.0.0.0", "--password-file", str(file), "--allow-host", GIVEN_NAME)
    command = by_torchglass_ui(free_port(), *options)
    with running(command, folder / "runs.db", folder, environment=HOSTILE_ENVIRONMENT) as server:
        yield server


@pytest.fixture(scope="session")
def clone_server_with_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`streamlit run app.py --server.address 0.0.0.0`, told of a password file by the environment."""
    folder = hostile_folder(tmp_path_factory.mktemp("shared-clone"))
    said = {"TORCHGLASS_PASSWORD_FILE": str(password_file(folder)), "TORCHGLASS_ALLOW_HOSTS": GIVEN_NAME}
    command = by_streamlit_run(free_port(), "--server.address", "0.0.0.0")
    with running(command, folder / "runs.db", folder, environment={**HOSTILE_ENVIRONMENT, **said}) as server:
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
