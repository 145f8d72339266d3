"""What the benchmarks of the page share: a server process with its figures, and a run that goes on meanwhile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from torchglass.store import Batch, Column, RowBlock, Store, open_store

RUN = "bench"
READY = "torchglass is at "
CHARTS = 12
POINTS_BEFORE = 1_000


class Server(NamedTuple):
    """A server of the page, in a process of its own."""

    url: str
    process: psutil.Process

    @property
    def cpu_seconds(self) -> float:
        """Seconds that the process has worked so far, in all its threads."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def memory_mb(self) -> float:
        """Memory that the process holds, in MB."""
        return float(self.process.memory_info().rss) / 1e6


@contextmanager
def serving(store: Path) -> Iterator[Server]:
    """`torchglass ui` on a free port of this machine alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torchglass", "ui", "--port", str(port)]
    environment = {**os.environ, "TORCHGLASS_STORE": str(store), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = next((line for line in process.stdout if line.startswith(READY)), "")
        if not said:
            raise RuntimeError("the server did not start")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Server(said.removeprefix(READY).strip(), psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def training(path: Path) -> Iterator[None]:
    """A run with twelve series that gains a point of each every second until the block ends."""
    with open_store(path) as store:
        run = store.start_run(RUN, {}, host=socket.gethostname(), pid=os.getpid())
        _log(store, run.id, 0, POINTS_BEFORE)
    stop = threading.Event()

    def train() -> None:
        with open_store(path) as store:
            step = POINTS_BEFORE
            while not stop.wait(1.0):
                _log(store, run.id, step, 1)
                step += 1

    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _log(store: Store, run_id: int, first: int, count: int) -> None:
    steps = np.arange(first, first + count)
    values = 1 / np.sqrt(1.0 + steps[:, None] + np.arange(CHARTS))
    columns = tuple(Column(f"metric_{number:02d}") for number in range(CHARTS))
    store.write(run_id, 0, Batch(rows=[RowBlock(columns, steps, time.time() + steps / 1000, values)]))
