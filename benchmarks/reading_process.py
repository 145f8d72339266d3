"""What a page does with a store it has just been shown, in a process of its own: prints one line of JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from torchglass.store import Store, open_store

MAX_POINTS = 2_000
CHARTS = 12


def first_screen(store: Store) -> dict[str, float]:
    """List the newest run's series, then read what the first dozen charts draw."""
    began = time.perf_counter()
    series = store.series_of(store.runs()[0].id)
    listed = time.perf_counter()
    drawn = [store.points(each.id, max_points=MAX_POINTS) for each in series[:CHARTS]]
    return {
        "series": len(series),
        "list_ms": 1e3 * (listed - began),
        "charts_ms": 1e3 * (time.perf_counter() - listed),
        "points": sum(len(each.steps) for each in drawn),
    }


def whole_series(store: Store) -> dict[str, float]:
    """Read every point of the newest run's first series."""
    began = time.perf_counter()
    points = store.points(store.series_of(store.runs()[0].id)[0].id)
    return {"points": len(points.steps), "points_per_second": len(points.steps) / (time.perf_counter() - began)}


def drawn_steps(store: Store) -> dict[str, list[int]]:
    """Steps of the spike and of the NaN as they come out of a reduction of everything."""
    points = store.points(store.series_of(store.runs()[0].id)[0].id, max_points=MAX_POINTS)
    highest = int(np.nanargmax(points.values))
    nans = points.steps[np.isnan(points.values)].tolist()
    return {"spike": [int(points.steps[highest])], "nans": nans}


def peak_memory_mb() -> float:
    """Most memory that this process held, from Linux; `getrusage` would count the parent's, from before the exec."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def main() -> None:
    """Open the store and do what was asked; opening is part of what is timed, loading Python and numpy is not."""
    what, path = sys.argv[1:]
    began, cpu_began = time.perf_counter(), time.process_time()
    with open_store(Path(path), read_only=True) as store:
        opened_ms = 1e3 * (time.perf_counter() - began)
        if what == "screen":
            result: dict[str, object] = {**first_screen(store)}
        elif what == "whole":
            result = {**whole_series(store)}
        else:
            result = {**drawn_steps(store)}
    cpu_ms = 1e3 * (time.process_time() - cpu_began)
    print(json.dumps({**result, "open_ms": opened_ms, "cpu_ms": cpu_ms, "peak_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main()
