"""The one thread that empties the buffer into the store, and says what it could not save."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from torchglass.errors import StoreError
from torchglass.instrumentation.buffer import Buffer, Deferred, Record, ScalarRow
from torchglass.store import ArtifactBlock, Batch, Fact, HistogramBlock, SeriesBlock
from torchglass.store.records import SeriesKind

FLUSH_SECONDS = 0.25
HEARTBEAT_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 8.0  # between retries while the store cannot be written
BATCH_RECORDS = 20_000  # one transaction's worth: keeps others' waiting time for the file short


class Sink(Protocol):
    """What the writer needs of a store."""

    def write(self, run_id: int, rank: int, batch: Batch) -> None:
        """Store a batch whole, or raise StoreError."""


class Writer:
    """Writes every 250 ms, beats every second, and retries with growing pauses; the training thread never waits."""

    def __init__(self, sink: Sink, run_id: int, rank: int, buffer: Buffer, clock: Callable[[], float]) -> None:
        self._sink = sink
        self._run_id = run_id
        self._rank = rank
        self._buffer = buffer
        self._clock = clock
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._told_dropped = 0
        self._warned = False
        self._unsaved: list[Record] = []
        self._thread = threading.Thread(target=self._work, name="torchglass-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> int:
        """Write what waits, for at most this long; return how many records were left unsaved."""
        self._stop.set()
        self._thread.join(timeout_seconds)
        self._abandoned.set()
        return len(self._unsaved) + len(self._buffer)

    def _work(self) -> None:
        last_beat = self._clock()
        pause = FLUSH_SECONDS
        while not self._abandoned.is_set():
            stopping = self._stop.wait(pause)
            if not self._unsaved:
                self._unsaved = self._buffer.take()
            saved = True
            if self._unsaved or self._clock() - last_beat >= HEARTBEAT_SECONDS:
                saved = self._flush()
                pause = FLUSH_SECONDS if saved else min(2 * pause, LONGEST_PAUSE_SECONDS)
                last_beat = self._clock()
            if stopping and saved:
                return
            if stopping:
                self._abandoned.wait(pause)

    def _flush(self) -> bool:
        """Write what is unsaved; False when the store refused and the rest must be tried again."""
        while True:
            head = self._unsaved[:BATCH_RECORDS]
            try:
                self._sink.write(self._run_id, self._rank, self._to_batch(head))
            except StoreError as error:
                self._warn(f"torchglass cannot save for now and will keep trying: {error}")
                return False
            except Exception as error:
                # A defect of ours must not end recording: lose this batch, say so, go on.
                self._buffer.dropped += len(head)
                self._warn(f"torchglass lost {len(head)} records to a defect of its own: {error!r}")
            self._unsaved = self._unsaved[BATCH_RECORDS:]
            if not self._unsaved:
                return True

    def _to_batch(self, records: Iterable[Record]) -> Batch:
        batch = Batch()
        rows: list[ScalarRow] = []
        for record in records:
            if isinstance(record, ScalarRow):
                rows.append(record)
            elif isinstance(record, HistogramBlock):
                batch.histograms.append(record)
            elif isinstance(record, ArtifactBlock):
                batch.artifacts.append(record)
            elif isinstance(record, Fact):
                batch.facts.append(record)
            elif isinstance(record, Deferred):
                record.add_to(batch)
        if self._buffer.dropped > self._told_dropped:
            self._told_dropped = self._buffer.dropped
            step = rows[-1].step if rows else 0
            rows.append(
                ScalarRow(step, self._clock(), {"torchglass/dropped_records": float(self._told_dropped)}, "self")
            )
        batch.series.extend(to_blocks(rows))
        return batch

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, RuntimeWarning, stacklevel=2)


def to_blocks(rows: Iterable[ScalarRow]) -> list[SeriesBlock]:
    """Turn rows into columns: one block for each series, its points in the order recorded."""
    columns: dict[tuple[str, SeriesKind, str], tuple[list[int], list[float], list[float]]] = {}
    for row in rows:
        for key, value in row.values.items():
            unit = row.units.get(key, "") if row.units else ""
            steps, times, values = columns.setdefault((key, row.kind, unit), ([], [], []))
            steps.append(row.step)
            times.append(row.time)
            values.append(value)
    return [
        SeriesBlock(key, kind, unit, np.array(steps, np.int64), np.array(times), np.array(values, np.float64))
        for (key, kind, unit), (steps, times, values) in columns.items()
    ]
