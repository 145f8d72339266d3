"""Comparisons of two runs, kept while neither has recorded more: resampling their steps takes a third of a second."""

from __future__ import annotations

import threading
from typing import Any

from torchglass.analysis.comparison import Comparison, compare
from torchglass.analysis.measured import Measured, measure
from torchglass.language import language
from torchglass.store import Run, Store

MOST_KEPT = 32  # each holds the steps of two runs

_kept: dict[tuple[Any, ...], Comparison] = {}
_lock = threading.Lock()


def compared(store: Store, base: Run, others: list[Run], rank: int) -> list[Comparison]:
    """Compare each of some runs with the first of all; of what is kept nothing is read again."""
    known: dict[int, Measured] = {}

    def measured(run: Run) -> Measured:
        if run.id not in known:
            known[run.id] = measure(store, run, rank)
        return known[run.id]

    found = []
    for other in others:
        # What cannot be compared says why, in the words of whoever asked.
        key = (store.location.address, rank, language(), *_state(store, base, rank), *_state(store, other, rank))
        with _lock:
            comparison = _kept.get(key)
        if comparison is None:
            comparison = compare(measured(base), measured(other))
            _keep(key, comparison)
        found.append(comparison)
    return found


def _state(store: Store, run: Run, rank: int) -> tuple[Any, ...]:
    """What changes when the run records more, or is called otherwise."""
    recorded = sum(series.cursor for series in store.series_of(run.id, rank=rank))
    return run.uid, run.name, run.status, recorded, len(store.windows(run.id, rank, rows=False))


def _keep(key: tuple[Any, ...], comparison: Comparison) -> None:
    with _lock:
        _kept[key] = comparison
        while len(_kept) > MOST_KEPT:
            del _kept[next(iter(_kept))]
