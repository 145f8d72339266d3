"""One measurement in a process of its own: `measure.py record|count NAME FOLDER STEPS RESULT` writes RESULT as JSON."""

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


def record(recorder: Recorder, folder: Path, steps: int) -> dict[str, float]:
    """Time every call and the whole, from the first call until `finish` returns; starting is not counted.

    No steps give an empty run: the bytes that are there whatever is recorded.
    """
    rows = rows_of(steps)
    recorder.start(folder)
    log, clock = recorder.log, time.perf_counter_ns
    took = array("q", bytes(8 * steps))
    gc.collect()
    began = clock()
    for step, values in enumerate(rows):
        before = clock()
        log(values, step)
        took[step] = clock() - before
    recorder.finish()
    seconds = (clock() - began) / 1e9
    cuts = statistics.quantiles(took or [0, 0], n=100, method="inclusive")
    return {"p50_us": cuts[49] / 1e3, "p99_us": cuts[98] / 1e3, "seconds": seconds, "bytes": bytes_below(folder)}


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
    what, name, folder, steps, path = sys.argv[1:]
    recorder = RECORDERS[name]()
    result = record(recorder, Path(folder), int(steps)) if what == "record" else count(recorder, Path(folder))
    # Into a file, at once: trackers write to the terminal as they please, some when the process ends.
    Path(path).write_text(json.dumps({**result, "version": version_of(name)}), encoding="utf-8")


if __name__ == "__main__":
    main()
