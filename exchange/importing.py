"""Event files -> runs in the store, a bounded batch at a time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torchglass.exchange.decoding import Decoder
from torchglass.exchange.folders import LoggedRun, find_runs
from torchglass.exchange.framing import RecordFile
from torchglass.exchange.gathering import Gathered
from torchglass.exchange.progress import Advance, bar
from torchglass.exchange.results import ImportedRun
from torchglass.exchange.sessions import session_below
from torchglass.store import Batch, Fact, Run, RunStatus, Store

_HOST = re.compile(
    r"tfevents\.\d+\.(?P<host>.+?)(\.\d+\.[0-9a-f]+)?(\.v2)?$"
)  # then a pid and a number, where there are any


class _LogClock:
    """The store's clock: a run begins and ends when its log says so, and is alive while it is imported."""

    def __init__(self) -> None:
        self.told: float | None = None

    def __call__(self) -> float:
        return time.time() if self.told is None else self.told


def import_folder(
    logdir: Path, location: str | os.PathLike[str] | None, name: str | None, *, progress: bool
) -> Iterator[ImportedRun]:
    """Import one run after another; see `torchglass.exchange.import_tensorboard`."""
    runs = find_runs(logdir, name)
    clock = _LogClock()
    with (
        Store(location, clock=clock) as store,
        bar("importing", sum(run.size_bytes for run in runs), "B", show=progress) as advance,
    ):
        for run in runs:
            yield _Import(store, clock, run, advance, session_below(run, runs)).run()


class _Import:
    """One run on its way into the store."""

    def __init__(
        self,
        store: Store,
        clock: _LogClock,
        logged: LoggedRun,
        advance: Advance,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._logged = logged
        self._advance = advance
        self._inherited = dict(config or {})
        self._gathered = Gathered()
        self._faults: list[str] = []
        self._run: Run | None = None

    def run(self) -> ImportedRun:
        """Read all files of the run, and close it."""
        with self._closing():
            for batch in self._batches():
                self._write(batch)
        return self._result()

    def _batches(self) -> Iterator[Batch]:
        decoder = Decoder(self._gathered)
        for path in self._logged.files:
            records, foreign, reached = RecordFile(path), 0, 0
            for record in records:
                foreign += not decoder.take(record)
                if self._gathered.full:
                    yield self._gathered.take_batch()
                    self._advance(records.position - reached)
                    reached = records.position
            self._advance(records.position - reached)
            self._faults += _describe_faults(records, foreign)
        if self._gathered or self._gathered.config:
            yield self._gathered.take_batch()

    def _write(self, batch: Batch) -> None:
        if self._run is None:
            with self._at(self._gathered.first_time):
                self._run = self._store.start_run(
                    self._logged.name, self._inherited, host=_host(self._logged.files[0]), pid=0
                )
        batch.config.update(self._gathered.config)
        self._store.write(self._run.id, 0, batch)

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            self._close(
                "interrupted" if interrupted else "failed", "the import was interrupted" if interrupted else str(error)
            )
            raise
        self._close(self._gathered.status, None)

    def _close(self, status: RunStatus, error: str | None) -> None:
        if self._run is None:
            return
        with self._at(self._gathered.last_time):
            self._store.state_facts(self._run.id, [Fact(0, "import", self._account(), self._clock())])
            self._store.end_run(self._run.id, status, error)
            self._run = self._store.run(self._run.id)

    @contextmanager
    def _at(self, told: float | None) -> Iterator[None]:
        self._clock.told = told
        try:
            yield
        finally:
            self._clock.told = None

    def _account(self) -> dict[str, object]:
        """What the run's page may say of where it came from."""
        return {
            "format": "tensorboard",
            "files": [path.name for path in self._logged.files],
            "faults": self._faults,
            "left_out": dict(self._gathered.left_out),
            "late_points": self._gathered.late_count,
        }

    def _result(self) -> ImportedRun:
        return ImportedRun(
            name=self._logged.name if self._run is None else self._run.name,
            run_id=None if self._run is None else self._run.id,
            point_count=self._gathered.point_count,
            series_count=self._gathered.series_count,
            histogram_count=self._gathered.histogram_count,
            artifact_count=self._gathered.artifact_count,
            late_count=self._gathered.late_count,
            left_out=dict(self._gathered.left_out),
            faults=tuple(self._faults),
        )


def _describe_faults(records: RecordFile, foreign: int) -> list[str]:
    name, faults = records.path.name, []
    if records.damaged_count:
        faults.append(f"{name}: {records.damaged_count} damaged records left out")
    if foreign:
        faults.append(f"{name}: {foreign} records that are no events left out")
    if records.ending == "torn":
        faults.append(f"{name}: ends within a record at byte {records.position}; all before it was imported")
    if records.ending == "damaged":
        faults.append(
            f"{name}: damaged at byte {records.position} of {records.path.stat().st_size}; what follows in this file "
            "cannot be found, all before it was imported"
        )
    return faults


def _host(path: Path) -> str:
    found = _HOST.search(path.name)
    return found["host"] if found else ""
