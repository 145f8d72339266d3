"""Batches of one series, for the tests of the store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from torchglass.store import Batch, Column, RowBlock, Store

START = 1_700_000_000.0


def block(
    steps: Sequence[int] | npt.NDArray[np.int64],
    values: Sequence[float] | npt.NDArray[np.float64],
    key: str = "loss",
) -> RowBlock:
    """Points 0.1 s of step apart, so that a step's time can be told from the step."""
    at = np.asarray(steps, np.int64)
    times = START + np.arange(len(at), dtype=np.float64) * 0.1
    return RowBlock((Column(key),), at, times, np.asarray(values, np.float64)[:, None])


def one(steps: Sequence[int], values: Sequence[float], key: str = "loss") -> Batch:
    """A batch of one block."""
    return Batch(rows=[block(steps, values, key)])


def start(store: Store, name: str = "run") -> int:
    """Register a run and return its id."""
    return store.start_run(name, {}, host="here", pid=1).id


def series_id(store: Store, run_id: int, key: str = "loss") -> int:
    """Id of a series that must exist."""
    series = store.find_series(run_id, key)
    assert series is not None
    return series.id


def bits(values: npt.NDArray[np.float64]) -> list[int]:
    """The very bits: NaN equals NaN, and -0.0 differs from 0.0."""
    return [int(each) for each in np.ascontiguousarray(values).view(np.uint64)]
