"""The allocator's curve from a trace's `[memory]` moments: how much was allocated and reserved, and when."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import Any

import numpy as np

from torchglass.store import Table
from torchglass.traces.reading_values import fraction, whole
from torchglass.traces.trace import HOST

MOST_POINTS = 2_000  # of a device: more than a chart is wide
CPU = 0  # `c10::DeviceType`


class MemoryCurve:
    """Moments at which memory was allocated or freed, by device."""

    def __init__(self) -> None:
        self._times: dict[int, array[int]] = {}
        self._sizes: dict[int, tuple[array[float], array[float]]] = {}

    def take(self, time_ns: int, arguments: Any) -> None:
        """Take a moment; those of profilers before 2022 say no totals, and add up to no curve."""
        if not isinstance(arguments, dict) or "Total Allocated" not in arguments:
            return
        device = HOST if arguments.get("Device Type") == CPU else whole(arguments.get("Device Id"), HOST)
        if device not in self._times:
            if len(self._times) >= 1 << 10:
                return
            self._times[device] = array("q")
            self._sizes[device] = (array("d"), array("d"))
        allocated, reserved = self._sizes[device]
        self._times[device].append(time_ns)
        allocated.append(fraction(arguments["Total Allocated"]))
        reserved.append(fraction(arguments.get("Total Reserved")))

    def table(self, begin_ns: int) -> Table:
        """Columns device, start_ns (from `begin_ns`), allocated_bytes, reserved_bytes; the peaks are never left out."""
        columns: dict[str, list[Any]] = {"device": [], "start_ns": [], "allocated_bytes": [], "reserved_bytes": []}
        for device, times in sorted(self._times.items()):
            moments = np.frombuffer(times, np.int64)
            allocated, reserved = (np.frombuffer(sizes, np.float64) for sizes in self._sizes[device])
            order = np.argsort(moments, kind="stable")
            kept = order[_kept(allocated[order])]
            columns["device"].append(np.full(len(kept), device, np.int64))
            columns["start_ns"].append(moments[kept] - begin_ns)
            columns["allocated_bytes"].append(allocated[kept])
            columns["reserved_bytes"].append(reserved[kept])
        return {key: np.concatenate(parts) for key, parts in columns.items() if parts}


def _kept(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which of many points to keep, in order: the lowest and the highest of each of as many stretches as there is
    room for."""
    count = len(values)
    if count <= MOST_POINTS:
        return np.arange(count)
    known = np.nan_to_num(values, nan=0.0)
    edges = np.linspace(0, count, MOST_POINTS // 2 + 1).astype(np.int64)
    lows = [begin + int(known[begin:end].argmin()) for begin, end in pairwise(edges)]
    highs = [begin + int(known[begin:end].argmax()) for begin, end in pairwise(edges)]
    return np.unique(np.array(lows + highs, np.int64))
