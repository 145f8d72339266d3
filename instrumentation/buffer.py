"""What waits between the training thread and the writer: bounded, never blocking, counting what it drops."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torchglass.store import ArtifactBlock, Batch, Fact, HistogramBlock
from torchglass.store.records import SeriesKind

MAX_WAITING = 200_000  # records: minutes of a fast loop while the store is unreachable, some 100 MB at the most


@dataclass(frozen=True, slots=True)
class ScalarRow:
    """Values recorded together: one step, one time (seconds since the epoch), one kind."""

    step: int
    time: float
    values: Mapping[str, float]
    kind: SeriesKind = "scalar"
    units: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """Work that the writer does in place of the training thread; it adds its findings to the batch."""

    add_to: Callable[[Batch], None]


Record = ScalarRow | HistogramBlock | ArtifactBlock | Fact | Deferred


class Buffer:
    """A queue whose `put` costs an append: `deque` is atomic under the interpreter's lock."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._records: deque[Record] = deque()
        self._limit = limit
        self.dropped = 0

    def put(self, record: Record) -> None:
        """Add a record, or count it as dropped when the buffer is full; never waits."""
        if len(self._records) >= self._limit:
            self.dropped += 1
        else:
            self._records.append(record)

    def take(self) -> list[Record]:
        """Remove and return all that was waiting when the call began."""
        return [self._records.popleft() for _ in range(len(self._records))]

    def __len__(self) -> int:
        return len(self._records)
