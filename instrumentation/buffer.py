"""What waits between the training thread and the writer: bounded, never blocking, counting what it drops."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torchglass.instrumentation.rows import Row, RowToMake
from torchglass.store import ArtifactBlock, Batch, Fact, HistogramBlock
from torchglass.store.records import SeriesKind

MAX_WAITING_BYTES = 100_000_000  # as estimated below: 600,000 single losses, minutes of a fast loop without its store
RECORD_BYTES = 400  # about what an object, its dictionary and its times take
NUMBER_BYTES = 100  # about what a name and a number in that dictionary take


@dataclass(frozen=True, slots=True)
class ScalarRow:
    """Values recorded together whose names seldom recur: one step, one time (seconds since the epoch), one kind."""

    step: int
    time: float
    values: Mapping[str, float]
    kind: SeriesKind = "scalar"
    units: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """Work that the writer does in place of the training thread; it adds its findings to the batch."""

    add_to: Callable[[Batch], None]
    held_bytes: int = 0


Record = Row | RowToMake | ScalarRow | HistogramBlock | ArtifactBlock | Fact | Deferred


def held_bytes(record: Record) -> int:
    """Estimate the memory that a waiting record holds."""
    match record:
        case ScalarRow():
            return RECORD_BYTES + NUMBER_BYTES * len(record.values)
        case HistogramBlock():
            return RECORD_BYTES + record.histogram.bins.nbytes + record.histogram.counts.nbytes
        case ArtifactBlock():
            return RECORD_BYTES + sum(array.nbytes for array in record.arrays.values())
        case Deferred():
            return RECORD_BYTES + record.held_bytes
        case Fact():
            return RECORD_BYTES + NUMBER_BYTES
        case _:
            return RECORD_BYTES  # a row; where many are put they are added with their size


class Buffer:
    """A queue whose `put` costs an append, and which is full once what waits exceeds a number of bytes.

    No lock is taken but to count what is dropped: appending to a deque is atomic, and `take` removes what it returns
    one by one. The bytes are an estimate, begun anew at each `take`: two threads that add at once may lose one of them.
    """

    def __init__(self, limit_bytes: int = MAX_WAITING_BYTES) -> None:
        self._records: deque[Record] = deque()
        self._held_bytes = 0
        self._limit_bytes = limit_bytes
        self._lock = threading.RLock()  # reentrant, because a signal handler may log too
        self.dropped = 0

    def put(self, record: Record) -> None:
        """Add a record, or count it as dropped when the buffer is full; a large one may exceed the limit once."""
        self.add(record, held_bytes(record))

    def add(self, record: Record, size_bytes: int) -> None:
        """Add a record as `put` does, its size being known: a row's is `layout.row_bytes`."""
        if self._held_bytes < self._limit_bytes:
            self._held_bytes += size_bytes
            self._records.append(record)
        else:
            with self._lock:
                self.dropped += 1

    def take(self) -> list[Record]:
        """Remove and return all that is waiting."""
        self._held_bytes = 0
        next_record = self._records.popleft
        return [next_record() for _ in range(len(self._records))]

    def __len__(self) -> int:
        return len(self._records)
