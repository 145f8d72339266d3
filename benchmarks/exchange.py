"""Logs in and tables out: a million scalars, beside TensorBoard's own reader. `make bench BENCH=exchange` runs this.

Each figure is of a fresh process, libraries loaded before the clock starts; contenders take turns and the median is
given. `--quick` takes a hundredth of the points and keeps no result.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from contenders import ROUNDS, Figure, in_turns, is_quick
from machine import machine
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2

from torchglass.exchange import event_file, export_run, import_tensorboard, importing, parquet_file
from torchglass.exchange.framing import frame
from torchglass.store import open_store

RESULTS = Path(__file__).parent / "results"
LOADED_BEFORE = (event_file, importing, parquet_file)  # the room itself loads them on use
SERIES = 10


def make_log(folder: Path, points: int) -> None:
    """Write the event file that `SummaryWriter.add_scalar` would write of ten noisy series, in a tenth of its time."""
    folder.mkdir()
    values = np.random.default_rng(0).normal(size=(points // SERIES, SERIES)).astype(np.float32)
    with (folder / "events.out.tfevents.1700000000.host.1.0").open("wb") as file:
        for step, row in enumerate(values.tolist()):
            for key, value in enumerate(row):
                event = event_pb2.Event(wall_time=1.7e9 + 0.05 * step + 1e-5 * key, step=step)
                event.summary.value.append(summary_pb2.Summary.Value(tag=f"train/metric_{key}", simple_value=value))
                file.write(frame(event.SerializeToString()))


def importing_log(folder: Path) -> int:
    """Import the log into a new store."""
    (folder / "runs.db").unlink(missing_ok=True)
    (imported,) = import_tensorboard(folder / "log", store=folder / "runs.db")
    return imported.point_count


def accumulating(folder: Path) -> int:
    """Read the log as TensorBoard's Python backend does, keeping all points in memory."""
    accumulator = EventAccumulator(str(folder / "log"), size_guidance={"scalars": 0})
    accumulator.Reload()
    return sum(len(accumulator.Scalars(tag)) for tag in accumulator.Tags()["scalars"])


def loading(folder: Path) -> int:
    """Take TensorBoard's records apart, undecoded."""
    (path,) = (folder / "log").iterdir()
    return sum(1 for _ in RawEventFileLoader(str(path)).Load())


def exporting(form: Any) -> Callable[[Path], int]:
    """Export the imported run."""

    def export(folder: Path) -> int:
        shutil.rmtree(folder / f"out-{form}", ignore_errors=True)
        with open_store(folder / "runs.db", read_only=True) as store:
            return export_run(store, "log", folder / f"out-{form}", format=form).point_count

    return export


CONTENDERS: dict[str, Callable[[Path], int]] = {
    "torchglass import, into the store": importing_log,
    "TensorBoard's `EventAccumulator`, into memory": accumulating,
    "TensorBoard's `RawEventFileLoader`, records undecoded": loading,
    "torchglass export to CSV": exporting("csv"),
    "torchglass export to Parquet": exporting("parquet"),
    "torchglass export to event files": exporting("tensorboard"),
}


def page(points: int, figures: dict[str, list[Figure]], log_mb: float, store_mb: float) -> str:
    """Write the results as a Markdown page."""
    lines = [
        "# Logs in, tables out",
        "",
        f"Machine: {machine()}. Rewritten by `make bench` ({time.strftime('%Y-%m-%d')}).",
        f"{points:,} scalars of {SERIES} series: an event file of {log_mb:.0f} MB, a store of {store_mb:.0f} MB once",
        f"imported. Median of {ROUNDS} fresh processes that took turns, libraries loaded before; memory is the whole",
        "process's.",
        "",
        "| what | seconds | of a processor | points per second | points per processor second | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in figures.items():
        seconds = statistics.median(each.seconds for each in found)
        peak = max(each.peak_mb for each in found)
        worked = statistics.median(each.processor_seconds for each in found)
        lines.append(
            f"| {name} | {seconds:.2f} | {worked:.2f} | {points / seconds / 1e3:,.0f} k | "
            f"{points / worked / 1e3:,.0f} k | {peak:.0f} MB |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make a log, let each contender have it in turn, print the table and keep it."""
    quick = is_quick(CONTENDERS, __doc__, "a hundredth of the points; nothing is kept")
    points = 10_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="exchange-") as name:
        folder = Path(name)
        make_log(folder / "log", points)
        figures = in_turns(__file__, CONTENDERS, folder)
        log_bytes = sum(path.stat().st_size for path in (folder / "log").iterdir())
        text = page(points, figures, log_bytes / 1e6, (folder / "runs.db").stat().st_size / 1e6)
    print(text)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "exchange-cpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
