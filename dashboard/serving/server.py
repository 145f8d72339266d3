"""The server: one Streamlit app with our routes, our headers and a pinned configuration, behind either of two doors."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import urllib.error
import urllib.request
import webbrowser
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from torchglass.dashboard import notices
from torchglass.dashboard.answering import api
from torchglass.dashboard.ordering import jobs
from torchglass.dashboard.serving.allocator import share_arenas
from torchglass.dashboard.serving.base_address import BaseAddress
from torchglass.dashboard.serving.login.admission import (
    Admission,
    admission_of_environment,
    admit_by,
    require_admission,
)
from torchglass.dashboard.serving.login.password_login import PasswordLogin
from torchglass.dashboard.serving.security import LOOPBACK_NAMES, Guard, is_loopback
from torchglass.errors import OptionError
from torchglass.store.location import VARIABLE

ENTRY_SCRIPT = Path(__file__).parents[1] / "entry" / "script.py"
# Streamlit and our pages load these on first use: then the first visitor waits, and garbage collection grows slow.
LOADED_AT_START = ("torchglass.dashboard.navigation", "pandas", "pyarrow", "plotly.graph_objects", "PIL.Image")
START_DEADLINE_SECONDS = 60.0

# What a page's safety and speed rest on; a configuration file in somebody's folder must not change it. `streamlit run`
# reads the same values from .streamlit/config.toml, and `_pin` sets them once more over flags and the environment.
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
    "server.maxUploadSize": 8,  # MB: a photograph
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
# Harmless as Streamlit has them, and nobody's to change: who a header says that one is, foreign origins and frames.
LEFT_ALONE: Mapping[str, Any] = {
    "global.developmentMode": False,
    "server.corsAllowedOrigins": [],
    "server.trustedUserHeaders": {},
    "server.scriptHealthCheckEnabled": False,
    "client.allowedOrigins": [],
}
# Where the server listens is the user's to say, and has been read by the time that we are called.
_CHOSEN_AT_START = frozenset({"server.address", "server.headless"})

LOOK: Mapping[str, Any] = {
    "theme.baseFontSize": 15,
    "theme.headingFontSizes": ["2rem", "1.5rem", "1.25rem"],
    "theme.paddingTop": "2rem",
    # Those of our figures.
    "theme.chartCategoricalColors": ["#1a80bb", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"],
    # Streamlit fades captions to 60 % of the text colour: these keep 4.5:1 even so.
    "theme.light.textColor": "#141413",
    "theme.light.primaryColor": "#0d6b64",
    "theme.light.codeTextColor": "#141413",
    "theme.dark.primaryColor": "#0c8277",  # below white text; in the sidebar it is the text itself
    "theme.dark.sidebar.primaryColor": "#2dd4bf",
    "theme.dark.codeTextColor": "#e8e8e6",
}

Lifespan = Callable[[st.App], AbstractAsyncContextManager[None]]


def app_parts(*, open_browser: bool = False, admitted: Admission | None = None) -> dict[str, Any]:
    """What `st.App(**...)` takes, the same for both doors; without `admitted` the environment says who may come in.

    `streamlit run` recognises an app by reading the file, so a door has to write `app = st.App(...)` itself.

    Raises:
        SystemExit: the environment or Streamlit's configuration opens the page to others without a log-in.
    """
    chosen = admitted if admitted is not None else _admitted_at_the_doorstep()
    admit_by(chosen)
    _pin(chosen, is_configured=admitted is None)
    login = [Middleware(PasswordLogin, chosen.passwords)] if chosen.passwords is not None else []
    return {
        "script_path": ENTRY_SCRIPT,
        "routes": api.routes(),
        "middleware": [
            Middleware(Guard, chosen.hosts, only_here=not chosen.is_open_to_others),
            *login,
            Middleware(BaseAddress),
        ],
        "lifespan": _lifespan(open_browser=open_browser),
        "on_script_error": notices.page_failed,
    }


def serve(
    store: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 8501,
    open_browser: bool = False,
    admitted: Admission | None = None,
) -> None:
    """Serve the page for a store until stopped; prints `torchglass is at http://...` once it answers.

    Who may come in is said by `admitted`, else by the environment.

    Raises:
        OptionError: for a host that others can reach where nobody would have to log in, or a port that is taken.
    """
    chosen = admitted if admitted is not None else admission_of_environment()
    require_admission(host, chosen, port)
    _require_free(host, port)
    if store is not None:
        os.environ[VARIABLE] = os.fspath(store)
    chosen = replace(chosen, hosts=chosen.hosts | _names_of(host))
    app = st.App(**app_parts(open_browser=open_browser, admitted=chosen))
    app.run(config={**PINNED, **LOOK, "server.address": host, "server.port": port, **_hosts_pinned(chosen)})


def _pin(chosen: Admission, *, is_configured: bool) -> None:
    """Set what must not be otherwise: now, if Streamlit has read its configuration, and whenever it does so again."""

    def set_all() -> None:
        for key, value in {**PINNED, **LEFT_ALONE, **_hosts_pinned(chosen)}.items():
            if key not in _CHOSEN_AT_START:
                config.set_option(key, value)

    if is_configured:
        set_all()
    config.on_config_parsed(set_all, force_connect=True)


def _hosts_pinned(chosen: Admission) -> Mapping[str, Any]:
    """The names that Streamlit takes on its websocket; our own check, before it, also knows the addresses reached."""
    return {"server.allowedHosts": ["*"] if chosen.is_open_to_others else sorted(LOOPBACK_NAMES | chosen.hosts)}


def _admitted_at_the_doorstep() -> Admission:
    """Who may come in by `streamlit run`, which would show an error of ours as a traceback."""
    address: str | None = config.get_option("server.address")
    try:
        chosen = admission_of_environment()
        require_admission(address, chosen, config.get_option("server.port"))
    except OptionError as error:
        sys.exit(f"torchglass: {error}")
    return replace(chosen, hosts=chosen.hosts | _names_of(address))


def _names_of(address: str | None) -> frozenset[str]:
    """The name that a server is called by because it listens there; "all addresses" is none."""
    return frozenset() if address in (None, "0.0.0.0", "::") else frozenset({address.lower()})


def freeze_imports() -> None:
    """Load every page now and keep what that made out of the garbage collector's sight for good."""
    for name in LOADED_AT_START:
        import_module(name)
    gc.collect()
    gc.freeze()


def _lifespan(*, open_browser: bool) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: st.App) -> AsyncIterator[None]:
        share_arenas()
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
    given, port = config.get_option("server.address") or "0.0.0.0", config.get_option("server.port")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(given, given)
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if scheme == "http":
        _await_answer(f"{address}{api.HEALTH_PATH}")
    print(f"torchglass is at {address}", flush=True)
    if not is_loopback(given):
        print(f"other machines reach it at port {port} of this one's addresses", flush=True)
    if open_browser:
        webbrowser.open(address)


def _await_answer(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=START_DEADLINE_SECONDS).close()
    except urllib.error.HTTPError as refusal:
        refusal.close()  # "log in first" is an answer, too


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
