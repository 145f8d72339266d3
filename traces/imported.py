"""One trace file, read and analysed, and the profiler window that it becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torchglass.store import ProfilerWindow, Table
from torchglass.traces.profile import Profile, profile_of
from torchglass.traces.reading import read_trace
from torchglass.traces.reading_text import Advance
from torchglass.traces.skew import Arrivals, arrivals_of, skew_of

_RANK = re.compile(r"(?<![a-z])rank[-_ .\[=]?(\d{1,6})(?!\d)", re.IGNORECASE)
_EARLIEST_SECONDS = 946_684_800.0  # the year 2000: what a trace says before it is no time of day


@dataclass(frozen=True)
class Imported:
    """What is kept of a file once its events are gone. `time` is when it began, in seconds since the epoch; `rank` is
    None where neither the trace nor its name tells.
    """

    path: Path
    rank: int | None
    profile: Profile
    stated: Mapping[str, Any]  # what the file says beside its events
    memory: Table
    arrivals: Arrivals
    faults: tuple[str, ...]
    time: float
    wall_seconds: float
    event_count: int
    device_event_count: int


def read_file(path: Path, advance: Advance) -> Imported:
    """Read a trace file and analyse it.

    Raises:
        OptionError: there is no such file.
        DataError: it is no trace, truncated, or made to be a burden.
    """
    reading = read_trace(path, advance)
    trace = reading.trace
    profile = profile_of(trace, source="trace")
    begin = int(trace.start_ns[0]) / 1e9 if len(trace) else 0.0
    end = int(trace.end_ns.max()) / 1e9 if len(trace) else 0.0
    rank = trace.rank if trace.rank is not None else _rank_in(path.name)
    return Imported(
        path=path,
        rank=rank,
        profile=profile,
        stated=trace.facts,
        memory=reading.memory,
        arrivals=arrivals_of(trace, rank or 0, reading.host),
        faults=reading.faults,
        time=begin if begin > _EARLIEST_SECONDS else path.stat().st_mtime,
        wall_seconds=_span(profile.tables.get("steps", {})) or end - begin,
        event_count=len(trace),
        device_event_count=int(trace.on_device.sum()),
    )


def with_ranks(files: Sequence[Imported]) -> list[Imported]:
    """Give those that know no rank the next one free, in their order."""
    taken = {each.rank for each in files if each.rank is not None}
    free = (rank for rank in range(len(files) + len(taken)) if rank not in taken)
    ranks = [each.rank if each.rank is not None else next(free) for each in files]
    return [
        replace(each, rank=rank, arrivals=replace(each.arrivals, rank=rank))
        for each, rank in zip(files, ranks, strict=True)
    ]


def windows_of(files: Sequence[Imported]) -> list[ProfilerWindow]:
    """A window for each file that has a rank; the arrival skew of several ranks lies with the lowest one."""
    table, facts, missing = _skew(files)
    first = min(range(len(files)), key=lambda index: files[index].arrivals.rank)
    windows = [_window(each) for each in files]
    lowest = windows[first]
    windows[first] = replace(
        lowest,
        tables={**lowest.tables, **({} if table is None else {"skew": table})},
        facts={
            **lowest.facts,
            "skew": dict(facts),
            "missing": {**lowest.facts["missing"], **({"skew": missing} if missing else {})},
        },
    )
    return windows


def _window(file: Imported) -> ProfilerWindow:
    steps = file.profile.tables.get("steps", {}).get("number", ())
    return ProfilerWindow(
        step=int(min(steps)) if len(steps) else 0,
        time=file.time,
        step_count=max(len(steps), 1),
        wall_seconds=file.wall_seconds,
        facts={
            "device_properties": file.stated["deviceProperties"],
            "missing": {},
            **file.profile.facts,
            "source": "trace",
            "file": file.path.name,
            "host": file.arrivals.host,
            "distributed": file.stated["distributedInfo"],
            "left_out": file.stated["left_out"],
            "faults": list(file.faults),
        },
        rows=file.profile.rows,
        rank=file.arrivals.rank,
        tables={**file.profile.tables, **({"memory": file.memory} if file.memory else {})},
    )


def _skew(files: Sequence[Imported]) -> tuple[Table | None, Mapping[str, Any], str | None]:
    """The table of arrivals, what is known of it, and why there is none."""
    ranks = [each.arrivals for each in files]
    distinct = len({each.rank for each in ranks})
    if distinct < 2:
        return None, {}, "one rank was imported: import the traces of all ranks at once"
    if distinct < len(ranks):
        return None, {}, "a rank has several traces, and which of them belong together is not known"
    table, facts = skew_of(ranks)
    return table, facts, None if table is not None else "no collective was found on two ranks"


def _span(steps: Table) -> float:
    """Seconds from the start of the first step to the end of the last."""
    if not len(steps.get("start_ns", ())):
        return 0.0
    starts = steps["start_ns"] / 1e9
    return float((starts + steps["seconds"]).max() - starts.min())


def _rank_in(name: str) -> int | None:
    found = _RANK.search(name)
    return int(found[1]) if found else None
