"""What the tests of the page share: a real server as a user starts it, and ways to wait for what a browser shows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from torchglass.store import Store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

WAIT_SECONDS = 15
ROOT = Path(__file__).parents[2]
RUN_PAGES = (
    "training",
    "step_time",
    "kernels",
    "timeline",
    "devices",
    "memory",
    "distributions",
    "model",
    "quality",
    "compare",
    "explain",
    "report",
)
START_SECONDS = 90
READY = "torchglass is at "
SETTLED = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'


@dataclass(frozen=True)
class Server:
    """A running page: where it is, its process, and the path of its store."""

    url: str
    pid: int
    store_path: Path

    def fresh_store(self) -> Store:
        """An empty store in place of whatever was there."""
        self.clear()
        return open_store(self.store_path)

    def clear(self) -> None:
        """Take the store away."""
        for path in self.store_path.parent.glob(f"{self.store_path.name}*"):
            path.unlink()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: list[str],
    store_path: Path,
    folder: Path,
    *,
    address: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Start a server and wait for the line that says where it is; its store has a path, or an address of its own."""
    environment = {
        **os.environ,
        **(environment or {}),
        "TORCHGLASS_STORE": address or str(store_path),
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(READY):
                break
        else:
            pytest.fail(f"the server did not start: {''.join(said)}")
        watchdog.cancel()
        # Its pipe must not fill up; what it says after the start is of no interest.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Server(line.removeprefix(READY).strip(), process.pid, store_path)
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGINT)
        process.wait(30)


def by_streamlit_run(port: int, *options: str) -> list[str]:
    """The door for people with a clone."""
    return [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port), *options]


def by_torchglass_ui(port: int, *options: str) -> list[str]:
    """The door for people with the package."""
    return [sys.executable, "-m", "torchglass", "ui", "--port", str(port), *options]


def wait_until(page: Page, expression: str, wanted: str = "") -> Any:
    """Wait for a JavaScript expression to be true and return its value.

    Playwright's own `wait_for_function` evaluates text inside the page, which the page's security policy forbids.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if value := page.evaluate(expression):
            return value
        page.wait_for_timeout(50)
    raise AssertionError(f"never true within {WAIT_SECONDS} s: {wanted or expression}")
