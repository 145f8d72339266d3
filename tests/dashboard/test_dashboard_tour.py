"""The tour as a newcomer takes it: one command, a page that is up while the model trains, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import RUN_PAGES, free_port, wait_until

from torchglass.store import Run, Store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LOSS = '.tg-chart[data-key="loss"] .tg-plot'
LOSS_POINTS = f"document.querySelector('{LOSS}')?.data?.[0]?.x.length"
PAGES = ("", *RUN_PAGES)


class Tour:
    """`torchglass demo` in an empty folder with an empty home, and what it has said so far."""

    def __init__(self, folder: Path, *options: str) -> None:
        home = folder / "home"
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "HOME": str(home), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torchglass", "demo", *options],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._heard = threading.Condition()
        for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.errors)):
            threading.Thread(target=self._listen, args=(stream, lines), daemon=True).start()

    def _listen(self, stream: Iterator[str], lines: list[str]) -> None:
        for line in stream:
            with self._heard:
                lines.append(line.rstrip())
                self._heard.notify_all()

    def wait_for(self, start: str, seconds: float = 180) -> str:
        """Wait for a line that begins so, and return it."""
        with self._heard:
            found = self._heard.wait_for(lambda: next((x for x in self.lines if x.startswith(start)), None), seconds)
        assert found, f"no line {start!r} in {self.lines} {self.errors[-5:]}"
        return found


@contextmanager
def tour(folder: Path, *options: str) -> Iterator[Tour]:
    """Take the tour, and end it by Ctrl-C as a person would."""
    running = Tour(folder, *options)
    try:
        yield running
    finally:
        running.process.send_signal(signal.SIGINT)
        running.process.wait(60)


def test_the_page_is_up_before_training_and_every_page_shows_what_was_recorded(
    tmp_path: Path, page: Page, watched: Watched
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tour(tmp_path, "--port", str(port)) as running:
        running.wait_for("torchglass is at")
        assert urllib.request.urlopen(address, timeout=30).status == 200
        assert not any(line.startswith("Test accuracy") for line in running.lines)
        running.wait_for("Training lenet5")
        page.goto(f"{address}/training?run=demo")
        page.wait_for_selector('[data-testid="stApp"]')
        running.wait_for("The page stays at")
        wait_until(page, f"{LOSS_POINTS} > 500")
        for name in PAGES:
            page.goto(f"{address}/{name}?run=demo")
            page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
            page.wait_for_timeout(2500)
            assert page.get_by_test_id("stException").count() == 0, name
        assert watched.errors == []
        assert watched.foreign_requests == []
    assert running.process.returncode in (0, 130)
    assert not [line for line in running.errors if "Traceback" in line]
    with open_store(tmp_path / "torchglass.db", read_only=True) as store:
        run = store.run("demo")
        assert run.status == "finished"
        accuracy = store.find_series(run.id, "test/accuracy")
        assert accuracy is not None
        assert accuracy.last is not None
        assert accuracy.last >= 0.97
        assert explained(store, run) == {"test": 9, "probe": 4}
        assert {row.kind for window in store.windows(run.id) for row in window.rows} >= {"operator"}
    report = tmp_path / "torchglass-report.html"
    assert 1_000_000 < report.stat().st_size < 8_000_000
    page.goto(report.as_uri())
    assert page.title()


def test_the_tour_without_the_page_ends_by_itself_and_twice_is_harmless(tmp_path: Path) -> None:
    with tour(tmp_path, "--no-ui") as first:
        assert first.process.wait(180) == 0
    with tour(tmp_path, "--no-ui") as second:
        assert second.process.wait(60) == 0
    assert any("already trained" in line for line in second.lines)
    with open_store(tmp_path / "torchglass.db", read_only=True) as store:
        assert [run.name for run in store.runs()] == ["demo"]
        assert explained(store, store.run("demo")) == {"test": 9, "probe": 4}


def explained(store: Store, run: Run) -> dict[str, int]:
    """How many explanations there are of test samples, and of how many probes during training."""
    keys = [artifact.key.split("/") for artifact in store.artifacts(run.id, kind="explanation")]
    return {
        "test": sum(what == "test" for what, _ in keys),
        "probe": len({number for what, number in keys if what == "probe"}),
    }
