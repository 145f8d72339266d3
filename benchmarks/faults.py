"""What a store's faults cost the training loop, and what becomes of the records: each fault is a real one.

A loop logs ten floats about a thousand times a second, before, during and after the fault; each `run.log` is timed.
Then the store is read back: a value that is missing must have been counted as lost, and none may be there twice.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import machine

import torchglass

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from postgresql import Server, missing_program, serving

RESULTS = Path(__file__).parent / "results" / "faults-cpu.md"
KEYS = [f"key{number}" for number in range(10)]
PAUSE_SECONDS = 0.001
CALM_SECONDS = 4.0
SMALL_DISK = "8m"

Fault = Callable[[], AbstractContextManager[None]]


class Setting(NamedTuple):
    """A store, and a block during which it is at fault."""

    name: str
    place: str
    fault: Fault
    seconds: float
    is_back: bool = True


class Outcome(NamedTuple):
    """Microseconds of `run.log` before and during the fault, and what became of the values."""

    before: np.ndarray
    during: np.ndarray
    logged: int
    kept: int
    doubled: int
    told_lost: int


def measure(setting: Setting) -> Outcome:
    """Log through the fault and read back."""
    run = torchglass.start("faulty", store=setting.place, devices=False)
    step = 0

    def log_for(seconds: float, until: Callable[[], bool] = lambda: True) -> np.ndarray:
        nonlocal step
        taken = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or not until():
            values = dict.fromkeys(KEYS, float(step))
            before = time.perf_counter()
            run.log(values, step=step)
            taken.append(1e6 * (time.perf_counter() - before))
            step += 1
            time.sleep(PAUSE_SECONDS)
        return np.array(taken)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        before = log_for(CALM_SECONDS)
        ready, over = threading.Event(), threading.Event()

        def be_at_fault() -> None:
            with setting.fault():
                ready.set()
                time.sleep(setting.seconds)
            over.set()

        trouble = threading.Thread(target=be_at_fault)
        trouble.start()
        ready.wait()
        during = log_for(setting.seconds, over.is_set)
        trouble.join()
        log_for(CALM_SECONDS)
        run.finish()
    lost = [int(str(each.message).split("torchglass: ")[-1].split()[0]) for each in told if "not be saved" in str(each)]
    kept, doubled = read_back(setting) if setting.is_back else (0, 0)
    return Outcome(before, during, step, kept, doubled, lost[0] if lost else 0)


def read_back(setting: Setting) -> tuple[int, int]:
    """Steps kept whole, and values stored more than once.

    Raises:
        AssertionError: a value is wrong, or its neighbours of the same step are missing.
    """
    with torchglass.open_store(setting.place, read_only=True) as store:
        run = store.run("faulty")
        series = [store.find_series(run.id, key) for key in KEYS]
        points = [store.points(each.id) for each in series if each is not None]
        counts = [each.count for each in series if each is not None]
    assert len(points) == len(KEYS)
    for each in points:
        assert each.steps.tolist() == points[0].steps.tolist(), "half a record"
        assert each.values.tolist() == [float(step) for step in each.steps], "a wrong value"
    return len(points[0].steps), sum(counts) - sum(len(each.steps) for each in points)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold SQLite's write lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.rollback()
    connection.close()


@contextmanager
def moved_away(path: Path) -> Iterator[None]:
    """Have no file at the store's path."""
    path.rename(path.with_suffix(".aside"))
    yield
    path.with_suffix(".aside").rename(path)


@contextmanager
def deleted(path: Path) -> Iterator[None]:
    """Delete the store for good."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    yield


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no byte on the disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    yield
    filler.unlink()


@contextmanager
def stopped(server: Server, *, crash: bool) -> Iterator[None]:
    """Have no server."""
    server.stop(crash=crash)
    yield
    server.start()


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of a few megabytes; None where this user may not mount one."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", folder]
        if subprocess.run(["mount", *options], capture_output=True).returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def settings(seconds: float, folder: Path, disk: Path | None, server: Server | None) -> Iterator[Setting]:
    """Each fault on a store of its own."""
    paths = {name: folder / f"{name}.db" for name in ("locked", "moved", "deleted")}
    sqlite = {name: str(path) for name, path in paths.items()}
    yield Setting("SQLite: locked by another process", sqlite["locked"], lambda: locked(paths["locked"]), seconds)
    yield Setting("SQLite: moved away and back", sqlite["moved"], lambda: moved_away(paths["moved"]), seconds / 4)
    yield Setting(
        "SQLite: deleted for good", sqlite["deleted"], lambda: deleted(paths["deleted"]), seconds / 4, is_back=False
    )
    if disk is not None:
        yield Setting("SQLite: disk full", str(disk / "store.db"), lambda: full(disk), seconds / 4)
    if server is not None:
        url, other = server.url(), server.url()
        yield Setting(
            "PostgreSQL: server stopped, then started", url, lambda: stopped(server, crash=False), seconds / 4
        )
        yield Setting(
            "PostgreSQL: server crashed, then started", other, lambda: stopped(server, crash=True), seconds / 4
        )


def line(setting: Setting, outcome: Outcome) -> str:
    """A row of the table."""
    percentiles = " | ".join(
        " / ".join(f"{figure:.0f}" for figure in (*np.percentile(taken, [50, 99]), taken.max()))
        for taken in (outcome.before, outcome.during)
    )
    kept = f"{outcome.kept:,}" if setting.is_back else "the file is gone"
    lost = f"{outcome.told_lost:,}" if outcome.told_lost else "none"
    return (
        f"| {setting.name}, {setting.seconds:.0f} s | {percentiles} | {outcome.logged:,} | {kept} | {lost} | "
        f"{outcome.doubled or 'none'} |"
    )


def main() -> None:
    """Measure every fault and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the longest fault lasts (60)")
    options = parser.parse_args()
    lines = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        disk = stack.enter_context(small_disk())
        server = stack.enter_context(serving()) if missing_program() is None else None
        for setting in settings(options.seconds, folder, disk, server):
            lines.append(line(setting, measure(setting)))
            print(lines[-1], file=sys.stderr)
    page = (
        "# What a fault of the store costs\n\n"
        f"{machine()}, {time.strftime('%Y-%m-%d')}, load {os.getloadavg()[0]:.1f}. A loop calls `run.log` with ten "
        "floats about a thousand times a second; microseconds of the call at the median, at the 99th percentile and at "
        "worst, before and during the fault. A step is kept when all ten values are read back right; lost is what "
        "`run.finish` told.\n\n"
        "| fault | before, µs | during, µs | steps logged | steps kept | told as lost | stored twice |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )
    print(page)
    RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
