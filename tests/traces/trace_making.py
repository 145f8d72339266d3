"""Small traces, written an event at a time; times are nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from torchglass.store import Table
from torchglass.traces.trace import HOST, NO_ID, NO_SEQUENCE, Kind, Trace

_WHOLE = ("operator_id", "external", "correlation", "forward_lane", "graph_node")
_REAL = ("bytes_moved", "blocks_per_sm", "occupancy_percent")


class Making:
    """Events so far; each method adds one, and `trace()` sorts them as every reader does."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []

    def add(self, kind: Kind, name: str, start: int, duration: int, lane: int = 1, **columns: Any) -> Making:
        self._events.append(
            {"kind": kind, "name": name, "start_ns": start, "duration_ns": duration, "lane": lane, **columns}
        )
        return self

    def op(self, name: str, start: int, duration: int, lane: int = 1, **columns: Any) -> Making:
        return self.add(Kind.OPERATOR, name, start, duration, lane, **columns)

    def note(self, name: str, start: int, duration: int = 0, lane: int = 1, **columns: Any) -> Making:
        return self.add(Kind.ANNOTATION, name, start, duration, lane, **columns)

    def call(self, start: int, duration: int, correlation: int, name: str = "cudaLaunchKernel", **more: Any) -> Making:
        return self.add(Kind.RUNTIME, name, start, duration, correlation=correlation, **more)

    def kernel(self, name: str, start: int, duration: int, correlation: int = NO_ID, **more: Any) -> Making:
        return self._work(Kind.KERNEL, name, start, duration, correlation=correlation, **more)

    def copy(self, name: str, start: int, duration: int, correlation: int = NO_ID, **more: Any) -> Making:
        kind = Kind.FILL if name.startswith("Memset") else Kind.COPY
        return self._work(kind, name, start, duration, correlation=correlation, **more)

    def _work(
        self, kind: Kind, name: str, start: int, duration: int, stream: int = 7, device: int = 0, **more: Any
    ) -> Making:
        return self.add(kind, name, start, duration, stream, device=device, **more)

    def trace(self, facts: Mapping[str, Any] | None = None) -> Trace:
        events = sorted(self._events, key=lambda event: int(event["start_ns"]))
        names = tuple(dict.fromkeys(event["name"] for event in events))

        def column(key: str, default: float, dtype: Any) -> np.ndarray[Any, Any]:
            return np.array([event.get(key, default) for event in events], dtype)

        columns: dict[str, Any] = {key: column(key, NO_ID, np.int64) for key in _WHOLE}
        columns |= {key: column(key, np.nan, np.float64) for key in _REAL}
        return Trace(
            names=names,
            name=np.array([names.index(event["name"]) for event in events], np.int32),
            kind=column("kind", 0, np.int8),
            start_ns=column("start_ns", 0, np.int64),
            duration_ns=column("duration_ns", 0, np.int64),
            device=column("device", HOST, np.int32),
            lane=column("lane", 1, np.int64),
            sequence=column("sequence", NO_SEQUENCE, np.int64),
            **columns,
            texts={row: event["text"] for row, event in enumerate(events) if "text" in event},
            asynchronous=frozenset(row for row, event in enumerate(events) if event.get("asynchronous")),
            facts=facts or {},
        )


def lines(table: Table, *columns: str) -> list[tuple[Any, ...]]:
    """Rows of a table as tuples of the columns asked for."""
    return list(zip(*(table[column].tolist() for column in columns), strict=True))
