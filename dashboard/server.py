"""The server: one Streamlit app with our routes, our headers and a pinned configuration, behind either of two doors."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import urllib.request
import webbrowser
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from torchglass.dashboard import api, jobs, notices
from torchglass.dashboard.base_address import BaseAddress
from torchglass.dashboard.security import Guard, is_loopback
from torchglass.errors import OptionError
from torchglass.store.location import VARIABLE

ENTRY_SCRIPT = Path(__file__).parent / "entry" / "script.py"
# Streamlit and our pages load these on first use: then the first visitor waits, and garbage collection grows slow.
LOADED_AT_START = ("torchglass.dashboard.navigation", "pandas", "pyarrow", "plotly.graph_objects", "PIL.Image")
START_DEADLINE_SECONDS = 60.0

# What a page's safety and speed rest on; a configuration file in somebody's folder must not change it. The door
# `streamlit run app.py` reads the same values from .streamlit/config.toml; a test holds the two together.
PINNED: Mapping[str, Any] = {
    "server.address": "127.0.0.1",
    "server.headless": True,
    "server.showEmailPrompt": False,
    "server.allowedHosts": ["localhost", "127.0.0.1", "::1"],
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": 1,
    "server.maxMessageSize": 32,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "type",
    "client.showErrorLinks": False,
    "client.toolbarMode": "viewer",
    "logger.hideWelcomeMessage": True,
    # Streamlit collects garbage after each run of a page, 74 ms with pandas and plotly loaded; see `freeze_imports`.
    "runner.postScriptGC": False,
    "runner.magicEnabled": False,
}

LOOK: Mapping[str, Any] = {
    "theme.baseFontSize": 15,
    "theme.headingFontSizes": ["2rem", "1.5rem", "1.25rem"],
    "theme.paddingTop": "2rem",
    "theme.light.primaryColor": "#0f766e",
    "theme.dark.primaryColor": "#0d9488",
    "theme.light.chartCategoricalColors": ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9"],
    "theme.dark.chartCategoricalColors": ["#56b4e9", "#f28e4c", "#2fc79a", "#e3a1c8", "#e6c34a", "#7aa6ff"],
}

Lifespan = Callable[[st.App], AbstractAsyncContextManager[None]]


def app_parts(*, open_browser: bool = False) -> dict[str, Any]:
    """What `st.App(**...)` takes, the same for both doors.

    `streamlit run` recognises an app by reading the file, so a door has to write `app = st.App(...)` itself.
    """
    return {
        "script_path": ENTRY_SCRIPT,
        "routes": api.routes(),
        "middleware": [Middleware(Guard), Middleware(BaseAddress)],
        "lifespan": _lifespan(open_browser=open_browser),
        "on_script_error": notices.page_failed,
    }


def serve(
    store: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 8501,
    open_browser: bool = False,
) -> None:
    """Serve the page for a store until stopped; prints `torchglass is at http://...` once it answers.

    Raises:
        OptionError: for a host that other machines can reach (the page has no login), or a port that is taken.
    """
    if not is_loopback(host):
        raise OptionError(
            f"host {host!r} can be reached from other machines and the page has no login: use 127.0.0.1, and from "
            f"elsewhere a tunnel such as `ssh -L {port}:127.0.0.1:{port} this-machine`"
        )
    _require_free(host, port)
    if store is not None:
        os.environ[VARIABLE] = os.fspath(store)
    app = st.App(**app_parts(open_browser=open_browser))
    app.run(config={**PINNED, **LOOK, "server.address": host, "server.port": port})


def freeze_imports() -> None:
    """Load every page now and keep what that made out of the garbage collector's sight for good."""
    for name in LOADED_AT_START:
        import_module(name)
    gc.collect()
    gc.freeze()


def _lifespan(*, open_browser: bool) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: st.App) -> AsyncIterator[None]:
        freeze_imports()
        announcement = asyncio.create_task(asyncio.to_thread(_announce, open_browser))
        try:
            yield
        finally:
            announcement.cancel()
            jobs.BOARD.stop_all()

    return lifespan


def _announce(open_browser: bool) -> None:
    """Say where the page is, once it answers. The socket listens already, so one request waits for the server."""
    host, port = config.get_option("server.address") or "127.0.0.1", config.get_option("server.port")
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    with urllib.request.urlopen(f"{address}{api.HEALTH_PATH}", timeout=START_DEADLINE_SECONDS):
        print(f"torchglass is at {address}", flush=True)
    if open_browser:
        webbrowser.open(address)


def _require_free(host: str, port: int) -> None:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise OptionError(
                f"port {port} on {host} is taken: stop what uses it, or choose another, such as {port + 1}"
            ) from error
