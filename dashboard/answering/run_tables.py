"""The complete numbers behind charts of several runs and of sweeps, which the tables beside this file offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.analysis.sweeps import read_sweep
from torchglass.dashboard.answering.query import BadQueryError, Query
from torchglass.store import Series, Store

MAX_RUNS = 50
MAX_POINTS = 3_000_000  # a CSV of some 200 MB

Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]  # of equal length, by name


def runs_series(store: Store, query: Query) -> Columns:
    """Every stored point of some runs' (`runs`) series of a `key`, or of a `kind`; of one `rank`, one row a point."""
    key, kind = query.text("key", ""), query.text("kind", "")
    if not key and not kind:
        raise BadQueryError("runs_series takes a key or a kind")
    found: list[tuple[str, Series]] = []
    for run in store.runs_with_ids(query.integers("runs", MAX_RUNS)):
        series = store.series_of(run.id, kind=kind or None, rank=query.integer("rank", 0))
        found += [(run.name, one) for one in series if not key or one.key == key]
    if sum(one.count for _, one in found) > MAX_POINTS:
        raise BadQueryError(f"more than {MAX_POINTS:,} points: write them with `torchglass export`")
    points = store.points_of([one.id for _, one in found])
    sizes = [len(points[one.id].steps) for _, one in found]
    empty = np.empty(0)
    return {
        "run": np.repeat(np.array([name for name, _ in found], object), sizes),
        "key": np.repeat(np.array([one.key for _, one in found], object), sizes),
        "unit": np.repeat(np.array([one.unit for _, one in found], object), sizes),
        "step": np.concatenate([empty.astype(np.int64), *(points[one.id].steps for _, one in found)]),
        "time": np.concatenate([empty, *(points[one.id].times for _, one in found)]),
        "value": np.concatenate([empty, *(points[one.id].values for _, one in found)]),
    }


def trials(store: Store, query: Query) -> Columns:
    """Every trial of a sweep (`sweep`): what it chose, what came of it, and its run."""
    sweep = read_sweep(store.location, query.text("sweep"))
    return {
        "trial": [trial.number for trial in sweep.trials],
        "state": [trial.state for trial in sweep.trials],
        "value": [trial.value for trial in sweep.trials],
        **{f"switch {name}": _alike([trial.changes.get(name) for trial in sweep.trials]) for name in sweep.switches},
        "run": [trial.run for trial in sweep.trials],
        "started": [trial.started for trial in sweep.trials],
        "ended": [trial.ended for trial in sweep.trials],
    }


def importances(store: Store, query: Query) -> Columns:
    """How much each switch of a sweep (`sweep`) tells the better trials from all that were searched."""
    found = read_sweep(store.location, query.text("sweep")).importances
    return {"switch": list(found), "share": list(found.values())}


def _alike(values: Sequence[Any]) -> list[Any]:
    """Numbers where all are, else text: a column of a table holds one kind of things."""
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]
