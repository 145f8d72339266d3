"""Runs to compare: steps as they really jitter, written through the real store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.store import Batch, Fact, ProfilerRow, ProfilerWindow, RowBlock, Run, Store

Numbers = npt.NDArray[np.float64]

STEP_SECONDS = 0.1
SHARES = {"data": 0.1, "forward": 0.3, "backward": 0.5, "optimizer": 0.1}
START = 1.7e9


def jittery(
    generator: np.random.Generator,
    count: int,
    *,
    seconds: float = STEP_SECONDS,
    spread: float = 0.08,
    memory: float = 0.5,
    hiccups: float = 0.01,
) -> Numbers:
    """Step times (count,): log-normal, each like the one before it, and one in a hundred five times as long."""
    noise = generator.normal(0, 1, count)
    for place in range(1, count):
        noise[place] = memory * noise[place - 1] + np.sqrt(1 - memory**2) * noise[place]
    values = seconds * np.exp(spread * noise)
    values[generator.random(count) < hiccups] *= 5
    return np.asarray(values)


def record(
    store: Store,
    name: str,
    phases: Mapping[str, Numbers],
    *,
    config: Mapping[str, Any] | None = None,
    series: Mapping[tuple[str, str, str], Sequence[float]] | None = None,
    windows: Sequence[ProfilerWindow] = (),
    facts: Mapping[str, Any] | None = None,
    rank: int = 0,
    run: Run | None = None,
) -> Run:
    """Write a run with these phases (n,) and their sum; `series` are values by key, kind and unit."""
    run = run or store.start_run(name, config or {}, host="here", pid=1)
    rows = [_block(f"phase/{phase}", "phase", "s", values) for phase, values in phases.items()]
    if phases:
        rows.append(_block("phase/step", "phase", "s", np.sum(list(phases.values()), axis=0)))
    rows += [_block(*names, np.array(values, np.float64)) for names, values in (series or {}).items()]
    stated = [Fact(rank, key, value, START) for key, value in (facts or {}).items()]
    store.write(run.id, rank, Batch(rows=rows, windows=list(windows), facts=stated))
    return run


def split(whole: Numbers, shares: Mapping[str, float] = SHARES) -> dict[str, Numbers]:
    """Step times (n,) as phases that sum to them."""
    return {name: share * whole for name, share in shares.items()}


def window(
    step: int, rows: Mapping[str, tuple[int, float]], *, steps: int = 2, kind: Any = "operator"
) -> ProfilerWindow:
    """A profiler window: calls and self seconds of all its steps by name."""
    found = tuple(ProfilerRow(kind, name, calls, seconds, seconds) for name, (calls, seconds) in rows.items())
    return ProfilerWindow(step, START + step, steps, 1.0, {"device": "cpu"}, found)


def _block(key: str, kind: Any, unit: str, values: Numbers) -> RowBlock:
    steps = np.arange(len(values))
    return RowBlock.of_series(key, kind, unit, steps, START + steps.astype(np.float64), values)
