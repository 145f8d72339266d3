"""The tour: the page comes up, a model trains under it, explanations and a report follow."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchglass.errors import OptionError
from torchglass.explaining import Request, explain_run
from torchglass.probing import reference_probes
from torchglass.reference_models import TrainingOptions, train
from torchglass.report import export_report
from torchglass.store import Run, Store, open_store
from torchglass.store.location import VARIABLE, Location, locate
from torchglass.terminal import say

RUN_NAME = "demo"
MODEL = "lenet5"
SAMPLES = (0, 1, 2)
METHODS = ("gradcam", "shap", "lime")
EXIT_INTERRUPTED = 130
PAGE_STARTS_WITHIN_SECONDS = 60.0


def run_demo(location: str | None, report: Path, *, serve: bool, port: int, device: str) -> int:
    """Train, explain, report, and serve until Ctrl-C; a second time what is already there is kept."""
    place = locate(location)
    with open_store(place) as store, _page(place, port) if serve else _no_page() as page:
        run = _finished_run(store)
        if run is None:
            _train(store, device)
            run = _finished_run(store)
        else:
            say(f"{run.name} is already trained; `torchglass train {MODEL}` trains another.")
        if run is None:
            return EXIT_INTERRUPTED
        if not store.artifacts(run.id, kind="explanation", key=f"test/{SAMPLES[0]}"):
            _explain(store, run)
        written = export_report(store, run.name, report)
        say(f"Report: {written.absolute()} ({written.stat().st_size / 1e6:.1f} MB)")
        if page is None:
            return 0
        say(f"The page stays at http://127.0.0.1:{port}/training?run={run.name} until Ctrl-C.")
        return _serve_until_interrupted(page)


def _serve_until_interrupted(page: subprocess.Popen[bytes]) -> int:
    try:
        return page.wait()
    except KeyboardInterrupt:
        return 0  # the way to end the tour, as announced


def _finished_run(store: Store) -> Run | None:
    """The newest demo run that was trained to its end; one that was stopped does not count."""
    names = re.compile(rf"{RUN_NAME}(-\d+)?")
    return next((run for run in store.runs() if names.fullmatch(run.name) and run.status == "finished"), None)


def _train(store: Store, device: str) -> None:
    say(f"Training {MODEL} with torchglass attached ...")
    options = TrainingOptions(model=MODEL, store=store.location.address, run=RUN_NAME, device=device)
    result = train(options, probes=reference_probes)
    if not result.interrupted and result.epochs:
        say(f"{result.told.capitalize()} in {result.seconds:.1f} s on {result.device}.")


def _explain(store: Store, run: Run) -> None:
    say("Explaining test images ...")
    for line in explain_run(store.location.address, Request(run.name, SAMPLES, METHODS)):
        say(f"  {line}")


@contextmanager
def _page(place: Location, port: int) -> Iterator[subprocess.Popen[bytes] | None]:
    """Serve the page from a process of its own while the block runs."""
    if _answers(port):
        raise OptionError(f"port {port} is taken by another program: choose another with --port")
    command = [sys.executable, "-m", "torchglass", "ui", "--port", str(port)]
    # Not on the command line, where everybody on the machine could read a password.
    server = subprocess.Popen(command, env={**os.environ, VARIABLE: place.address})
    try:
        _wait_until_up(server, port)
        yield server
    finally:
        server.terminate()
        server.wait()


@contextmanager
def _no_page() -> Iterator[None]:
    yield None


def _wait_until_up(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PAGE_STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise OptionError(f"the page could not start on port {port}: choose another with --port")
        if _answers(port):
            return
        time.sleep(0.1)
    raise OptionError(f"the page did not answer on port {port} within {PAGE_STARTS_WITHIN_SECONDS:.0f} s")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
