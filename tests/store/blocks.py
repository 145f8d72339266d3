"""Batches of one series, for the tests of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.store import Batch, Column, RowBlock, Store
from torchglass.store.location import ServerLocation

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


def ask(store: Store, question: str, *parameters: Any) -> list[Any]:
    """Rows of a query in the store's own database, whichever engine keeps it."""
    with store._engine.reading() as connection:
        return [tuple(row) for row in connection.execute(question, parameters).fetchall()]


def change(store: Store, statement: str, *parameters: Any) -> None:
    """Run a statement in the store's own database behind its back."""
    with store._engine.writing() as connection:
        connection.execute(statement, parameters)


def is_whole(store: Store) -> bool:
    """Whether the engine finds nothing wrong with its own files; a server looks after that itself."""
    if isinstance(store.location, ServerLocation):
        return True
    with closing(sqlite3.connect(store.path)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def series_id(store: Store, run_id: int, key: str = "loss") -> int:
    """Id of a series that must exist."""
    series = store.find_series(run_id, key)
    assert series is not None
    return series.id


def bits(values: npt.NDArray[np.float64]) -> list[int]:
    """The very bits: NaN equals NaN, and -0.0 differs from 0.0."""
    return [int(each) for each in np.ascontiguousarray(values).view(np.uint64)]
