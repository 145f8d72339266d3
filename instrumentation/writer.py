"""The one thread that empties the buffer into the store, and says what it could not save."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from torchglass.errors import StoreError
from torchglass.instrumentation.buffer import Buffer, Deferred, Record, ScalarRow
from torchglass.instrumentation.guard import tell
from torchglass.instrumentation.rows import Layouts, Row, last_step, to_row_blocks
from torchglass.store import ArtifactBlock, Batch, Fact, HistogramBlock

FLUSH_SECONDS = 0.2
HEARTBEAT_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 8.0  # between retries while the store cannot be written
BATCH_RECORDS = 20_000  # one transaction's worth: keeps others' waiting time for the file short


class Sink(Protocol):
    """What the writer needs of a store."""

    def write(self, run_id: int, rank: int, batch: Batch) -> None:
        """Store a batch whole, or raise StoreError."""


class Writer:
    """Writes every 200 ms, beats every second, and retries with growing pauses; the training thread never waits."""

    def __init__(self, sink: Sink, run_id: int, rank: int, buffer: Buffer, clock: Callable[[], float]) -> None:
        self._sink = sink
        self._run_id = run_id
        self._rank = rank
        self._buffer = buffer
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._asked = 0  # flushes asked for, and how many of them have been served
        self._served = 0
        self._flushed = threading.Condition()
        self._ended = False
        self._abandoned = False
        self._layouts = Layouts()
        self._told_dropped = 0
        self._refused = 0
        self._warned = False
        self._unsaved: list[Record] = []
        self._look: Callable[[], None] = lambda: None
        self._looked_at = clock()
        self._thread = threading.Thread(target=self._work, name="torchglass-writer", daemon=True)

    def call_each_second(self, look: Callable[[], None]) -> None:
        """Have this called about once a second, in this thread; a store that does not answer is asked again."""
        self._look = look

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was put before this call is stored; False if it is not by then, or was lost."""
        lost = self._refused + self._buffer.dropped
        if not (self._ended or self.is_alive()):  # a forked child has the parent's records, locks and no thread
            return False
        with self._flushed:
            self._asked += 1
            mine = self._asked
            self._wake.set()
            self._flushed.wait_for(lambda: self._served >= mine or self._ended, timeout_seconds)
            served = self._served >= mine or (self._ended and not self._unsaved)
        return served and self._refused + self._buffer.dropped == lost

    def stop(self, timeout_seconds: float) -> int:
        """Write what waits, for at most this long; return how many records were left unsaved."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_seconds)
        self._abandoned = True
        self._wake.set()
        return len(self._unsaved) + len(self._buffer) + self._refused

    def is_alive(self) -> bool:
        """Tell whether the thread is still at work, waiting for the store perhaps."""
        return self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._write_until_stopped()
        finally:
            with self._flushed:
                self._ended = True
                self._flushed.notify_all()

    def _write_until_stopped(self) -> None:
        last_beat = self._clock()
        pause, saved = FLUSH_SECONDS, True
        while not self._abandoned:
            if not (self._stopping and saved):
                self._wake.wait(pause)
                self._wake.clear()
            stopping, asked, saved = self._stopping, self._asked, True
            if self._unsaved or len(self._buffer) or self._clock() - last_beat >= HEARTBEAT_SECONDS:
                saved = self._save()
                pause = FLUSH_SECONDS if saved else min(2 * pause, LONGEST_PAUSE_SECONDS)
                last_beat = self._clock()
            if saved:
                self._look_when_due()
                self._tell_served(asked)
                if stopping and not len(self._buffer):
                    return

    def _look_when_due(self) -> None:
        now = self._clock()
        if now - self._looked_at >= HEARTBEAT_SECONDS:
            self._looked_at = now
            try:
                self._look()
            except StoreError:
                return  # busy: whoever asked is waiting anyway, and is heard a second later

    def _save(self) -> bool:
        """Write what was left from before, then what waits now; False when the store refused."""
        if self._unsaved and not self._flush():
            return False
        self._unsaved = self._buffer.take()
        return self._flush()

    def _tell_served(self, asked: int) -> None:
        if asked > self._served:
            with self._flushed:
                self._served = asked
                self._flushed.notify_all()

    def _flush(self) -> bool:
        """Write what is unsaved; False when the store refused and the rest must be tried again."""
        size = BATCH_RECORDS
        while True:
            head = self._unsaved[:size]
            dropped = self._buffer.dropped + self._refused
            try:
                self._sink.write(self._run_id, self._rank, self._to_batch(head, dropped))
            except Exception as error:
                if _may_pass(error):
                    self._warn(f"torchglass cannot save for now and will keep trying: {error}")
                    return False
                if len(head) > 1:
                    size = len(head) // 2  # one of these cannot be stored, ever: find it, and save the others
                    continue
                self._refused += len(head)
                self._warn(f"torchglass lost a record to a defect of its own: {type(error).__name__}: {error}")
            else:
                self._told_dropped = dropped
            self._unsaved = self._unsaved[len(head) :]
            size = min(2 * size, BATCH_RECORDS)
            if not self._unsaved:
                return True

    def _to_batch(self, records: Iterable[Record], dropped: int) -> Batch:
        batch = Batch()
        rows: list[Row] = []
        for record in records:
            if type(record) is tuple:  # a row, or one to make; the others that are tuples have classes of their own
                row: Any = record
                rows.append(row if type(row[1]) is bytes else row[0](*row[1]))
            elif isinstance(record, ScalarRow):
                rows.append(self._packed(record))
            elif isinstance(record, HistogramBlock):
                batch.histograms.append(record)
            elif isinstance(record, ArtifactBlock):
                batch.artifacts.append(record)
            elif isinstance(record, Fact):
                batch.facts.append(record)
            elif isinstance(record, Deferred):
                record.add_to(batch)
        if dropped > self._told_dropped:
            step = last_step(rows) if rows else 0
            told = {"torchglass/dropped_records": float(dropped)}
            rows.append(self._packed(ScalarRow(step, self._clock(), told, "self")))
        batch.rows.extend(to_row_blocks(rows))
        return batch

    def _packed(self, row: ScalarRow) -> Row:
        layout = self._layouts.of(tuple(row.values), row.kind, row.units)
        return layout.text, layout.pack(row.step, row.time, *row.values.values())

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            tell(message)


def _may_pass(error: Exception) -> bool:
    """Tell a store that is locked, full or away, which may come back, from a record that no store would take."""
    return isinstance(error, StoreError) and error.may_pass
