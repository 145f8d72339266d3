"""Reading runs back: a long series, a wide run, and what a value takes on disk. `make bench BENCH=reading` runs this.

Every figure of reading is of a fresh process after the store's file was dropped from the page cache; several are taken
and the median is given. `--quick` makes smaller stores and keeps no result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from peers import PEERS, measure
from peers_environment import make_environment
from reading_stores import Floats, drop_from_page_cache, make_long_run, make_long_store, make_wide_store

from torchglass.store import open_store

RESULTS = Path(__file__).parent / "results"
READER = Path(__file__).parent / "reading_process.py"
READS = 5


@dataclass(frozen=True)
class Sizes:
    """How large the stores are."""

    long_points: int = 10_000_000
    wide_series: int = 1_000
    wide_points: int = 100_000
    run_values: int = 2_000_000
    peer_steps: int = 10_000  # of ten values: 100,000 points for TensorBoard's reader


@dataclass(frozen=True)
class Line:
    """One line of the page: what was done, what was promised, what came out."""

    what: str
    wanted: str
    got: str
    met: bool | None = None


def read(what: str, path: Path, *, cold: bool = True) -> dict[str, Any]:
    """Read in a fresh process, from the disk or from the page cache."""
    if cold:
        drop_from_page_cache(path)
    done = subprocess.run([sys.executable, READER, what, path], capture_output=True, text=True, check=True)
    print(f"  {what} {done.stdout.strip()}", flush=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def screens(path: Path, *, cold: bool) -> dict[str, float]:
    """Medians over several reads of the first screen."""
    found = [read("screen", path, cold=cold) for _ in range(READS)]
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def total_ms(found: dict[str, float]) -> float:
    """Milliseconds from opening the store until everything to draw is there."""
    return found["open_ms"] + found["list_ms"] + found["charts_ms"]


def told(found: dict[str, float]) -> str:
    """The total, its parts, and how much of it the processor worked: the rest was waiting, for the disk or a turn."""
    parts = f"open {found['open_ms']:.0f}, list {found['list_ms']:.0f}, charts {found['charts_ms']:.0f}"
    return f"{total_ms(found):.0f} ms ({parts}); {found['cpu_ms']:.0f} ms of CPU"


def long_series(folder: Path, sizes: Sizes) -> list[Line]:
    """One series of millions of points: the time until it can be drawn, and what survives the reduction."""
    path = folder / "long.db"
    marks = make_long_store(path, sizes.long_points)
    cold, warm = screens(path, cold=True), screens(path, cold=False)
    seen, whole = read("marks", path), read("whole", path)
    kept = seen["spike"] == [marks.spike_step] and seen["nans"] == [marks.nan_step]
    title = f"{sizes.long_points:,} points"
    return [
        Line(f"{title}: open, reduce to 2,000, cold", "100 ms or less", told(cold), total_ms(cold) <= 100),
        Line(f"{title}: the same, file in the page cache", "", told(warm)),
        Line(f"{title}: one spike and one NaN in what is drawn", "both", "both" if kept else "lost", kept),
        Line(f"{title}: reader's peak memory", "", f"{cold['peak_mb']:.0f} MB"),
        Line(f"{title}: every point", "", f"{whole['points_per_second'] / 1e6:.1f} M points/s"),
        Line(f"{title}: on disk", "", f"{path.stat().st_size / sizes.long_points:.2f} bytes per value"),
    ]


def tensorboard_reader(sizes: Sizes) -> list[Line]:
    """TensorBoard's own reader on a tenth of a million points, libraries loaded before."""
    peer = next(each for each in PEERS if each.name == "tensorboard")
    if peer.name in make_environment():
        return []
    found = measure(peer, sizes.peer_steps)
    speed = f"{found.values / found.read_seconds / 1e3:,.0f} k points/s"
    return [Line(f"TensorBoard {found.version}'s `EventAccumulator`: {found.values:,} points", "", speed)]


def wide_run(folder: Path, sizes: Sizes) -> list[Line]:
    """Many long series: the time until the first screen stands, and the memory that takes."""
    path = folder / "wide.db"
    began = time.perf_counter()
    make_wide_store(path, sizes.wide_series, sizes.wide_points)
    values = sizes.wide_series * sizes.wide_points
    wrote = values / (time.perf_counter() - began)
    cold, warm = screens(path, cold=True), screens(path, cold=False)
    title = f"{sizes.wide_series:,} series of {sizes.wide_points:,} points"
    return [
        Line(f"{title}: list and 12 charts, cold", "500 ms or less", told(cold), total_ms(cold) <= 500),
        Line(f"{title}: the same, file in the page cache", "", told(warm)),
        Line(f"{title}: reader's peak memory", "500 MB or less", f"{cold['peak_mb']:.0f} MB", cold["peak_mb"] <= 500),
        Line(f"{title}: on disk", "", f"{path.stat().st_size / values:.2f} bytes per value"),
        Line(f"{title}: written in blocks of millions", "", f"{wrote / 1e6:.1f} M values/s, values made included"),
    ]


def noisy_losses(count: int, keys: int, *, float32_born: bool) -> Floats:
    """Falling curves (count, keys) with a tenth of noise, so that all but the leading bits of a value are random."""
    falling = 2.0 / np.sqrt(1.0 + np.arange(count) / 1000.0)
    values = falling[:, None] * (1 + 0.1 * np.random.default_rng(3).standard_normal((count, keys)))
    return values.astype(np.float32).astype(np.float64) if float32_born else values


def bytes_per_value(folder: Path, sizes: Sizes) -> list[Line]:
    """Size of a long run's whole file, steps and times included, and whether it gives back what went in."""
    lines = []
    for float32_born in (True, False):
        for keys in (1, 10):
            path = folder / f"run-{float32_born}-{keys}.db"
            values = noisy_losses(sizes.run_values // keys, keys, float32_born=float32_born)
            began = time.perf_counter()
            times = make_long_run(path, keys, values, rows_per_write=50)
            seconds = time.perf_counter() - began
            size, limit = path.stat().st_size / values.size, 8 if float32_born else 12
            fault = difference(path, times, values)
            kind = "were float32 once" if float32_born else "are arbitrary float64"
            what = f"{values.size:,} values that {kind}, {keys} to a step, 50 steps to a flush"
            got = f"{size:.2f} bytes per value, {fault}; written at {values.size / seconds / 1e3:,.0f} k values/s"
            lines.append(Line(what, f"{limit} or less, lossless", got, size <= limit and fault.startswith("lossless")))
            print(f"  {lines[-1]}", flush=True)
            path.unlink()
    return lines


def difference(path: Path, times: Floats, values: Floats) -> str:
    """Say whether values come back bit by bit and steps one by one, and how far off times are."""
    worst = 0.0
    with open_store(path, read_only=True) as store:
        for column, series in enumerate(store.series_of(store.runs()[0].id)):
            points = store.points(series.id)
            expected = values[:, int(series.key.removeprefix("metric_"))]
            if not np.array_equal(points.steps, np.arange(len(values))):
                return f"steps of column {column} differ"
            if not np.array_equal(points.values.view(np.int64), np.ascontiguousarray(expected).view(np.int64)):
                return f"values of column {column} differ"
            worst = max(worst, float(np.abs(points.times - times).max()))
    return "lossless" if worst == 0 else f"lossless (times within {1e6 * worst:.1f} µs)"


def page(lines: list[Line]) -> str:
    """Write the results as a Markdown page."""
    marks = {True: "reached", False: "**not reached**", None: ""}
    return "\n".join(
        [
            "# Reading runs back",
            "",
            f"Machine: {machine()}. Rewritten by `make bench` ({time.strftime('%Y-%m-%d')}).",
            f"Median of {READS} fresh processes; cold: the store's file was dropped from the page cache before. Times",
            "are from opening the store until the arrays to draw are there; loading Python and numpy is not counted,",
            "while memory is the whole process's. Steps are 4 ms apart and jitter by a tenth; the last 20 flushes of a",
            "store that is read are small and fresh, as a live run leaves them.",
            "",
            "| what | wanted | measured | |",
            "|---|---|---|---|",
            *(f"| {line.what} | {line.wanted} | {line.got} | {marks[line.met]} |" for line in lines),
            "",
        ]
    )


def main() -> None:
    """Make each store, read it, print the page and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="stores of a hundredth of the size; nothing is kept")
    parser.add_argument("--folder", help="where the stores are made and removed again (some 2 GB); default: temporary")
    options = parser.parse_args()
    sizes = Sizes(100_000, 1_000, 1_000, 20_000, 100) if options.quick else Sizes()
    lines: list[Line] = []
    for part in (long_series, wide_run, bytes_per_value):
        print(f"{part.__name__} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="reading-", dir=options.folder) as name:
            lines += part(Path(name), sizes)
        if part is long_series:
            lines += tensorboard_reader(sizes)
    text = page(lines)
    print(text)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "reading-cpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
