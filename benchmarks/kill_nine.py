"""Kill a recording process at a random moment, again and again, and see what its store still holds.

Each life logs ten floats about a thousand times a second into a store of its own, telling by shared memory what it has
logged. After SIGKILL the store must open, pass SQLite's integrity check, and hold every step from the first to some
last one; the figure is how long before the kill that last one was logged.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import sqlite3
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import torch  # noqa: F401 - loaded once, before the forks

import torchglass

RESULTS = Path(__file__).parent / "results" / "kill-nine.md"
TOLD = struct.Struct("<qdd")  # steps logged, and when the first and the last of them were
KEYS = [f"key{number}" for number in range(10)]
PAUSE_SECONDS = 0.001


def record(store: Path, told: mmap.mmap) -> None:
    """Log until killed."""
    run = torchglass.start("life", store=store, devices=False)
    step, first = 0, time.time()
    while True:
        now = time.time()
        run.log(dict.fromkeys(KEYS, float(step)), step=step)
        step += 1
        told[: TOLD.size] = TOLD.pack(step, first, now)
        time.sleep(PAUSE_SECONDS)


def live_and_die(store: Path, seconds: float) -> tuple[int, float, float]:
    """Record for so long, then kill; return how many steps were logged, and when the first and the last were."""
    told = mmap.mmap(-1, mmap.PAGESIZE)
    child = os.fork()
    if child == 0:
        try:
            record(store, told)
        finally:
            os._exit(1)
    while TOLD.unpack(told[: TOLD.size])[0] == 0:
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    logged, first, last = TOLD.unpack(told[: TOLD.size])
    return logged, first, last


def inspect(store: Path, logged: int, first: float, last: float) -> float:
    """Seconds of recording that the kill cost.

    Raises:
        AssertionError: the file is damaged, or something is missing from before the loss.
    """
    connection = sqlite3.connect(store)
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    assert verdict == "ok", verdict
    with torchglass.open_store(store) as opened:
        run = opened.run("life")
        series = [opened.series(run.name, key) for key in KEYS]
        assert opened.compact(run.id) is None
        assert [opened.series(run.name, key).steps.tolist() for key in KEYS] == [each.steps.tolist() for each in series]
    kept = len(series[0].steps)
    for each in series:
        assert each.steps.tolist() == list(range(kept)), "a gap"
        assert each.values.tolist() == [float(step) for step in range(kept)], "a wrong value"
    # What was logged but not yet told when the kill came may be there too.
    assert kept <= logged + 1
    return max(0.0, last - (float(series[0].times[-1]) if kept else first))


def main() -> None:
    """Kill so many times and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    losses = []
    for number in range(options.kills):
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store.db"
            losses.append(inspect(store, *live_and_die(store, moments.uniform(0.05, 1.5))))
        print(f"\r{number + 1} of {options.kills}, worst loss {max(losses):.3f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    page = (
        "# What a kill -9 costs\n\n"
        f"{options.kills} processes killed at random moments while logging ten floats about a thousand times a second "
        f"({time.strftime('%Y-%m-%d')}, {os.cpu_count()} shared cores). Every store opened, passed `PRAGMA "
        "integrity_check`, and held every step from the first to the last one kept, before and after compaction.\n\n"
        "| seconds of recording lost | |\n|---|---|\n"
        f"| median | {statistics.median(losses):.3f} |\n"
        f"| 95th percentile | {statistics.quantiles(losses, n=20)[-1]:.3f} |\n"
        f"| worst | {max(losses):.3f} |\n"
    )
    print(page)
    RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
