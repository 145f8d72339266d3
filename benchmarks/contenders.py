"""Contenders that take turns, each in a fresh process: what one took of time and memory is its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from reading_process import peak_memory_mb

ROUNDS = 3

Contenders = Mapping[str, Callable[[Path], int]]  # each works in a folder and returns how many items it did


class Figure(NamedTuple):
    """What one process took."""

    count: int
    seconds: float
    processor_seconds: float
    peak_mb: float


def is_quick(contenders: Contenders, description: str | None, quick: str) -> bool:
    """Read the command line; the process of a single contender ends here, having said what it took."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--one", choices=contenders, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measure_here(contenders[options.one], options.folder)._asdict()))
        raise SystemExit(0)
    return bool(options.quick)


def in_turns(script: str, contenders: Contenders, folder: Path) -> dict[str, list[Figure]]:
    """Let each contender work in a folder, round after round."""
    figures: dict[str, list[Figure]] = {each: [] for each in contenders}
    for _ in range(ROUNDS):
        for name, found in figures.items():
            command = [sys.executable, script, "--one", name, "--folder", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(Figure(**json.loads(done.stdout)))
            print(name, found[-1], flush=True)
    return figures


def _measure_here(work: Callable[[Path], int], folder: Path) -> Figure:
    began, worked = time.perf_counter(), time.process_time()
    count = work(folder)
    return Figure(count, time.perf_counter() - began, time.process_time() - worked, peak_memory_mb())
