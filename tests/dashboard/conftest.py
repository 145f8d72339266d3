"""Servers of the page that the tests share, and a visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import SETTLED, Server, by_streamlit_run, by_torchglass_ui, free_port, running

from torchglass.passwords import line_for

if TYPE_CHECKING:
    from playwright.sync_api import Page


HOSTILE_CONFIGURATION = """
[server]
enableCORS = false
enableXsrfProtection = false
enableStaticServing = true
enableAgentApi = true
allowedHosts = []
corsAllowedOrigins = ["http://evil.example"]
maxUploadSize = 4000
trustedUserHeaders = '{"X-User": "email"}'
{address}
[client]
showErrorDetails = "full"
toolbarMode = "developer"
allowedOrigins = ["http://evil.example"]
[browser]
gatherUsageStats = true
"""
HOSTILE_ENVIRONMENT = {
    "STREAMLIT_SERVER_ENABLE_CORS": "false",
    "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "false",
    "STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "true",
    "STREAMLIT_SERVER_ENABLE_AGENT_API": "true",
    "STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "full",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "true",
    "STREAMLIT_RUNNER_POST_SCRIPT_GC": "true",
}
NAME, PASSWORD = "ada", "correct horse battery"
GIVEN_NAME = "glass.example"


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


def hostile_folder(folder: Path, address: str = "") -> Path:
    """A folder whose Streamlit configuration would take every guard down."""
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(HOSTILE_CONFIGURATION.replace("{address}", address))
    return folder


def password_file(folder: Path) -> Path:
    path = folder / "passwords"
    path.write_text(f"{line_for(NAME, PASSWORD)}\n")
    path.chmod(0o600)
    return path


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
