"""What `run.log` costs the caller, and how many values a second reach another process. `make bench` runs this.

A call is timed in a tight loop while the writer is at work. End to end is: log so many rows of ten numbers, wait until
all are stored, and have a second process count them. On a shared machine the best of several rounds says what the
code takes, and the median what the neighbours left of it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import machine

import torchglass
from torchglass.instrumentation import Run

RESULTS = Path(__file__).parent / "results"
NUMBERS = 10
COUNT = (
    "import sys, torchglass; store = torchglass.open_store(sys.argv[1], read_only=True); "
    "print(sum(each.count for each in store.series_of(1, kind='scalar')))"
)


@dataclass(frozen=True)
class Call:
    """Microseconds of one call, over all calls."""

    what: str
    p50_us: float
    p99_us: float
    longest_us: float


@dataclass(frozen=True)
class EndToEnd:
    """Values a second from the first call until all are stored, and nanoseconds of processor time for each."""

    per_second: float
    cpu_ns: float
    log_ns: float


def rows(count: int) -> list[dict[str, float]]:
    """Rows of ten numbers that no encoder can guess."""
    draw = random.Random(0).random
    return [{f"metric{number}": draw() for number in range(NUMBERS)} for _ in range(count)]


def time_calls(what: str, log: Callable[[int], None], calls: int) -> Call:
    """Time each of so many calls; the clock's own reading, some 50 ns, is part of it."""
    taken = np.empty(calls)
    for index in range(calls):
        began = time.perf_counter_ns()
        log(index)
        taken[index] = time.perf_counter_ns() - began
    p50, p99, longest = np.percentile(taken, [50, 99, 100]) / 1e3
    return Call(what, float(p50), float(p99), float(longest))


def measure_calls(run: Run, calls: int) -> list[Call]:
    """Time the ways in which training scripts call `log`."""
    given = rows(1000)
    loss = torch.tensor(0.5)
    ways: dict[str, Callable[[int], None]] = {
        "ten floats in a dictionary": lambda index: run.log(given[index % 1000], step=index),
        "ten floats by keyword": lambda index: run.log(**given[index % 1000], step=index),
        "a float": lambda index: run.log(loss=0.5, step=index),
        "a loss, as a tensor on the host": lambda index: run.log(loss=loss, step=index),
    }
    measured = []
    for what, log in ways.items():
        time_calls(what, log, 1000)
        measured.append(time_calls(what, log, calls))
        run.flush(60.0)
    return measured


def measure_end_to_end(store: Path, given: list[dict[str, float]]) -> EndToEnd:
    """Log every row, wait for the store, and check what a second process counts."""
    began, began_cpu = time.perf_counter(), time.process_time()
    with torchglass.start(store=store, devices=False) as run:
        for step, row in enumerate(given):
            run.log(row, step=step)
        logged = time.perf_counter()
        if not run.flush(120.0):
            raise SystemExit("the store did not take all that was logged")
        stored, stored_cpu = time.perf_counter(), time.process_time()
        told = subprocess.run([sys.executable, "-c", COUNT, str(store)], capture_output=True, text=True, check=True)
    values = NUMBERS * len(given)
    if int(told.stdout) != values:
        raise SystemExit(f"another process found {told.stdout.strip()} values of {values}")
    return EndToEnd(values / (stored - began), (stored_cpu - began_cpu) / values * 1e9, (logged - began) / values * 1e9)


def page(calls: list[Call], rounds: list[EndToEnd], values: int) -> str:
    """Write the results as a Markdown page."""
    best = max(rounds, key=lambda each: each.per_second)
    median = statistics.median(each.per_second for each in rounds)
    lines = [
        "# What `run.log` costs, and what arrives",
        "",
        f"Machine: {machine()}, load {os.getloadavg()[0]:.1f} at the end. Rewritten by `make bench` "
        f"({time.strftime('%Y-%m-%d')}).",
        "Calls are timed one by one in a tight loop while the writer is at work.",
        "",
        "| call | p50 | p99 | longest |",
        "|---|---|---|---|",
        *map(_line, calls),
        "",
        f"End to end: {values:,} values in rows of {NUMBERS}, from the first call until all are stored and a second "
        f"process can count them; {len(rounds)} rounds, each into a new store.",
        "",
        "| | values a second | processor time of a value, caller and writer | of that, the caller alone |",
        "|---|---|---|---|",
        f"| best round | {best.per_second:,.0f} | {best.cpu_ns:.0f} ns | {best.log_ns:.0f} ns |",
        f"| median | {median:,.0f} | {statistics.median(each.cpu_ns for each in rounds):.0f} ns | "
        f"{statistics.median(each.log_ns for each in rounds):.0f} ns |",
    ]
    return "\n".join(lines) + "\n"


def _line(call: Call) -> str:
    return f"| {call.what} | {call.p50_us:.2f} µs | {call.p99_us:.2f} µs | {call.longest_us / 1e3:.1f} ms |"


def main() -> None:
    """Measure, print the page and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--values", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    given = rows(options.values // NUMBERS)
    with tempfile.TemporaryDirectory() as folder:
        with torchglass.start(store=Path(folder) / "calls.db") as run:
            calls = measure_calls(run, options.calls)
        rounds = [measure_end_to_end(Path(folder) / f"{number}.db", given) for number in range(options.rounds)]
    text = page(calls, rounds, options.values)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "hot-path.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
