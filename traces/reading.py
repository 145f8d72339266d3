"""A trace file, Kineto's or Chrome's, plain or gzipped -> the columns of a `Trace`; never the whole file at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.errors import DataError
from torchglass.store import Table
from torchglass.traces.kernel_names import HOST_COLLECTIVE
from torchglass.traces.reading_columns import NO_EVENTS, UNKNOWN, Columns
from torchglass.traces.reading_json import Events
from torchglass.traces.reading_links import forward_lanes, ids_link, linked_by_time
from torchglass.traces.reading_text import Advance, Text
from torchglass.traces.reading_values import LARGEST, clean, cleaned, fraction, whole
from torchglass.traces.trace import NO_ID, Kind, Trace

MOST_RANKS = 1 << 20


@dataclass(frozen=True)
class Reading:
    """A trace and what its file says beside the events. `faults` are sentences on what could not be taken as it was.

    `memory` is the allocator's curve (see `reading_memory`), without columns where none was recorded.
    """

    trace: Trace
    memory: Table
    host: str
    faults: tuple[str, ...]


def read_trace(path: Path, advance: Advance = lambda amount: None) -> Reading:
    """Read a trace file; times become nanoseconds since the epoch, where the file says so.

    Categories of 2021 and of today, B and E as well as X events, whole and fractional microseconds, ids that are text.
    Events of categories that nobody told us are left out and counted; in a trace that has no other, of a tool that is
    not Kineto, they are operators. Calls of Python functions are left out, those of modules are annotations.

    Args:
        advance: told how many more bytes of the file were read, about once a mebibyte.

    Raises:
        OptionError: there is no such file.
        DataError: it is no trace, truncated, or made to be a burden; one sentence says which and where.
    """
    columns = Columns(path.name)
    with Text(path, advance) as text, _no_cycles():
        events = Events(text, path.name)
        for event in events:
            columns.take(event)
    columns.finish()
    if not columns.start and set(columns.left_out) == {NO_EVENTS}:
        raise DataError(f"{path.name} is JSON, but none of its values is an event of a trace")
    return _reading(columns, events)


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Spare the search for cycles, which takes four fifths of the time: decoded JSON has none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _reading(columns: Columns, events: Events) -> Reading:
    kind = np.frombuffer(columns.kind, np.int8) if columns.kind else np.empty(0, np.int8)
    unknown = kind == UNKNOWN
    if (~unknown).any():
        columns.left_out["slices of unknown categories"] += int(unknown.sum())
        kept = np.flatnonzero(~unknown)
    else:
        kind = np.full(len(kind), Kind.OPERATOR, np.int8)
        kept = np.arange(len(kind))
    start = _column(columns.start)
    order = kept[np.argsort(start[kept], kind="stable")]
    base = whole(events.beside.get("baseTimeNanoseconds"), 0)
    if len(order) and not -LARGEST < base + int(start[order[-1]]) < LARGEST:
        base = 0
    trace = _trace(columns, kind, order, base, _facts(columns, events))
    begin = int(trace.start_ns[0]) if len(trace) else base
    host = events.beside.get("host_name")
    return Reading(
        trace=trace,
        memory=columns.memory.table(begin - base),
        host=clean(host[:200]) if isinstance(host, str) else "",
        faults=_faults(columns, events),
    )


def _trace(columns: Columns, kind: npt.NDArray[np.int8], order: Any, base: int, facts: dict[str, Any]) -> Trace:
    start, duration, lane, identity, correlation = (
        _column(each)[order]
        for each in (columns.start, columns.duration, columns.lane, columns.identity, columns.correlation)
    )
    kind, sequence = kind[order], _column(columns.sequence)[order]
    host = kind <= Kind.ANNOTATION
    if ids_link(kind, identity, correlation):
        operator_id, external = np.where(host, identity, NO_ID), np.where(host, NO_ID, identity)
    else:
        operator_id, external = linked_by_time(kind, start, duration, lane, correlation)
    device = _column(columns.device)[order].astype(np.int32)
    return Trace(
        names=tuple(columns.names),
        name=_column(columns.name)[order].astype(np.int32),
        kind=kind,
        start_ns=start + base,
        duration_ns=duration,
        device=device,
        lane=lane,
        operator_id=operator_id,
        external=external,
        correlation=correlation,
        sequence=sequence,
        forward_lane=forward_lanes(lane, sequence, _column(columns.forward)[order]),
        **_details(columns, order, device, facts),
        texts=_texts(columns, order),
        asynchronous=_asynchronous(columns, order),
        lane_names=columns.lanes.names(),
        rank=_rank(facts),
        facts=facts,
    )


def _column(values: Any) -> Any:
    return np.frombuffer(values, values.typecode) if values else np.empty(0, values.typecode)


def _details(
    columns: Columns, order: npt.NDArray[np.int64], device: npt.NDArray[np.int32], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What kernels and copies say of themselves, in columns."""
    bytes_moved, blocks, occupancy = (np.full(len(columns.start), np.nan) for _ in range(3))
    graph_node = np.zeros(len(columns.start), np.int64)
    if columns.details:
        rows = np.fromiter(columns.details, np.int64, len(columns.details))
        bytes_moved[rows], blocks[rows], occupancy[rows], graph_node[rows] = zip(*columns.details.values(), strict=True)
    multiprocessors = {whole(each.get("id"), -1): fraction(each.get("numSms")) for each in facts["deviceProperties"]}
    for row, grid in columns.grids.items():
        count = multiprocessors.get(columns.device[row], np.nan)
        if count > 0:
            blocks[row] = np.prod([fraction(each) for each in grid]) / count
    return {
        "bytes_moved": bytes_moved[order],
        "blocks_per_sm": blocks[order],
        "occupancy_percent": occupancy[order],
        "graph_node": graph_node[order],
    }


def _texts(columns: Columns, order: npt.NDArray[np.int64]) -> dict[int, dict[str, Any]]:
    place = {int(row): at for at, row in enumerate(order)} if columns.texts else {}
    return {place[row]: texts for row, texts in columns.texts.items() if row in place}


def _asynchronous(columns: Columns, order: npt.NDArray[np.int64]) -> frozenset[int]:
    """A file does not say which calls another thread ended; of the CPU's collectives it is known."""
    names = [index for name, index in columns.names.items() if name.startswith(HOST_COLLECTIVE)]
    return frozenset(np.flatnonzero(np.isin(_column(columns.name)[order], names)).tolist())


def _facts(columns: Columns, events: Events) -> dict[str, Any]:
    beside = events.beside
    devices, distributed = cleaned(beside.get("deviceProperties")), cleaned(beside.get("distributedInfo"))
    return {
        "deviceProperties": [each for each in devices if isinstance(each, dict)] if isinstance(devices, list) else [],
        "distributedInfo": distributed if isinstance(distributed, dict) else {},
        "left_out": {reason: count for reason, count in columns.left_out.items() if count},
    }


def _rank(facts: Mapping[str, Any]) -> int | None:
    rank = whole(facts["distributedInfo"].get("rank"), -1)
    return rank if 0 <= rank < MOST_RANKS else None


def _faults(columns: Columns, events: Events) -> tuple[str, ...]:
    name = columns.file_name
    faults = []
    if events.repaired_count:
        faults.append(f"{name}: {events.repaired_count:,} events that are not valid JSON were repaired")
    if columns.negative_count:
        faults.append(f"{name}: {columns.negative_count:,} slices end before they begin; they count with no length")
    return tuple(faults)
