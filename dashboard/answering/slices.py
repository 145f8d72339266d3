"""What a time line asks of the store: how busy a stretch of a window was, or its slices where they are few."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.charts.text import plain_text
from torchglass.charts.timeline import MOST_BINS, TABLES, TimelineData, busy_data, slices_between, timeline_data
from torchglass.store import Location, Run, Store, open_store

MOST_SLICES = 2000  # beyond it a reader sees no slice, only how many there are
MOST_NAME_CHARACTERS = 300
HELD_WINDOWS = 4  # a window never changes; 100,000 slices take about 5 MB

Columns = Mapping[str, npt.NDArray[Any]]


class Answer(NamedTuple):
    """Header and columns of an answer; `mode` in the header says which columns to expect."""

    header: Mapping[str, object]
    columns: Columns


def answer(store: Store, run: Run, window_id: int, first_ns: float, last_ns: float, bins: int) -> Answer:
    """Describe a stretch of a window, clipped to the window."""
    data = timeline_of(store.location, run.uid, window_id)
    first, last = max(0.0, first_ns), min(float(max(data.span_ns, 1)), last_ns)
    if not last > first:
        first, last = 0.0, float(max(data.span_ns, 1))
    stretches = slices_between(data, first, last)
    count = sum(high - low for _, low, high in stretches)
    columns = (
        _slices(data, stretches) if count <= MOST_SLICES else _map(data, first, last, max(1, min(bins, MOST_BINS)))
    )
    used = np.unique(columns["name"])
    header = {
        "mode": "slices" if count <= MOST_SLICES else "map",
        "first_ns": first,
        "last_ns": last,
        "span_ns": data.span_ns,
        "count": count,
        "total": len(data.start_ns),
        "hidden_rows": data.hidden_rows,
        "lanes": [{"title": plain_text(title), "device": device} for title, device in data.lanes],
        "rows": [{"lane": row.lane, "depth": row.depth} for row in data.rows],
        "names": {
            str(place): plain_text(data.names[place], MOST_NAME_CHARACTERS)
            for place in used.tolist()
            if 0 <= place < len(data.names)
        },
    }
    return Answer(header, columns)


@functools.lru_cache(maxsize=HELD_WINDOWS)
def timeline_of(location: Location, run_uid: str, window_id: int) -> TimelineData:
    """Slices of a window, sorted once. The run's own id tells a store from another one at the same place."""
    with open_store(location, read_only=True) as store:
        return timeline_data(store.window_tables(window_id, TABLES))


def _slices(data: TimelineData, stretches: list[tuple[int, int, int]]) -> Columns:
    places = np.concatenate([np.arange(low, high) for _, low, high in stretches] or [np.empty(0, np.int64)])
    counts = np.array([high - low for _, low, high in stretches], np.int64)
    rows = np.repeat(np.array([number for number, _, _ in stretches], np.int64), counts)
    return {
        "row": rows.astype(np.int32),
        "start_ns": data.start_ns[places].astype(np.float64),
        "duration_ns": (data.end_ns - data.start_ns)[places].astype(np.float64),
        "name": data.name[places].astype(np.int32),
        "kind": data.kind[places].astype(np.int8),
        "clipped": data.clipped[places].astype(np.int8),
    }


def _map(data: TimelineData, first: float, last: float, bins: int) -> Columns:
    busy = busy_data(data, first, last, bins)
    return {
        # A sliver of work is not no work: what is busy at all is at least 1.
        "share": np.where(busy.share > 0, np.maximum(1, np.round(255 * busy.share)), 0).astype(np.uint8).ravel(),
        "name": busy.name.astype(np.int32).ravel(),
        "kind": busy.kind.astype(np.int8).ravel(),
    }
