"""Tables of a window as columns with units, the longest rows first: a page and a report show the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.charts.idle import cause_name
from torchglass.charts.windows import size_of
from torchglass.language import tr
from torchglass.store.records import Floats, Table

# "s" and "B" are scaled to fit, "count" is grouped by thousands, "share" is a percentage of the listed whole.
Unit = Literal["text", "count", "s", "B", "%", "share", "B/s", "yes"]


class Field(NamedTuple):
    """A column; a value that is not known is None."""

    title: str
    unit: Unit
    values: tuple[Any, ...]
    meaning: str = ""


class Listing(NamedTuple):
    """Columns of equal length; `left_out` rows did not fit, and `unknown` columns held no value at all."""

    fields: tuple[Field, ...]
    left_out: int = 0
    unknown: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.fields[0].values) if self.fields else 0


def kernels_listing(table: Table | None, *, steps: int, most: int) -> Listing:
    """Kernels by their time; copies and fills are not among them."""
    if table is None or not size_of(table):
        return Listing(())
    seconds, calls = table["seconds"], table["calls"]
    rows, left_out = _longest(seconds, most)
    taken = _taker(table, rows)
    tensor = [(tr("yes") if core else tr("could")) if can else "" for core, can in _tensor_cores(table, rows)]
    return _listing(
        left_out,
        Field(tr("Kernel"), "text", taken("name")),
        Field(tr("Share"), "share", _shares(seconds, rows)),
        Field(tr("Time a step"), "s", _numbers(seconds[rows] / steps)),
        Field(tr("Calls a step"), "count", _numbers(calls[rows] / steps)),
        Field(tr("Mean"), "s", _numbers(seconds[rows] / np.maximum(calls[rows], 1))),
        Field(tr("Longest"), "s", taken("longest_seconds")),
        Field(tr("Tensor cores"), "text", tuple(tensor), tr("whether it ran on them, or looks as if it could")),
        Field(
            tr("Occupancy"), "%", taken("occupancy_percent"), tr("warps that could run at once, of those a SM can hold")
        ),
        Field(tr("SM efficiency"), "%", taken("sm_efficiency_percent"), tr("SMs that had a block to work on")),
        Field(tr("Blocks per SM"), "count", taken("blocks_per_sm")),
    )


def operators_listing(table: Table | None, *, steps: int, most: int) -> Listing:
    """Operators by the time of their own kernels; where no device took part, by their own time on the host."""
    if table is None or not size_of(table):
        return Listing(())
    on_device = "device_self_seconds" in table and float(np.nansum(table["device_self_seconds"])) > 0
    ranked = table["device_self_seconds"] if on_device else table["self_seconds"]
    rows, left_out = _longest(ranked, most)
    columns = [
        Field(tr("GPU, own"), "s", (), tr("a step, of the kernels that it launched itself")),
        Field(tr("GPU, total"), "s", (), tr("a step, of the kernels of operators in it too")),
        Field(tr("Host, own"), "s", (), tr("a step, without the operators that it called")),
        Field(tr("Host, total"), "s", (), tr("a step")),
    ]
    names = ("device_self_seconds", "device_total_seconds", "self_seconds", "total_seconds")
    times = [
        field._replace(values=_numbers(table[name][rows] / steps))
        for field, name in zip(columns, names, strict=True)
        if on_device or not name.startswith("device")
    ]
    return _listing(
        left_out,
        Field(tr("Operator"), "text", _taker(table, rows)("name")),
        Field(tr("Share"), "share", _shares(ranked, rows)),
        *times,
        Field(tr("Calls a step"), "count", _numbers(table["calls"][rows] / steps)),
    )


def copies_listing(table: Table | None, *, steps: int, most: int) -> Listing:
    """Copies by their time; those from memory that is not pinned are named."""
    if table is None or not size_of(table):
        return Listing(())
    rows, left_out = _longest(table["seconds"], most)
    seconds, moved = table["seconds"][rows], table["bytes"][rows].astype(np.float64)
    pageable = tuple(tr("pageable: the host waits") if is_pageable else "" for is_pageable in table["pageable"][rows])
    return _listing(
        left_out,
        Field(tr("Copy"), "text", _taker(table, rows)("kind")),
        Field(tr("Memory"), "text", _taker(table, rows)("memory")),
        Field(tr("Note"), "text", pageable),
        Field(tr("Time a step"), "s", _numbers(seconds / steps)),
        Field(tr("Bytes a step"), "B", _numbers(moved / steps)),
        Field(
            tr("Rate"), "B/s", _numbers(np.divide(moved, seconds, out=np.full(len(rows), np.nan), where=seconds > 0))
        ),
        Field(tr("Calls a step"), "count", _numbers(table["calls"][rows] / steps)),
    )


def launches_listing(table: Table | None, *, steps: int, most: int) -> Listing:
    """Calls of the CUDA runtime by the host's time in them."""
    if table is None or not size_of(table):
        return Listing(())
    rows, left_out = _longest(table["host_seconds"], most)
    taken = _taker(table, rows)
    return _listing(
        left_out,
        Field(tr("Call"), "text", taken("call")),
        Field(tr("Host time a step"), "s", _numbers(table["host_seconds"][rows] / steps)),
        Field(tr("Calls a step"), "count", _numbers(table["calls"][rows] / steps)),
        Field(tr("Kernels a step"), "count", _numbers(table["kernels"][rows] / steps)),
        Field(tr("Mean latency"), "s", taken("mean_latency_seconds"), tr("from the call's end to the kernel's start")),
        Field(tr("Longest latency"), "s", taken("longest_latency_seconds")),
    )


def collectives_listing(table: Table | None, *, steps: int, most: int) -> Listing:
    """Collectives by the time in which nothing computed meanwhile."""
    if table is None or not size_of(table):
        return Listing(())
    rows, left_out = _longest(table["exposed_seconds"], most)
    taken = _taker(table, rows)
    seconds = table["seconds"][rows]
    exposed = table["exposed_seconds"][rows]
    return _listing(
        left_out,
        Field(tr("Collective"), "text", taken("name")),
        Field(tr("Group"), "text", taken("group")),
        Field(tr("Exposed a step"), "s", _numbers(exposed / steps), tr("while nothing computed")),
        Field(tr("Time a step"), "s", _numbers(seconds / steps)),
        Field(
            tr("Hidden"),
            "%",
            _numbers(100 * (1 - np.divide(exposed, seconds, out=np.ones(len(rows)), where=seconds > 0))),
        ),
        Field(tr("Bytes a step"), "B", _numbers(table["bytes"][rows] / steps)),
        Field(tr("Calls a step"), "count", _numbers(table["calls"][rows] / steps)),
    )


def skew_listing(table: Table | None, *, most: int) -> Listing:
    """Collectives by how far apart their ranks began them."""
    if table is None or not size_of(table):
        return Listing(())
    rows, left_out = _longest(table["mean_seconds"], most)
    taken = _taker(table, rows)
    last = tuple(tr("rank {rank}", rank=rank) if rank >= 0 else "" for rank in table["last_rank"][rows].tolist())
    return _listing(
        left_out,
        Field(tr("Collective"), "text", taken("collective")),
        Field(tr("Group"), "text", taken("group")),
        Field(tr("Ranks"), "count", taken("ranks")),
        Field(tr("Mean skew"), "s", taken("mean_seconds"), tr("from the first rank to begin it to the last")),
        Field(tr("Longest skew"), "s", taken("longest_seconds")),
        Field(tr("Mostly last"), "text", last),
        Field(tr("Times last"), "count", taken("last_count")),
        Field(tr("Calls"), "count", taken("count")),
    )


def gaps_listing(table: Table | None, *, most: int) -> Listing:
    """The longest gaps of streams."""
    if table is None or not size_of(table):
        return Listing(())
    rows, left_out = _longest(table["seconds"], most)
    taken = _taker(table, rows)
    return _listing(
        left_out,
        Field(tr("Gap"), "s", taken("seconds")),
        Field(tr("Cause"), "text", tuple(cause_name(str(cause)) for cause in taken("cause"))),
        Field(tr("Launched by"), "text", taken("operator"), tr("the operator of the kernel that came next")),
        Field(tr("After"), "text", taken("before"), tr("what ended before the gap")),
        Field(tr("Before"), "text", taken("after"), tr("what ended the gap")),
        Field(tr("Stream"), "count", taken("stream")),
        Field(tr("At"), "s", _numbers(table["start_ns"][rows] / 1e9), tr("from the start of the window")),
    )


def tensor_core_percent(table: Table | None) -> tuple[float | None, float | None]:
    """Share of the kernels' time that ran on tensor cores, and of what looks as if it could but did not; in percent."""
    if table is None or not size_of(table) or not {"tensor_core", "eligible"} <= set(table):
        return None, None
    seconds = np.asarray(table["seconds"], np.float64)
    whole = float(seconds.sum())
    if not whole > 0:
        return None, None
    core = table["tensor_core"].astype(bool)
    missed = table["eligible"].astype(bool) & ~core
    return 100 * float(seconds[core].sum()) / whole, 100 * float(seconds[missed].sum()) / whole


def _listing(left_out: int, *fields: Field) -> Listing:
    """Columns without a single value are taken away, and named."""
    known = tuple(field for field in fields if any(value is not None and value != "" for value in field.values))
    needless = [field for field in fields if field not in known]
    unknown = tuple(field.title for field in needless if field.unit != "text")
    return Listing(known, left_out, unknown)


def _longest(seconds: npt.NDArray[Any], most: int) -> tuple[npt.NDArray[np.int64], int]:
    order = np.argsort(-np.nan_to_num(seconds), kind="stable")
    return order[:most], max(0, len(order) - most)


def _shares(seconds: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> tuple[float | None, ...]:
    whole = float(np.nansum(seconds))
    return _numbers(100 * seconds[rows] / whole if whole > 0 else np.full(len(rows), np.nan))


def _taker(table: Table, rows: npt.NDArray[np.int64]) -> Callable[[str], tuple[Any, ...]]:
    def taken(name: str) -> tuple[Any, ...]:
        column = table.get(name)
        if column is None:
            return (None,) * len(rows)
        return _numbers(column[rows]) if column.dtype.kind == "f" else tuple(column[rows].tolist())

    return taken


def _tensor_cores(table: Table, rows: npt.NDArray[np.int64]) -> Sequence[tuple[bool, bool]]:
    absent = np.zeros(size_of(table), bool)
    core, can = table.get("tensor_core", absent)[rows], table.get("eligible", absent)[rows]
    return list(zip(core.tolist(), (can | core).tolist(), strict=True))


def _numbers(values: Floats | npt.NDArray[Any]) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values.tolist())
