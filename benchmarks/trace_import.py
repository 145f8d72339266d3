"""Traces in: 100 MB of a profiler's JSON, plain and gzipped, into a store. `make bench BENCH=trace_import` runs this.

Each figure is of a fresh process, libraries loaded before the clock starts; contenders take turns and the median is
given. `--quick` takes a twentieth of the events and keeps no result.
"""

from __future__ import annotations

import gc
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from contenders import ROUNDS, Figure, in_turns, is_quick
from machine import machine

from torchglass.traces.importing import import_traces
from torchglass.traces.reading import read_trace

RESULTS = Path(__file__).parent / "results"
BYTES = 100_000_000
KERNELS_PER_STEP = 500


def events(steps: int) -> Iterator[dict[str, Any]]:
    """Steps of training as Kineto writes them: of each kernel the operator around, the call that launched it, and its
    flow; the second half of a step is the backward pass, of another thread.
    """
    for step in range(steps):
        begin = 1e6 * step
        yield span("user_annotation", f"ProfilerStep#{step}", begin, 9e5, 100, **{"External id": step + 1})
        for index in range(KERNELS_PER_STEP):
            identity = step * KERNELS_PER_STEP + index + 1_000_000
            backward = index >= KERNELS_PER_STEP // 2
            thread, place = (200 if backward else 100), KERNELS_PER_STEP - 1 - index if backward else index
            at = begin + 1_500.125 * index
            sequence = {"Sequence number": step * KERNELS_PER_STEP + place, "Fwd thread id": int(backward)}
            name = f"Backward{place % 40}" if backward else f"aten::operator_{place % 40}"
            yield span("cpu_op", name, at, 900.5, thread, **{"External id": identity, "Ev Idx": identity}, **sequence)
            link = {"External id": identity, "correlation": identity}
            yield span("cuda_runtime", "cudaLaunchKernel", at + 100, 8.25, thread, cbid=211, **link)
            yield {"ph": "s", "id": identity, "pid": 1, "tid": thread, "ts": at + 100, "cat": "ac2g", "name": "ac2g"}
            kernel = {
                "device": 0, "context": 1, "stream": 7, "queued": 0, "registers per thread": 128,
                "shared memory": 49152, "blocks per SM": 4.740741, "warps per SM": 37.925926, "grid": [512, 1, 1],
                "block": [256, 1, 1], "est. achieved occupancy %": 38,
            }  # fmt: skip
            name = f"void at::native::kernel_{index % 90}<float, at::native::Functor<float>, 4>(int, float, at::Array)"
            yield {**span("kernel", name, at + 200.75, 1_100.5, 7, **link, **kernel), "pid": 0}
            yield {
                "ph": "f",
                "id": identity,
                "pid": 0,
                "tid": 7,
                "ts": at + 200.75,
                "cat": "ac2g",
                "name": "ac2g",
                "bp": "e",
            }


def span(category: str, name: str, begin: float, length: float, thread: int, **arguments: Any) -> dict[str, Any]:
    """An X event; times in microseconds."""
    ends = {"ts": round(begin, 3), "dur": length, "args": arguments}
    return {"ph": "X", "cat": category, "name": name, "pid": 1, "tid": thread, **ends}


def make_trace(path: Path, size: int) -> None:
    """Write a trace of about so many bytes, laid out as Kineto does, and the same gzipped."""
    properties = [{"id": 0, "name": "NVIDIA A100-SXM4-80GB", "numSms": 108}]
    written = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{\n  "schemaVersion": 1,\n  "deviceProperties": {json.dumps(properties)},\n  "traceEvents": [\n')
        for index, event in enumerate(events(1 << 30)):
            written += file.write((",\n" if index else "") + "  " + json.dumps(event))
            if written > size:
                break
        file.write('\n  ],\n  "baseTimeNanoseconds": 1727000000000000000,\n  "traceName": "trace.json"\n}\n')
    with gzip.open(path.with_suffix(".json.gz"), "wb", compresslevel=6) as packed:
        packed.write(path.read_bytes())


def importing(name: str) -> Callable[[Path], int]:
    """Import the trace into a new store."""

    def run(folder: Path) -> int:
        (folder / "runs.db").unlink(missing_ok=True)
        return import_traces([folder / name], store=folder / "runs.db").traces[0].event_count

    return run


def reading(folder: Path) -> int:
    """Read the trace into columns, and no more."""
    return len(read_trace(folder / "trace.json").trace)


def loading(folder: Path) -> int:
    """Decode the file at once, as most tools do, and keep what came."""
    gc.disable()
    with (folder / "trace.json").open(encoding="utf-8") as file:
        return sum(event["ph"] == "X" for event in json.load(file)["traceEvents"])


CONTENDERS: dict[str, Callable[[Path], int]] = {
    "torchglass import, into the store": importing("trace.json"),
    "torchglass import of the gzipped file": importing("trace.json.gz"),
    "of that, reading into columns": reading,
    "`json.load` of the whole file, nothing done with it": loading,
}


def page(figures: dict[str, list[Figure]], plain_mb: float, packed_mb: float, store_mb: float) -> str:
    """Write the results as a Markdown page."""
    count = next(iter(figures.values()))[0].count
    lines = [
        "# Traces in",
        "",
        f"Machine: {machine()}. Rewritten by `make bench` ({time.strftime('%Y-%m-%d')}).",
        f"{count:,} slices of training steps as Kineto writes them, with their flows: {plain_mb:.0f} MB of JSON,",
        f"{packed_mb:.1f} MB gzipped, a store of {store_mb:.1f} MB once imported. Median of {ROUNDS} fresh processes",
        "that took turns, libraries loaded before; memory is the whole process's. What is asked: 15 s and 1,000 MB.",
        "",
        "| what | seconds | of a processor | microseconds per slice | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name, found in figures.items():
        seconds = statistics.median(each.seconds for each in found)
        worked = statistics.median(each.processor_seconds for each in found)
        peak = max(each.peak_mb for each in found)
        lines.append(f"| {name} | {seconds:.2f} | {worked:.2f} | {seconds / count * 1e6:.1f} | {peak:.0f} MB |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make a trace, let each contender have it in turn, print the table and keep it."""
    quick = is_quick(CONTENDERS, __doc__, "a twentieth of the events; nothing is kept")
    with tempfile.TemporaryDirectory(prefix="trace-import-") as name:
        folder = Path(name)
        make_trace(folder / "trace.json", BYTES // 20 if quick else BYTES)
        figures = in_turns(__file__, CONTENDERS, folder)
        sizes = [(folder / file).stat().st_size / 1e6 for file in ("trace.json", "trace.json.gz", "runs.db")]
        text = page(figures, *sizes)
    print(text)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "trace-import-cpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
