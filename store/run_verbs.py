"""The half of the store that is about runs as such: begun, found, renamed, put away, resumed, forked, destroyed."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, SupportsIndex

from torchglass.errors import OptionError, RunNotFoundError, StoreError
from torchglass.store import forking, life, resuming, runs
from torchglass.store.compaction import compact
from torchglass.store.engine import Connection
from torchglass.store.engines import open_engine
from torchglass.store.location import FileLocation, Location, locate
from torchglass.store.records import Purged, Resumption, Run, RunStatus
from torchglass.store.summaries import RUNS_AT_ONCE
from torchglass.store.writing import put_heartbeat


class RunVerbs:
    """Opens the database. A run that is asked for is given by its name, its id, or the beginning of its uid.

    A run may be renamed, tagged, archived and even deleted while it is being recorded: that goes on undisturbed.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | Location | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.location: Location = locate(location)
        self._engine = open_engine(self.location, create=create and not read_only, read_only=read_only)
        self._clock = clock

    @property
    def path(self) -> Path:
        """The file of a store that is one.

        Raises:
            StoreError: the store is a database of a server.
        """
        if isinstance(self.location, FileLocation):
            return self.location.path
        raise StoreError(f"{self.location} is a database of a server, not a file")

    def close(self) -> None:
        """Close this process's connections."""
        self._engine.close()

    def limit_waiting(self, seconds: float) -> None:
        """Give up on a database that others keep locked after this long; it is 30 s until this is called."""
        self._engine.limit_waiting(seconds)

    # From the beginning to the end

    def start_run(
        self, name: str, config: Mapping[str, Any], *, host: str, pid: int, launch_id: str | None = None
    ) -> Run:
        """Register a run; a name that is taken gets `-2`, `-3`, ...; ranks of one `launch_id` share one run."""
        now = self._clock()
        with self._engine.writing(alone=True) as connection:
            run_id = runs.start(connection, name, config, host=host, pid=pid, launch_id=launch_id, now=now)
            return self._run_of_id(connection, run_id)

    def resume_run(
        self,
        run: str | int,
        *,
        step: SupportsIndex | None = None,
        config: Mapping[str, Any] | None = None,
        rank: int = 0,
        host: str,
        pid: int,
        launch_id: str | None = None,
    ) -> tuple[Run, int]:
        """Let a run that ended, or was lost, go on at `step`, by default after the last one; return it and that step.

        What was recorded at or after that step is hidden, not destroyed: `unwind` shows it again. Values of `config`
        replace those of the same name. Ranks of one `launch_id` resume once, at the step of the first.

        Raises:
            RunNotFoundError: there is no such run.
            StoreError: it is still being recorded.
            OptionError: the step is not a whole number.
        """
        at = None if step is None else _whole("step", step)
        with self._engine.writing(alone=True) as connection:
            found = self._find(connection, run)
            start = resuming.resume(
                connection, found, at, config or {}, rank=rank, host=host, pid=pid, launch_id=launch_id,
                now=self._clock(),
            )  # fmt: skip
            return self._run_of_id(connection, found.id), start

    def resumptions(self, run: str | int) -> list[Resumption]:
        """Each time that a run went on, and what that hid."""
        with self._engine.reading() as connection:
            return resuming.resumptions(connection, self._find(connection, run).id)

    def unwind(self, run: str | int) -> Run:
        """Show again what the last resumption hid; where both recorded a step, what came later counts.

        Raises:
            StoreError: the run was never resumed, or that is undone already.
        """
        return self._change(run, lambda connection, found: resuming.unwind(connection, found, self._clock()))

    def fork(self, run: str | int, step: SupportsIndex, name: str | None = None) -> Run:
        """Make a run that begins as another did before `step`; resume it to train on from there.

        Its points, histograms, profiler windows, artifacts, facts and configuration are copies. The name is the
        parent's with the step, by default; one that is taken gets `-2`, `-3`, ...
        """
        at = _whole("step", step)
        parent = self.run(run)
        wanted = name if name is not None else f"{parent.name}-at-{at}"
        with self._engine.writing(alone=True) as connection:
            run_id = forking.begin(connection, parent, at, wanted, self._clock())
            series = forking.series_of(connection, parent.id)
        for series_id in series:
            with self._engine.writing() as connection:
                put_heartbeat(connection, run_id, 0, self._clock())
                forking.copy_series(connection, series_id, run_id, at)
        with self._engine.writing(alone=True) as connection:
            forking.copy_others(connection, parent.id, run_id, at)
            forking.complete(connection, self._run_of_id(connection, run_id), self._clock())
            return self._run_of_id(connection, run_id)

    def end_run(self, run_id: int, status: RunStatus, error: str | None = None) -> None:
        """Close a run as finished, failed (with the exception's text) or interrupted.

        Of several ranks that close it, one that did not finish outweighs those that did; of several such the first,
        for what the others meet then is its echo: a lost connection, a signal.
        """
        with self._engine.writing() as connection:
            runs.end(connection, run_id, status, error, self._clock())
            ranks = connection.execute("SELECT DISTINCT rank FROM arrivals WHERE run_id = ?", (run_id,)).fetchall()
            for (rank,) in ranks:
                compact(connection, run_id, rank, is_last=True)
        with suppress(StoreError):  # the run is closed, whether or not its arrivals' space goes back now
            self._engine.reclaim()

    # Found

    def runs(
        self, *, archived: bool | None = False, deleted: bool = False, limit: int | None = None, offset: int = 0
    ) -> list[Run]:
        """Runs, newest first: those in use, those archived, or with None both; or else the deleted of either kind.

        With `limit` only so many of them, without the newest `offset`.
        """
        with self._engine.reading() as connection:
            return runs.select(
                connection, self._clock(), _listed(archived=archived, deleted=deleted), limit=limit, offset=offset
            )

    def runs_with_ids(self, run_ids: Iterable[int]) -> list[Run]:
        """The runs of these ids that there are, in their order, be they archived or deleted."""
        wanted = list(run_ids)
        found: dict[int, Run] = {}
        with self._engine.reading() as connection:
            for start in range(0, len(wanted), RUNS_AT_ONCE):
                some = wanted[start : start + RUNS_AT_ONCE]
                condition = f"WHERE id IN ({', '.join('?' * len(some))})"
                found |= {run.id: run for run in runs.select(connection, self._clock(), condition, some)}
        return [found[run_id] for run_id in wanted if run_id in found]

    def run_names(self, *, archived: bool | None = False) -> list[str]:
        """Names of the runs that `runs` gives, in its order: much less to read."""
        with self._engine.reading() as connection:
            return runs.names(connection, _listed(archived=archived, deleted=False))

    def run_ids(self, *, archived: bool | None = False) -> list[int]:
        """Ids of the runs that `runs` gives, in its order."""
        with self._engine.reading() as connection:
            return runs.ids(connection, _listed(archived=archived, deleted=False))

    def count_runs(self, *, archived: bool | None = False, deleted: bool = False) -> int:
        """How many runs `runs` gives."""
        with self._engine.reading() as connection:
            return runs.count(connection, _listed(archived=archived, deleted=deleted))

    def run(self, name: str | int, *, deleted: bool = False) -> Run:
        """The run of that name, id, or beginning of its uid (6 characters or more).

        With `deleted` it is one that was deleted, of several so called the last. An id finds either.

        Raises:
            RunNotFoundError: there is none, or several uids begin so.
        """
        with self._engine.reading() as connection:
            return self._find(connection, name, deleted=deleted)

    # Changed

    def rename(self, run: str | int, name: str) -> Run:
        """Give a run another name.

        Raises:
            StoreError: another run has it.
            OptionError: it is blank.
        """
        return self._change(run, lambda connection, found: life.rename(connection, found, name))

    def tag(self, run: str | int, add: Iterable[str] | str = (), remove: Iterable[str] | str = ()) -> Run:
        """Add tags, each of which a run has once, and take others away."""
        return self._change(run, lambda connection, found: life.tag(connection, found, add, remove))

    def annotate(self, run: str | int, note: str) -> Run:
        """Replace a run's note; an empty one takes it away."""
        return self._change(run, lambda connection, found: life.annotate(connection, found, note))

    def archive(self, run: str | int, archived: bool = True) -> Run:
        """Put a run out of the way of `runs`, or back; it is found by its name all the same."""
        at = self._clock() if archived else None
        return self._change(run, lambda connection, found: life.archive(connection, found, at))

    def delete(self, run: str | int) -> Run:
        """Hide a run as if it were gone; `restore` has it back until `purge`. Its name is free for others at once."""
        return self._change(run, lambda connection, found: life.delete(connection, found, self._clock()))

    def restore(self, run: str | int) -> Run:
        """Have a deleted run back with all it holds; its name gets a number if another run took it meanwhile."""
        return self._change(run, life.restore, deleted=True)

    def purge(self, *, older_than_seconds: float = 0.0) -> Purged:
        """Destroy the runs that were deleted so long ago or longer: the one verb that cannot be undone.

        A run that is still being recorded stays. A SQLite file then gives its space back.
        """
        now = self._clock()
        due = [
            run
            for run in self.runs(deleted=True)
            if run.deleted_at is not None and now - run.deleted_at >= older_than_seconds and run.status != "running"
        ]
        destroyed = []
        for run in due:
            with self._engine.writing(alone=True) as connection:
                # Another process may have destroyed it meanwhile, or had it back.
                if runs.select(connection, now, "WHERE id = ? AND deleted_at IS NOT NULL", (run.id,)):
                    life.destroy(connection, run.id)
                    destroyed.append(run.name)
        freed = None
        with suppress(StoreError):  # locked, or no room to move: the runs are destroyed nevertheless
            freed = self._engine.reclaim()
        return Purged(tuple(destroyed), freed)

    def _change(self, run: str | int, change: Callable[[Connection, Run], None], *, deleted: bool = False) -> Run:
        with self._engine.writing(alone=True) as connection:
            found = self._find(connection, run, deleted=deleted)
            if deleted and found.deleted_at is None:
                raise StoreError(f"run {found.name!r} is not deleted: there is nothing to bring back")
            change(connection, found)
            return self._run_of_id(connection, found.id)

    def _find(self, connection: Connection, name: str | int, *, deleted: bool = False) -> Run:
        if isinstance(name, int):
            return self._run_of_id(connection, name)
        found = runs.find(connection, self._clock(), name, deleted=deleted)
        if found is not None:
            return found
        where = f"no {'deleted ' * deleted}run {name!r} in {self._engine.shown}"
        if not deleted and runs.find(connection, self._clock(), name, deleted=True) is not None:
            raise RunNotFoundError(f"{where}: it was deleted, and `torchglass delete --undo` brings it back")
        known = runs.newest_names(connection, deleted=deleted)
        hint = f"the newest are {', '.join(known)}" if known else "the store holds none yet"
        raise RunNotFoundError(f"{where}: {hint}")

    def _run_of_id(self, connection: Connection, run_id: int) -> Run:
        found = runs.select(connection, self._clock(), "WHERE id = ?", (run_id,))
        if not found:
            raise RunNotFoundError(f"no run {run_id} in {self._engine.shown}")
        return found[0]


def _listed(*, archived: bool | None, deleted: bool) -> str:
    """The condition on the rows that `runs` gives."""
    if deleted:
        return "WHERE deleted_at IS NOT NULL"
    away = {None: "", True: " AND archived_at IS NOT NULL", False: " AND archived_at IS NULL"}[archived]
    return f"WHERE deleted_at IS NULL{away}"


def _whole(option: str, value: SupportsIndex) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionError(f"{option}={value!r}: give a whole number") from None
    if not -(2**63) <= number < 2**63:
        raise OptionError(f"{option}={str(number)[:30]}: give a whole number that fits 64 bits")
    return number
