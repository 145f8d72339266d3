"""What was read from a log and is not yet in the store: it grows value by value and leaves as one batch."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store import ArtifactBlock, Batch, Column, Histogram, HistogramBlock, RowBlock, RunStatus
from torchglass.store.records import Floats

MAX_POINTS = 50_000  # to a batch, one transaction: 1 MB while they wait
MAX_BYTES = 32_000_000  # of histograms and artifacts
_HISTOGRAM_BYTES = 4_000
_LATEST_SECONDS = 1e11  # the year 5138: a clock beyond it, or one that is NaN, does not tell the time


class Growing(NamedTuple):
    """Points of one series since the last batch, as they come; whoever adds one raises `Gathered.points_waiting`."""

    steps: array[int]
    times: array[float]
    values: array[float]


class Gathered:
    """Points, histograms and artifacts since the last batch, and what the log said of its run so far."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.status: RunStatus = "finished"
        self.left_out: Counter[str] = Counter()
        self.first_time: float | None = None
        self.last_time: float | None = None
        self.point_count = 0
        self.late_count = 0
        self.histogram_count = 0
        self.artifact_count = 0
        self._series: dict[str, Growing] = {}
        self._highest: dict[str, int] = {}
        self._histograms: list[HistogramBlock] = []
        self._artifacts: list[ArtifactBlock] = []
        self.points_waiting = 0  # in all series together
        self._bytes_waiting = 0

    @property
    def series_count(self) -> int:
        """Number of series seen."""
        return len(self._highest)

    @property
    def full(self) -> bool:
        """True when it is time to write a batch."""
        return self.points_waiting >= MAX_POINTS or self._bytes_waiting >= MAX_BYTES

    def __bool__(self) -> bool:
        return bool(self.points_waiting or self._histograms or self._artifacts)

    def series(self, key: str) -> Growing:
        """Return where the points of a series go; it stays the same through all batches."""
        if key not in self._series:
            self._series[key] = Growing(array("q"), array("d"), array("d"))
        return self._series[key]

    def add_point(self, key: str, step: int, time: float, value: float) -> None:
        """Take one point of a series."""
        series = self.series(key)
        series.steps.append(step)
        series.times.append(time)
        series.values.append(value)
        self.points_waiting += 1

    def add_histogram(self, key: str, histogram: Histogram) -> None:
        """Take a histogram."""
        self._histograms.append(HistogramBlock(key, histogram))
        self._bytes_waiting += _HISTOGRAM_BYTES
        self.histogram_count += 1

    def add_artifact(
        self, kind: str, key: str, step: int, time: float, meta: Mapping[str, Any], arrays: Mapping[str, Any]
    ) -> None:
        """Take an image, a text or a curve."""
        self._artifacts.append(ArtifactBlock(kind, key, step, time, meta, arrays))
        self._bytes_waiting += sum(int(array.nbytes) for array in arrays.values()) + len(str(meta))
        self.artifact_count += 1

    def see_time(self, time: float) -> None:
        """Widen the span of time that the log covers."""
        if 0 < time < _LATEST_SECONDS:
            self.first_time = time if self.first_time is None else min(self.first_time, time)
            self.last_time = time if self.last_time is None else max(self.last_time, time)

    def take_batch(self) -> Batch:
        """Return what waits, in the order of the log, and start anew."""
        rows = [self._rows(key, series) for key, series in self._series.items() if series.steps]
        batch = Batch(rows=rows, histograms=self._histograms, artifacts=self._artifacts)
        self._histograms, self._artifacts = [], []
        self.points_waiting = self._bytes_waiting = 0
        return batch

    def _rows(self, key: str, series: Growing) -> RowBlock:
        steps, times, values = (np.array(column) for column in series)
        for column in series:
            del column[:]
        times = _told(times)
        for edge in (times[0], times[-1]):
            self.see_time(float(edge))
        self._count_late(key, steps)
        return RowBlock((Column(key),), steps, times, values[:, None])

    def _count_late(self, key: str, steps: npt.NDArray[np.int64]) -> None:
        """Count the points whose step does not lie above all before it: a restart, or no steps at all."""
        highest = self._highest.get(key, int(steps[0]) - 1)
        before = np.maximum.accumulate(np.concatenate(([highest], steps)))
        self._highest[key] = int(before[-1])
        self.late_count += int((steps <= before[:-1]).sum())
        self.point_count += len(steps)


def _told(times: Floats) -> Floats:
    return np.clip(np.nan_to_num(times, posinf=0.0), 0.0, _LATEST_SECONDS)
