"""Tables of profiler windows: read from the store, and those of several windows added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store.records import Floats, Integers, ProfilerWindow, Table
from torchglass.store.store import Store

Tables = Mapping[str, Table]
Column = npt.NDArray[Any]

LISTED = (
    "breakdown", "phases", "operators", "kernels", "links", "idle", "gaps", "copies", "launches", "collectives",
    "overheads", "skew",
)  # fmt: skip
MOST_GAPS = 100
_PARTS = ("total", "compute", "exposed_communication", "exposed_copies", "idle")


class Adding(NamedTuple):
    """How rows of one table become one: those that agree in `keys`.

    `means` are weighted by the column `weight`; what is named nowhere is the same in all of them.
    """

    keys: tuple[str, ...]
    sums: tuple[str, ...]
    smallest: tuple[str, ...] = ()
    largest: tuple[str, ...] = ()
    means: tuple[str, ...] = ()
    weight: str = ""


ADDING: Mapping[str, Adding] = {
    "breakdown": Adding(("device",), tuple(f"{part}_{unit}" for part in _PARTS for unit in ("seconds", "ns"))),
    "phases": Adding(("phase",), ("seconds", "device_seconds")),
    "operators": Adding(
        ("name",), ("calls", "self_seconds", "total_seconds", "device_self_seconds", "device_total_seconds")
    ),
    "kernels": Adding(
        ("name", "device"),
        ("calls", "seconds"),
        ("shortest_seconds",),
        ("longest_seconds",),
        ("blocks_per_sm", "sm_efficiency_percent", "occupancy_percent"),
        "seconds",
    ),
    "links": Adding(("phase", "module", "operator", "kernel"), ("calls", "seconds")),
    "idle": Adding(("device", "stream", "cause"), ("gaps", "seconds")),
    "copies": Adding(("kind", "memory", "pageable"), ("calls", "bytes", "seconds")),
    "launches": Adding(
        ("call",),
        ("calls", "host_seconds", "kernels"),
        largest=("longest_latency_seconds",),
        means=("mean_latency_seconds",),
        weight="kernels",
    ),
    "collectives": Adding(("name", "group"), ("calls", "seconds", "exposed_seconds", "bytes")),
    "overheads": Adding(("name",), ("calls", "seconds")),
}


def read_tables(store: Store, windows: Iterable[ProfilerWindow], names: Iterable[str] = LISTED) -> dict[str, Table]:
    """Tables of windows, those of the same name added up; a table that no window has is left out.

    A window of an older store has no tables: its rows stand in for operators and kernels.
    """
    wanted = tuple(names)
    return added_tables([{**row_tables(window), **store.window_tables(window.id, wanted)} for window in windows])


def row_tables(window: ProfilerWindow) -> dict[str, Table]:
    """The rows of a window as the tables "operators" and "kernels", with the columns that rows have."""
    tables: dict[str, Table] = {}
    for kind, own, total in (("operator", "self_seconds", "total_seconds"), ("kernel", "seconds", None)):
        rows = [row for row in window.rows if row.kind == kind]
        if rows:
            table = {
                "name": np.array([row.name for row in rows]),
                "calls": np.array([row.calls for row in rows], np.int64),
                own: np.array([row.self_seconds for row in rows], np.float64),
            }
            if total is not None:
                table[total] = np.array([row.total_seconds for row in rows], np.float64)
            tables[f"{kind}s"] = table
    return tables


def added_tables(several: Sequence[Tables]) -> dict[str, Table]:
    """Tables of several windows as if they were one window; gaps are the longest of all."""
    added: dict[str, Table] = {}
    for name in dict.fromkeys(name for tables in several for name in tables):
        parts = [tables[name] for tables in several if name in tables]
        whole = parts[0] if len(parts) == 1 else _joined(parts)
        if name == "gaps":
            order = np.argsort(-whole["seconds"], kind="stable")[:MOST_GAPS]
            added[name] = {column: values[order] for column, values in whole.items()}
        else:
            added[name] = _added(whole, ADDING[name]) if name in ADDING and len(parts) > 1 else whole
    return added


def size_of(table: Table | None) -> int:
    """Rows of a table; none where there is no table."""
    return 0 if table is None else min((len(column) for column in table.values()), default=0)


def missing_reasons(windows: Sequence[ProfilerWindow]) -> dict[str, str]:
    """Why a table is missing, by its name, as the newest window that lacks it says."""
    reasons: dict[str, str] = {}
    for window in windows:
        told = window.facts.get("missing")
        if isinstance(told, Mapping):
            reasons.update({str(name): str(reason) for name, reason in told.items()})
    return reasons


def _joined(parts: Sequence[Table]) -> Table:
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _added(table: Table, adding: Adding) -> Table:
    group, first = _groups([table[name] for name in adding.keys if name in table])
    count = len(first)
    added: dict[str, Column] = {name: values[first] for name, values in table.items()}
    for name in adding.sums:
        if name in table:
            added[name] = _sums(table[name], group, count)
    for names, reduce, start in ((adding.smallest, np.minimum, np.inf), (adding.largest, np.maximum, -np.inf)):
        for name in names:
            if name in table:
                added[name] = _extremes(table[name], group, count, reduce, start)
    for name in adding.means:
        if name in table:
            added[name] = _weighted_means(table[name], table[adding.weight], group, count)
    return added


def _groups(keys: Sequence[Column]) -> tuple[Integers, Integers]:
    """The group of each row, and the first row of each group, in the order in which they come."""
    codes = np.stack([np.unique(key, return_inverse=True)[1] for key in keys])
    _, first, group = np.unique(codes, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[group.reshape(-1)], first[order]


def _sums(values: Column, group: Integers, count: int) -> Column:
    sums = np.zeros(count, np.float64 if values.dtype.kind == "f" else np.int64)
    np.add.at(sums, group, values)
    return sums


def _extremes(values: Column, group: Integers, count: int, reduce: Callable[..., Any], start: float) -> Floats:
    found = np.full(count, start, np.float64)
    reduce.at(found, group, values)  # type: ignore[attr-defined]
    return found


def _weighted_means(values: Column, weights: Column, group: Integers, count: int) -> Floats:
    """Means over the rows that have a value; NaN where none has."""
    known = np.isfinite(values)
    weight = np.where(known, weights.astype(np.float64), 0.0)
    total = np.bincount(group, weight, count)
    weighted = np.bincount(group, weight * np.where(known, values, 0.0), count)
    return np.asarray(np.divide(weighted, total, out=np.full(count, np.nan), where=total > 0))
