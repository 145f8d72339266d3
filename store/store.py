"""The store: everything that two processes share about a run."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy.typing as npt

from torchglass.errors import RunNotFoundError, StoreError
from torchglass.store import summaries, writing
from torchglass.store.arrays import decode_arrays
from torchglass.store.arrivals import arrived_by_series
from torchglass.store.codec import decode_counts
from torchglass.store.compaction import compact
from torchglass.store.location import Location
from torchglass.store.nearby import Nearby, nearby
from torchglass.store.points import SeriesReader
from torchglass.store.records import (
    Artifact,
    ArtifactBlock,
    Batch,
    Fact,
    Histogram,
    Points,
    ProfileRequest,
    ProfilerWindow,
    Series,
    Table,
)
from torchglass.store.run_verbs import RunVerbs
from torchglass.store.windows import put_request, put_window, request_of, tables_of, windows_of

MOST_ARRIVALS = 256  # writes, and
MOST_ARRIVED_VALUES = 262_144  # values, between two compactions: what every reader of the rank goes through
_ARTIFACT_COLUMNS = "id, run_id, rank, kind, key, step, time, meta"


class Store(RunVerbs):
    """Runs, their series, histograms, profiler windows, artifacts and facts, in one database.

    Safe to share between threads and processes; a write is all or nothing and readers never wait for writers.
    Every method raises `StoreError` when the database cannot be read or written.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | Location | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(location, create=create, read_only=read_only, clock=clock)
        self._series_ids = writing.SeriesIds()
        self._uncompacted: dict[tuple[int, int], tuple[int, int]] = {}
        self._counting = threading.Lock()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Writing

    def write(self, run_id: int, rank: int, batch: Batch) -> None:
        """Store a batch in one transaction; it also counts as the run's heartbeat."""
        series_ids = self._series_ids.copy()
        with self._engine.writing() as connection:
            writing.put_heartbeat(connection, run_id, rank, self._clock())
            arrived_values = writing.put_rows(connection, series_ids, run_id, rank, batch.rows)
            for histogram in batch.histograms:
                series_id = series_ids.of_histogram(connection, run_id, rank, histogram.key)
                writing.put_histogram(connection, series_id, histogram)
            for window in batch.windows:
                put_window(connection, run_id, rank, window)
            for artifact in batch.artifacts:
                writing.put_artifact(connection, run_id, rank, artifact)
            writing.put_facts(connection, run_id, batch.facts)
            writing.put_config(connection, run_id, batch.config)
        self._series_ids = series_ids
        if batch.rows:
            self._compact_when_due(run_id, rank, arrived_values)

    def compact(self, run_id: int, rank: int = 0) -> None:
        """Turn what has arrived into chunks now, rather than after so many more writes."""
        with self._engine.writing() as connection:
            # As in `write`: of two writers of one rank the second waits here.
            writing.hold_rank(connection, run_id, rank)
            compact(connection, run_id, rank)

    def _compact_when_due(self, run_id: int, rank: int, arrived_values: int) -> None:
        """Compact after so many writes: in a transaction of its own, since the rows are safe by now."""
        with self._counting:
            writes, values = self._uncompacted.get((run_id, rank), (0, 0))
            writes, values = writes + 1, values + arrived_values
            due = writes >= MOST_ARRIVALS or values >= MOST_ARRIVED_VALUES
            self._uncompacted[run_id, rank] = (0, 0) if due else (writes, values)
        if not due:
            return
        try:
            self.compact(run_id, rank)
        except Exception:
            # Raised from here, it would have the caller write the batch again that is already stored.
            logging.getLogger("torchglass").warning("could not compact %s; it is tried again later",
                                                    self._engine.shown, exc_info=True)  # fmt: skip

    def add_artifact(self, run_id: int, block: ArtifactBlock, rank: int = 0) -> int:
        """Store one artifact, of a run that may have ended, and return its id."""
        with self._engine.writing() as connection:
            return writing.put_artifact(connection, run_id, rank, block)

    def state_facts(self, run_id: int, facts: Iterable[Fact]) -> None:
        """State facts about a run that may have ended."""
        with self._engine.writing() as connection:
            writing.put_facts(connection, run_id, facts)

    # Reading

    def series_of(self, run_id: int, *, kind: str | None = None, rank: int | None = None) -> list[Series]:
        """Every series of a run with its summary, by key and rank; but for what just arrived, no point is read."""
        with self._engine.reading() as connection:
            return summaries.of_run(connection, run_id, (("kind", kind), ("rank", rank)))

    def series_of_runs(
        self, run_ids: Sequence[int], *, kinds: Sequence[str] = (), endings: Sequence[str] | None = None
    ) -> dict[int, list[Series]]:
        """Series of rank 0 of many runs at once, with their summaries: of some kinds, or all if none is named.

        `endings` keeps keys that are one of them or have one of them behind a slash.
        """
        with self._engine.reading() as connection:
            return summaries.of_runs(connection, run_ids, kinds, endings)

    def series_with_id(self, series_id: int) -> Series | None:
        """One series with its summary; None when there is none of that id."""
        with self._engine.reading() as connection:
            row = connection.execute("SELECT run_id FROM series WHERE id = ?", (series_id,)).fetchone()
            found = summaries.of_run(connection, row[0], (("id", series_id),)) if row is not None else []
        return found[0] if found else None

    def find_series(self, run_id: int, key: str, rank: int = 0) -> Series | None:
        """The series of that key; None when nothing was recorded under it."""
        with self._engine.reading() as connection:
            found = summaries.of_run(connection, run_id, (("key", key), ("rank", rank)))
        return found[0] if found else None

    def series(
        self,
        run: str | int,
        key: str,
        *,
        rank: int = 0,
        window: tuple[int, int] | None = None,
        max_points: int | None = None,
    ) -> Points:
        """Points of a run's series by its key, as `points` gives them; none when nothing was recorded under it.

        Raises:
            RunNotFoundError: there is no such run.
        """
        found = self.find_series(self.run(run).id, key, rank)
        return self.points(found.id if found is not None else 0, window=window, max_points=max_points)

    def points(self, series_id: int, *, window: tuple[int, int] | None = None, max_points: int | None = None) -> Points:
        """Points of a series in order of step, the last write of a step winning; of kinds sampled by the clock, each.

        `window` keeps steps from its first to its last, both included. With `max_points` the points are reduced to
        about that many so that every spike and every non-finite stretch stays visible.
        """
        with self._engine.reading() as connection:
            return SeriesReader(connection, series_id).points(window, max_points)

    def points_of(
        self,
        series_ids: Iterable[int],
        *,
        window: tuple[int, int] | None = None,
        max_points: int | None = None,
    ) -> dict[int, Points]:
        """Points of several series, each as `points` gives them, of one moment; what just arrived is read once."""
        with self._engine.reading() as connection:
            fresh = cache(partial(arrived_by_series, connection))
            return {each: SeriesReader(connection, each, fresh).points(window, max_points) for each in series_ids}

    def nearby(self, run_id: int, first: int, last: int) -> Nearby:
        """What was recorded from step `first` to step `last` beside points and profiler windows."""
        with self._engine.reading() as connection:
            return nearby(connection, run_id, first, last)

    def tail(self, series_id: int, cursor: int) -> Points:
        """Points written after `cursor`, in the order they were written; compaction does not disturb a cursor."""
        with self._engine.reading() as connection:
            return SeriesReader(connection, series_id).tail(cursor)

    def tails(self, cursors: Mapping[int, int]) -> dict[int, Points]:
        """Points of several series after a cursor each, as `tail` gives them; what just arrived is read once."""
        with self._engine.reading() as connection:
            fresh = cache(partial(arrived_by_series, connection))
            return {each: SeriesReader(connection, each, fresh).tail(cursor) for each, cursor in cursors.items()}

    def histogram_keys(self, run_id: int, rank: int = 0) -> list[str]:
        """Keys that have histograms."""
        with self._engine.reading() as connection:
            rows = connection.execute(
                "SELECT key FROM histogram_series WHERE run_id = ? AND rank = ? ORDER BY id", (run_id, rank)
            ).fetchall()
        return [row[0] for row in rows]

    def histograms(self, run_id: int, key: str, rank: int = 0) -> list[Histogram]:
        """Histograms of one key in order of step."""
        with self._engine.reading() as connection:
            rows = connection.execute(
                "SELECT step, time, payload, zero_count, nan_count, positive_infinity_count, negative_infinity_count, "
                "minimum, maximum FROM histograms WHERE rewound = 0 AND series_id = "
                "(SELECT id FROM histogram_series WHERE run_id = ? AND rank = ? AND key = ?) ORDER BY step",
                (run_id, rank, key),
            ).fetchall()
        return [Histogram(step, when, *decode_counts(bytes(payload)), *rest) for step, when, payload, *rest in rows]

    def windows(self, run_id: int, rank: int | None = None, *, rows: bool = True) -> list[ProfilerWindow]:
        """Profiler windows of a run in order of step, with their rows unless these are not wanted.

        `window_tables` has what else they found.
        """
        with self._engine.reading() as connection:
            return windows_of(connection, run_id, rank, rows=rows)

    def request_profile(self, run_id: int, steps: int) -> ProfileRequest:
        """Ask the process that records a run for a profiler window over its next so many steps."""
        with self._engine.writing() as connection:
            return put_request(connection, run_id, steps, self._clock())

    def profile_request(self, run_id: int) -> ProfileRequest:
        """The newest request for a profiler window."""
        with self._engine.reading() as connection:
            return request_of(connection, run_id)

    def window_tables(self, window_id: int, names: Iterable[str] | None = None) -> dict[str, Table]:
        """Tables of one profiler window by name, all or those of `names`; one that it does not have is left out.

        Raises:
            StoreError: a table is damaged.
        """
        with self._engine.reading() as connection:
            return tables_of(connection, window_id, names)

    def artifacts(self, run_id: int, *, kind: str | None = None, key: str | None = None) -> list[Artifact]:
        """Artifacts of a run without their arrays, in the order they were stored."""
        with self._engine.reading() as connection:
            rows = connection.execute(
                f"SELECT {_ARTIFACT_COLUMNS} FROM artifacts WHERE run_id = ? AND kind = coalesce(?, kind) "
                "AND key = coalesce(?, key) AND rewound = 0 ORDER BY id",
                (run_id, kind, key),
            ).fetchall()
        return [_to_artifact(row) for row in rows]

    def arrays(self, artifact_id: int) -> dict[str, npt.NDArray[Any]]:
        """Arrays of one artifact by name; read without pickle."""
        with self._engine.reading() as connection:
            row = connection.execute("SELECT payload FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()
        if row is None:
            raise RunNotFoundError(f"no artifact {artifact_id} in {self._engine.shown}")
        try:
            return decode_arrays(bytes(row[0]))
        except StoreError as error:
            raise StoreError(f"cannot read artifact {artifact_id} in {self._engine.shown}: {error}") from error

    def facts(self, run_id: int) -> list[Fact]:
        """What was stated about a run, by key and rank."""
        with self._engine.reading() as connection:
            rows = connection.execute(
                "SELECT rank, key, value, time FROM facts WHERE run_id = ? ORDER BY key, rank", (run_id,)
            ).fetchall()
        return [Fact(rank, key, json.loads(value), when) for rank, key, value, when in rows]


def _to_artifact(row: Sequence[Any]) -> Artifact:
    artifact_id, run_id, rank, kind, key, step, when, meta = row
    return Artifact(artifact_id, run_id, rank, kind, key, step, when, json.loads(meta))
