"""What profiler windows cost, and how fast one gets into the store. `make bench BENCH=windows` runs this.

Two loops take turns in blocks of 500 steps, one with windows at their default cadence and one without; what is given is
the ratio of all their time, since what a window costs is rare and large. Reading is timed on a window of some 300,000
events, as the writer's thread does it, with nothing else going on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # read when torch loads: no two lines at every profiler window

import torch
from machine import machine
from overhead import CASES, Case, Loop
from torch.profiler import ProfilerActivity, profile

import torchglass
from torchglass.instrumentation.profiling.finished import FinishedWindow
from torchglass.instrumentation.profiling.kineto import read_trace
from torchglass.store import Batch

BLOCK_STEPS = 500
BLOCKS = 8  # of each loop: four windows at the default cadence
EVENTS = 300_000
EVENTS_OF_A_STEP = 10_200  # of the MLP of 90 layers under AdamW
RESULTS = Path(__file__).parent / "results"


def amortised(case: Case, device: torch.device, folder: Path) -> str:
    """A line of the table: what windows add to a training, and what they say of themselves."""
    plain, windowed = Loop(case, device), Loop(case, device)
    # What is measured of each step beside is the same for both.
    quiet = {"every": None, "histograms": None, "devices": False}
    stores = [folder / f"{case.name}-{name}.db".replace("/", "_") for name in ("plain", "windowed")]
    runs = [
        torchglass.attach(plain.model, plain.optimizer, run="plain", store=stores[0], profile=None, **quiet),  # type: ignore[arg-type]
        torchglass.attach(windowed.model, windowed.optimizer, run="windowed", store=stores[1], **quiet),  # type: ignore[arg-type]
    ]
    seconds = [0.0, 0.0]
    for number in range(BLOCKS):
        for index in (0, 1) if number % 2 else (1, 0):
            seconds[index] += (plain, windowed)[index].seconds(BLOCK_STEPS)
    for run in runs:
        run.finish()
    with torchglass.open_store(stores[1], read_only=True) as store:
        windows = store.windows(store.run("windowed").id)
    costs = [window.facts["cost"] for window in windows]
    stop, read = (1e3 * statistics.median(cost[key] for cost in costs) for key in ("stop_seconds", "read_seconds"))
    events = statistics.median(cost["events"] for cost in costs)
    slowdowns = [window.facts["slowdown"] for window in windows if window.facts["slowdown"] is not None]
    step_ms = 1e3 * seconds[0] / (BLOCKS * BLOCK_STEPS)
    return (
        f"| {case.name} | {step_ms:.2f} ms | {100 * (seconds[1] / seconds[0] - 1):+.2f} % | {len(windows)} | "
        f"{events:,.0f} | {statistics.median(slowdowns):.2f} × | {stop:.0f} ms | {read:.0f} ms |"
    )


def reading(folder: Path) -> str:
    """A sentence on the way of a large window into the store."""
    loop = Loop(CASES[1], torch.device("cpu"))
    loop.seconds(2)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        steps = EVENTS // EVENTS_OF_A_STEP
        loop.seconds(steps)
    began = time.perf_counter()
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    listed = time.perf_counter()
    read_trace(events)
    read = time.perf_counter()
    finished = FinishedWindow(profiler, 0, 0, steps, 0.0, 1.0, None, 0.0, 0.0, None, None)
    with torchglass.open_store(folder / "reading.db") as store:
        run = store.start_run("reading", {}, host="", pid=0)
        written = time.perf_counter()
        batch = Batch()
        finished.add_to(batch)
        store.write(run.id, 0, batch)
        stored = time.perf_counter()
    return (
        f"{len(events):,} events: {1e6 * (read - began) / len(events):.1f} µs an event to read "
        f"({1e3 * (listed - began):.0f} ms of them for torch to list), {stored - written:.2f} s from the profiler into "
        "the store, tables and time line included."
    )


def main() -> None:
    """Measure, print and keep the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    device = torch.device(parser.parse_args().device)
    torch.set_num_threads(1)
    lines = [
        "# What profiler windows cost",
        "",
        f"Machine: {machine()}, torch {torch.__version__}. `make bench BENCH=windows` ({time.strftime('%Y-%m-%d')}).",
        f"Two loops of {BLOCKS * BLOCK_STEPS} steps in turns, one with windows of 3 steps every 1000 (allowed 2 %",
        "of the time: one that would need more is left out). Slowdown is that of the steps within a window.",
        "",
        "| step | without windows | cost of windows | windows | events | slowdown | stopping | reading |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            lines.append(amortised(case, device, Path(folder)))
            print(lines[-1], flush=True)
        lines += ["", reading(Path(folder))]
    page = "\n".join(lines) + "\n"
    print(page)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"windows-{device.type}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
