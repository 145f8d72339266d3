"""How good the reference models become, and how fast. `make bench BENCH=reference_models` runs this.

Each training is a process of its own and is watched by torchglass as ever. `--formats` and `--compiled` are for a GPU:
float32 against bf16 and fp16, eager against compiled. `--models` and `--seeds` choose some.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # read when torch loads: no two lines at every profiler window

import torch
from machine import machine

import torchglass
from torchglass.reference_models import ReferenceModel, TrainingOptions, available, train
from torchglass.store import Store

RESULTS = Path(__file__).parent / "results"
FORMATS = ("fp32", "bf16", "fp16")
FOR_A_GPU = frozenset({"resnet50"})  # minutes an epoch on two cores: its bar is for a GPU


@dataclass(frozen=True)
class Ask:
    """One training."""

    model: str
    seed: int
    device: str
    format: str
    compiled: bool


@dataclass(frozen=True)
class Answer:
    """What came of it; `samples_per_second` and `mfu_percent` are medians over steps, None where nothing told."""

    score: float
    passed: bool
    epochs: int
    seconds: float
    samples_per_second: float | None
    peak_bytes: int
    mfu_percent: float | None


def answer(ask: Ask) -> Answer:
    """Train in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        result = train(
            TrainingOptions(
                model=ask.model,
                seed=ask.seed,
                device=ask.device,
                amp=None if ask.format == "fp32" else ask.format,  # type: ignore[arg-type]
                compile=ask.compiled,
                store=path,
                progress=False,
            )
        )
        with torchglass.open_store(path, read_only=True) as store:
            run = store.run(result.run_name).id
            rate, mfu = (_median(store, run, f"work/{name}") for name in ("samples_per_second", "mfu_percent"))
    on_gpu = ask.device.startswith("cuda")
    peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score = math.nan if result.score is None else result.score
    return Answer(score, result.passed, len(result.epochs), result.seconds, rate, peak, mfu)


def _median(store: Store, run: int, key: str) -> float | None:
    series = store.find_series(run, key)
    return None if series is None else statistics.median(store.points(series.id).values)


def ask_process(ask: Ask, threads: int | None) -> Answer | str:
    """Train in a process of its own; a refusal or a failure is its last line."""
    command = [sys.executable, __file__, "--one", json.dumps(asdict(ask))]
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if finished.returncode:
        return (finished.stderr.strip().splitlines() or ["failed without a word"])[-1][:120]
    return Answer(**json.loads(finished.stdout.splitlines()[-1]))


def rows(models: tuple[ReferenceModel, ...], options: argparse.Namespace, threads: int | None) -> Iterator[str]:
    """A line of the table for each model, format and way; what cannot be had says why."""
    ways = [
        (model, form, compiled)
        for model in models
        for form in options.formats
        for compiled in ((False, True) if options.compiled else (False,))
    ]
    with ThreadPoolExecutor(options.jobs) as pool:
        asked = [
            [
                pool.submit(ask_process, Ask(model.name, seed, options.device, form, compiled), threads)
                for seed in options.seeds
            ]
            for model, form, compiled in ways
        ]
        for (model, form, compiled), answers in zip(ways, asked, strict=True):
            line = _row(model, form, compiled, [answer.result() for answer in answers])
            print(line, flush=True)
            yield line


def _row(model: ReferenceModel, form: str, compiled: bool, answers: list[Answer | str]) -> str:
    head = f"| {model.name} on {model.datasets[0]} | {form}{', compiled' if compiled else ''} "
    failed = [each for each in answers if isinstance(each, str)]
    if failed:
        return f"{head}| {failed[0].replace('|', '/')} |" + " |" * 7
    found = [each for each in answers if isinstance(each, Answer)]
    scores = ", ".join(f"{each.score:.4g}{'' if each.passed else ' (missed)'}" for each in found)
    rates = [each.samples_per_second for each in found if each.samples_per_second is not None]
    mfus = [each.mfu_percent for each in found if each.mfu_percent is not None]
    return (
        f"{head}| {model.bar.metric} ≥ {model.bar.at_least:g} | {scores} | {found[0].epochs} "
        f"| {statistics.median(each.seconds for each in found):.1f} "
        f"| {f'{statistics.median(rates):,.0f}' if rates else 'N/A'} "
        f"| {max(each.peak_bytes for each in found) / 1e6:,.0f} "
        f"| {f'{statistics.median(mfus):.1f}' if mfus else 'N/A'} |"
    )


def main() -> None:
    """Train every model that needs no file of its reader's, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=lambda text: text.split(","), help="names (all that need no file)")
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--formats", type=lambda text: text.split(","), default=["fp32"], help=",".join(FORMATS))
    parser.add_argument("--compiled", action="store_true", help="each also with torch.compile")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, which share the cores (1)")
    parser.add_argument("--output", type=Path, help="the table's file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(asdict(answer(Ask(**json.loads(options.one))))))
        return
    on_gpu = options.device.startswith("cuda")
    models = tuple(
        model
        for model in available()
        if model.sources[0].needs == ""
        and (model.name in options.models if options.models else on_gpu or model.name not in FOR_A_GPU)
    )
    name = torch.cuda.get_device_name() if on_gpu else machine()
    kind = options.device.partition(":")[0]
    threads = max(1, (os.cpu_count() or 1) // options.jobs) if options.jobs > 1 else None
    together = "" if threads is None else f" {options.jobs} trainings at a time, {threads} thread(s) each."
    lines = [
        "# The reference models: quality and speed",
        "",
        f"Machine: {name}, torch {torch.__version__}, {options.device}. "
        f"`make bench BENCH=reference_models` ({time.strftime('%Y-%m-%d')}).{together}",
        f"Test scores by the default recipes with seeds {', '.join(map(str, options.seeds))}, trained with torchglass "
        "attached. Seconds and samples per second are medians over the seeds, of the training step alone for the "
        "latter; memory is "
        + ("the peak that torch allocated." if kind == "cuda" else "the peak resident size of the whole process."),
        "",
        "| model | format | bar | reached | epochs | seconds | samples/s | peak MB | MFU % |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows(models, options, threads),
        "",
    ]
    output = options.output or RESULTS / f"reference-models-{kind}.md"
    output.write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {output}")


if __name__ == "__main__":
    main()
