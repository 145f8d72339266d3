"""One measurement in a process of its own, its result written as JSON.

Usage: measure.py record|count NAME FOLDER PACED_STEPS STEPS RESULT
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import struct
import sys
import time
from array import array
from importlib import import_module, metadata
from pathlib import Path

from recorders import RECORDERS, Recorder

PAUSE_SECONDS = 0.001
SETTLE_SECONDS = 0.5  # longer than any tracker waits before it writes: nothing of the paced calls is left to do
KEYS = tuple(f"train/metric_{number}" for number in range(10))
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio", "mlflow": "mlflow", "aim": "aim"}


def rows_of(steps: int) -> list[dict[str, float]]:
    """Ten random walks as a float32 loss would give them, made before the clock starts."""
    generator = random.Random(0)
    walk = [1.0] * len(KEYS)
    rows = []
    for _ in range(steps):
        walk = [value + generator.gauss(0, 0.01) for value in walk]
        rows.append(dict(zip(KEYS, struct.unpack("10f", struct.pack("10f", *walk)), strict=True)))
    return rows


def bytes_below(folder: Path) -> int:
    """Size of every file under the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def timed_calls(recorder: Recorder, rows: list[dict[str, float]], first_step: int, pause_seconds: float) -> array[int]:
    """Nanoseconds of each call; with a pause, the thread sleeps before each as one does that waits for a GPU."""
    log, clock, sleep = recorder.log, time.perf_counter_ns, time.sleep
    took = array("q", bytes(8 * len(rows)))
    gc.collect()
    for index, values in enumerate(rows):
        if pause_seconds:
            sleep(pause_seconds)
        before = clock()
        log(values, first_step + index)
        took[index] = clock() - before
    return took


def record(recorder: Recorder, folder: Path, paced_steps: int, steps: int) -> dict[str, float]:
    """Time calls between pauses, then calls back to back and the whole of these until `finish` has returned.

    Starting is not counted. No steps give an empty run: the bytes that are there whatever is recorded.
    """
    rows = rows_of(paced_steps + steps)
    recorder.start(folder)
    paced = timed_calls(recorder, rows[:paced_steps], 0, PAUSE_SECONDS)
    time.sleep(SETTLE_SECONDS)
    began = time.perf_counter()
    tight = timed_calls(recorder, rows[paced_steps:], paced_steps, 0.0)
    recorder.finish()
    seconds = time.perf_counter() - began
    return {
        "p50_us": percentile_us(tight, 50),
        "p99_us": percentile_us(tight, 99),
        "paced_p50_us": percentile_us(paced, 50),
        "paced_p99_us": percentile_us(paced, 99),
        "seconds": seconds,
        "bytes": bytes_below(folder),
    }


def percentile_us(took: array[int], percent: int) -> float:
    """Microseconds that so many percent of the calls stay below; 0 when there were none."""
    return statistics.quantiles(took, n=100, method="inclusive")[percent - 1] / 1e3 if took else 0.0


def count(recorder: Recorder, folder: Path) -> dict[str, float]:
    """Read everything back, libraries loaded before."""
    for module in recorder.reads_with:
        import_module(module)
    began = time.perf_counter()
    found = recorder.count(folder)
    return {"values": found, "read_seconds": time.perf_counter() - began}


def version_of(name: str) -> str:
    """Version of the package; empty for what is part of Python."""
    package = {**PACKAGES, "torchglass": "torchglass"}.get(name)
    return metadata.version(package) if package else ""


def main() -> None:
    """Do the one thing asked for."""
    what, name, folder, paced_steps, steps, path = sys.argv[1:]
    recorder = RECORDERS[name]()
    if what == "record":
        result = record(recorder, Path(folder), int(paced_steps), int(steps))
    else:
        result = count(recorder, Path(folder))
    # Into a file, at once: trackers write to the terminal as they please, some when the process ends.
    Path(path).write_text(json.dumps({**result, "version": version_of(name)}), encoding="utf-8")


if __name__ == "__main__":
    main()
