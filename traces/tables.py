"""The tables of a window: their columns, and how one is made.

Times are seconds unless a column ends with `_ns`; `start_ns` counts from the start of the window. NaN is a number that
the trace does not tell. This is the contract with whoever reads tables back from the store.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.store import Table

TEXT, TRUTH, WHOLE, REAL = "text", "truth", "whole", "real"

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "kernels": {
        "name": TEXT,
        "device": WHOLE,
        "calls": WHOLE,
        "seconds": REAL,
        "shortest_seconds": REAL,
        "longest_seconds": REAL,
        "blocks_per_sm": REAL,
        "sm_efficiency_percent": REAL,
        "occupancy_percent": REAL,
        "tensor_core": TRUTH,
        "eligible": TRUTH,
    },
    "operators": {
        "name": TEXT,
        "calls": WHOLE,
        "self_seconds": REAL,
        "total_seconds": REAL,
        "device_self_seconds": REAL,
        "device_total_seconds": REAL,
    },
    "links": {"phase": TEXT, "module": TEXT, "operator": TEXT, "kernel": TEXT, "calls": WHOLE, "seconds": REAL},
    "copies": {"kind": TEXT, "memory": TEXT, "pageable": TRUTH, "calls": WHOLE, "bytes": REAL, "seconds": REAL},
    "idle": {"device": WHOLE, "stream": WHOLE, "cause": TEXT, "gaps": WHOLE, "seconds": REAL},
    "gaps": {
        "device": WHOLE,
        "stream": WHOLE,
        "start_ns": WHOLE,
        "seconds": REAL,
        "cause": TEXT,
        "before": TEXT,
        "after": TEXT,
        "operator": TEXT,
    },
    "collectives": {
        "name": TEXT,
        "calls": WHOLE,
        "seconds": REAL,
        "exposed_seconds": REAL,
        "bytes": REAL,
        "group": TEXT,
    },
    "launches": {
        "call": TEXT,
        "calls": WHOLE,
        "host_seconds": REAL,
        "kernels": WHOLE,
        "mean_latency_seconds": REAL,
        "longest_latency_seconds": REAL,
    },
    "breakdown": {
        "device": WHOLE,
        "total_seconds": REAL,
        "compute_seconds": REAL,
        "exposed_communication_seconds": REAL,
        "exposed_copies_seconds": REAL,
        "idle_seconds": REAL,
        "total_ns": WHOLE,
        "compute_ns": WHOLE,
        "exposed_communication_ns": WHOLE,
        "exposed_copies_ns": WHOLE,
        "idle_ns": WHOLE,
    },
    "steps": {"number": WHOLE, "start_ns": WHOLE, "seconds": REAL, "device_seconds": REAL},
    "phases": {"phase": TEXT, "seconds": REAL, "device_seconds": REAL},
    "slices": {
        "lane": WHOLE,
        "depth": WHOLE,
        "start_ns": WHOLE,
        "duration_ns": WHOLE,
        "name": WHOLE,
        "kind": WHOLE,
        "clipped": TRUTH,
    },
    "lanes": {"title": TEXT, "device": WHOLE, "lane": WHOLE},
    "slice_names": {"name": TEXT},
    "overheads": {"name": TEXT, "calls": WHOLE, "seconds": REAL},
}
_TYPES: Mapping[str, Any] = {TEXT: np.str_, TRUTH: np.bool_, WHOLE: np.int64, REAL: np.float64}
# Text columns have one width for all rows, and the names of templated kernels run to thousands of characters.
LONGEST_NAME = 300
_DIGEST = 9  # characters at the end of a shortened name that keep it apart from others that begin alike


def table(name: str, /, **columns: npt.ArrayLike) -> Table:
    """Make the table of that name from all of its columns (n,)."""
    wanted = COLUMNS[name]
    assert wanted.keys() == columns.keys(), f"{name} has columns {sorted(wanted)}, not {sorted(columns)}"
    return {column: np.asarray(columns[column], dtype=_TYPES[wanted[column]]) for column in wanted}


def empty(name: str) -> Table:
    """Make the table of that name without rows."""
    return table(name, **{column: [] for column in COLUMNS[name]})


def rows_in(kept: Table) -> int:
    """Count the rows of a table."""
    return len(next(iter(kept.values())))


def short_name(name: str) -> str:
    """Return the name, cut to `LONGEST_NAME` characters if need be; names that differ stay different."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - _DIGEST]}…{zlib.crc32(name.encode('utf-8', 'replace')):08x}"


def texts(names: Iterable[str]) -> npt.NDArray[np.str_]:
    """Make a column of shortened names."""
    return np.array([short_name(name) for name in names], dtype=np.str_)
