"""Trace files -> one run in the store, each file a profiler window of its rank; all of them, or no run."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torchglass.errors import OptionError
from torchglass.store import Batch, Fact, ProfilerWindow, RowBlock, Run, Store
from torchglass.traces.imported import Imported, read_file, windows_of, with_ranks
from torchglass.traces.reading_text import Advance

STEP_KEY = "phase/step"
_ENDINGS = re.compile(r"(\.gz|\.json|\.trace|\.pt)+$", re.IGNORECASE)
_LOOSE_END = re.compile(r"([-_.\[ ]*rank)?[-_.\[= ]*\d*$", re.IGNORECASE)


@dataclass(frozen=True)
class ImportedTrace:
    """What came of one file: a window of `rank` with so many events, of which `device_event_count` ran on a device."""

    file: str
    rank: int
    event_count: int
    device_event_count: int
    step_count: int
    wall_seconds: float


@dataclass(frozen=True)
class ImportedTraces:
    """The run that files became. `faults` are sentences on what could not be taken as it was; `left_out` counts the
    events that have no place in a window, by reason.
    """

    name: str
    run_id: int
    traces: tuple[ImportedTrace, ...]
    left_out: Mapping[str, int]
    faults: tuple[str, ...]


def import_traces(
    files: Sequence[str | os.PathLike[str]],
    *,
    store: str | os.PathLike[str] | None = None,
    run: str | None = None,
    advance: Advance = lambda amount: None,
) -> ImportedTraces:
    """Import trace files of one job into the store, as one run that is finished.

    A file's rank is the one that it states, else the one in its name ("rank3", "rank-3"), else the next one free, in
    the order given; several of one rank are windows of it. With several steps in a trace there is a series
    `phase/step`, with several ranks a table "skew" of arrivals at collectives, at the window of the lowest rank.

    Args:
        store: as in `torchglass.open_store`; made if it is absent.
        run: name of the run (default: what the files' names have in common).
        advance: told how many more bytes of the files were read.

    Raises:
        OptionError: no file is given, or one does not exist.
        DataError: a file is no trace, truncated, or made to be a burden; then there is no run.
        StoreError: the store cannot be written.
    """
    paths = [Path(file).expanduser() for file in files]
    if not paths:
        raise OptionError("no trace file is given: give one or several, such as trace.json.gz")
    for path in paths:
        if not path.exists():
            raise OptionError(f"{path} does not exist: give a trace file")
    imported = with_ranks([read_file(path, advance) for path in paths])
    windows = windows_of(imported)
    made = _write(store, run or _name(paths), imported, windows)
    left_out: Counter[str] = Counter()
    for each in imported:
        left_out.update(each.stated["left_out"])
    return ImportedTraces(
        name=made.name,
        run_id=made.id,
        traces=tuple(_account(each, window) for each, window in zip(imported, windows, strict=True)),
        left_out=dict(left_out),
        faults=_faults(imported),
    )


class _TraceClock:
    """The store's clock: a run begins and ends when its traces do, and is alive while it is imported."""

    def __init__(self) -> None:
        self.told: float | None = None

    def __call__(self) -> float:
        return time.time() if self.told is None else self.told


def _write(
    location: str | os.PathLike[str] | None, name: str, imported: Sequence[Imported], windows: Sequence[ProfilerWindow]
) -> Run:
    clock = _TraceClock()
    with Store(location, clock=clock) as store:
        clock.told = min(each.time for each in imported)
        run = store.start_run(name, {}, host=imported[0].arrivals.host, pid=0)
        clock.told = None
        with _closing(store, run, clock, max(window.time + window.wall_seconds for window in windows)):
            for rank in sorted({window.rank for window in windows}):
                of_rank = sorted(
                    (each for each in windows if each.rank == rank), key=lambda each: (each.step, each.time)
                )
                blocks = [block for window in of_rank if (block := _step_series(window)) is not None]
                store.write(run.id, rank, Batch(windows=of_rank, rows=blocks))
            account = {
                "format": "trace",
                "files": [each.path.name for each in imported],
                "faults": list(_faults(imported)),
            }
            store.state_facts(run.id, [Fact(0, "import", account, clock())])
        return run


@contextmanager
def _closing(store: Store, run: Run, clock: _TraceClock, ended: float) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        store.end_run(
            run.id,
            "interrupted" if interrupted else "failed",
            "the import was interrupted" if interrupted else str(error),
        )
        raise
    clock.told = ended
    store.end_run(run.id, "finished")


def _step_series(window: ProfilerWindow) -> RowBlock | None:
    """How long each step took, where there are several."""
    steps = window.tables.get("steps", {})
    if len(steps.get("number", ())) < 2:
        return None
    ends = window.time + steps["start_ns"] / 1e9 + steps["seconds"]
    return RowBlock.of_series(STEP_KEY, "phase", "s", steps["number"], ends, steps["seconds"])


def _account(imported: Imported, window: ProfilerWindow) -> ImportedTrace:
    return ImportedTrace(
        file=imported.path.name,
        rank=window.rank,
        event_count=imported.event_count,
        device_event_count=imported.device_event_count,
        step_count=window.step_count,
        wall_seconds=window.wall_seconds,
    )


def _faults(imported: Sequence[Imported]) -> tuple[str, ...]:
    return tuple(fault for each in imported for fault in each.faults)


def _name(paths: Sequence[Path]) -> str:
    """What the names of the files have in common, without endings and ranks."""
    stems = [_ENDINGS.sub("", path.name) for path in paths]
    common = stems[0] if len(stems) == 1 else _LOOSE_END.sub("", _shared(stems))
    return common or paths[0].resolve().parent.name or "trace"


def _shared(texts: Sequence[str]) -> str:
    """The beginning that all texts share."""
    low, high = min(texts), max(texts)
    return low[: next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]
