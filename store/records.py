"""What is stored: frozen values, with the unit in each name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RunStatus = Literal["running", "finished", "failed", "interrupted", "lost"]
SeriesKind = Literal["scalar", "layer", "phase", "memory", "work", "device", "self"]
# Sampled by the clock: several samples may carry the same training step, and each of them counts.
TIMED_KINDS = frozenset({"device", "self"})
RowKind = Literal["operator", "kernel"]
Table = Mapping[str, npt.NDArray[Any]]  # columns (n,) by name


@dataclass(frozen=True)
class Run:
    """One training run. Times are seconds since the epoch; `name` is unique in a store.

    A fork names its `parent_uid` and the step at which it left it.
    """

    id: int
    uid: str
    name: str
    status: RunStatus
    created_at: float
    heartbeat_at: float
    ended_at: float | None
    host: str
    pid: int
    config: Mapping[str, Any]
    error: str | None
    tags: tuple[str, ...] = ()
    note: str = ""
    archived_at: float | None = None
    deleted_at: float | None = None
    parent_uid: str | None = None
    parent_step: int | None = None


@dataclass(frozen=True)
class Series:
    """A named sequence of points and its running summary, which needs no point to be read.

    `minimum` to `last` are over the finite values written; None where there were none. `count` includes
    the non-finite ones. `unit` is what the axis says ("s", "%", "B"), empty for pure numbers. `cursor` is where
    `Store.tail` continues: the number of points written, those that a resumption hid included.
    """

    id: int
    run_id: int
    rank: int
    key: str
    kind: SeriesKind
    unit: str
    count: int
    nonfinite_count: int
    minimum: float | None
    minimum_step: int | None
    maximum: float | None
    maximum_step: int | None
    mean: float | None
    last: float | None
    last_step: int | None
    cursor: int = 0


class Resumption(NamedTuple):
    """A time that a run went on at `step`; `status` and `error` say how it had ended.

    `hidden_count` points at or after that step were hidden, until it was undone, if it was.
    """

    number: int
    step: int
    time: float
    status: RunStatus
    error: str | None
    hidden_count: int
    undone_at: float | None


class Purged(NamedTuple):
    """Names of the runs that were destroyed; bytes that the store's file became smaller by, None if it did not yet."""

    names: tuple[str, ...]
    freed_bytes: int | None


class Points(NamedTuple):
    """Points of one series in order of step: `steps` (n,), `times` (n,) seconds since the epoch, `values` (n,).

    `total` counts the points of the window before reduction; `cursor` is where `Store.tail` continues.
    """

    steps: Integers
    times: Floats
    values: Floats
    total: int
    cursor: int


class Column(NamedTuple):
    """Which series a column of a `RowBlock` belongs to; kind and unit count when the series is first seen."""

    key: str
    kind: SeriesKind = "scalar"
    unit: str = ""


class RowBlock(NamedTuple):
    """Values that were recorded together, in the order recorded: `columns` (k,), `steps` (n,), `times` (n,) seconds
    since the epoch, `values` (n, k). No two columns share a key.
    """

    columns: tuple[Column, ...]
    steps: Integers
    times: Floats
    values: Floats

    @classmethod
    def of_series(
        cls, key: str, kind: SeriesKind, unit: str, steps: Integers, times: Floats, values: Floats
    ) -> RowBlock:
        """Points of a single series, each (n,)."""
        return cls((Column(key, kind, unit),), steps, times, values[:, np.newaxis])


@dataclass(frozen=True)
class Histogram:
    """Exact counts of one tensor's values in fixed, sign-aware bins (see `torchglass.store.bins`).

    `bins` (m,) are the indices of the bins that are not empty, `counts` (m,) their counts. Zeros, NaN and the two
    infinities are counted apart. `minimum` and `maximum` are over the finite values, None where there were none.
    """

    step: int
    time: float
    bins: Integers
    counts: Integers
    zero_count: int
    nan_count: int
    positive_infinity_count: int
    negative_infinity_count: int
    minimum: float | None
    maximum: float | None

    @property
    def count(self) -> int:
        """Number of values, of whatever kind."""
        return (
            int(self.counts.sum())
            + self.zero_count
            + self.nan_count
            + self.positive_infinity_count
            + self.negative_infinity_count
        )


class HistogramBlock(NamedTuple):
    """A histogram and the series that it belongs to."""

    key: str
    histogram: Histogram


class ProfilerRow(NamedTuple):
    """One line of an operator or kernel table. Durations are seconds, summed over the window's calls."""

    kind: RowKind
    name: str
    calls: int
    self_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class ProfilerWindow:
    """A short stretch of steps that ran under torch.profiler, and what it found.

    `wall_seconds` spans the recorded steps; `facts` hold what the window knows of itself (device, slowdown, notes).
    `tables` are given when it is written, and read by `Store.window_tables`.
    """

    step: int
    time: float
    step_count: int
    wall_seconds: float
    facts: Mapping[str, Any]
    rows: tuple[ProfilerRow, ...]
    id: int = 0
    rank: int = 0
    tables: Mapping[str, Table] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """Named arrays with JSON-able `meta`: an explanation, a checkpoint, a gallery of samples. Never a pickle."""

    id: int
    run_id: int
    rank: int
    kind: str
    key: str
    step: int
    time: float
    meta: Mapping[str, Any]


class ProfileRequest(NamedTuple):
    """A profiler window that was asked of a running run: the `number`-th one, of so many steps; 0 for none yet."""

    number: int
    steps: int


class Fact(NamedTuple):
    """Something stated once about a run: which devices there are, why a value is missing, what was dropped."""

    rank: int
    key: str
    value: Any
    time: float


class ArtifactBlock(NamedTuple):
    """An artifact on its way into the store."""

    kind: str
    key: str
    step: int
    time: float
    meta: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]


@dataclass
class Batch:
    """Everything that one write puts into a store, in one transaction."""

    rows: list[RowBlock] = field(default_factory=list)
    histograms: list[HistogramBlock] = field(default_factory=list)
    windows: list[ProfilerWindow] = field(default_factory=list)
    artifacts: list[ArtifactBlock] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)  # becomes part of the run's configuration

    def __bool__(self) -> bool:
        return bool(self.rows or self.histograms or self.windows or self.artifacts or self.facts or self.config)
