"""When the ranks of one job arrive at each collective: the last one keeps all others waiting."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from torchglass.store import Table
from torchglass.traces.kernel_names import COMMUNICATION, matching
from torchglass.traces.tables import texts
from torchglass.traces.trace import Kind, Trace

# Clocks of one machine agree to microseconds; of machines kept by NTP, to milliseconds.
SAME_CLOCK_NS = 1_000_000
_POINT_TO_POINT = ("sendrecv", "send", "recv", "_send", "_recv")


class Collective(NamedTuple):
    """Which collective it is: that of the same name, group and number on another rank is the same one."""

    name: str
    group: str
    number: tuple[int, int]


@dataclass(frozen=True)
class Arrivals:
    """When one rank began and ended each collective, by its own clock; `in_order` are those known by their order alone,
    with how many there were.
    """

    rank: int
    host: str
    times_ns: Mapping[Collective, tuple[int, int]]
    in_order: Mapping[tuple[str, str], int]


class Skew(NamedTuple):
    """`table` has columns collective, group, ranks, count, mean_seconds, longest_seconds, last_rank and last_count (how
    often that rank came last); `facts` say how clocks were aligned and what could not be matched.
    """

    table: Table | None
    facts: Mapping[str, Any]


def arrivals_of(trace: Trace, rank: int, host: str) -> Arrivals:
    """Find the collectives of a rank; sends to a single other rank are none.

    One that says no sequence number is known by its kernel's name and its place among those of that name.
    """
    rows = np.flatnonzero(trace.kind == Kind.KERNEL)
    rows = rows[matching(COMMUNICATION, trace.names, trace.name[rows].astype(np.int64))]
    times: dict[Collective, tuple[int, int]] = {}
    seen: Counter[tuple[str, str, int]] = Counter()
    in_order: Counter[tuple[str, str]] = Counter()
    for row in rows.tolist():
        name, group, sequence = _identity(trace, row)
        if name.lower().startswith(_POINT_TO_POINT) or "sendrecv" in name.lower():
            continue
        if sequence is None:
            number = (-1, in_order[name, group])
            in_order[name, group] += 1
        else:
            number = (sequence, seen[name, group, sequence])
            seen[name, group, sequence] += 1
        times[Collective(name, group, number)] = (int(trace.start_ns[row]), int(trace.end_ns[row]))
    return Arrivals(rank, host, times, in_order)


def _identity(trace: Trace, row: int) -> tuple[str, str, int | None]:
    told = trace.texts.get(row)
    if told is None:
        return trace.text(row).split("(")[0], "", None
    group = " ".join(str(told[key]) for key in ("Process Group Name", "Process Group Ranks") if told.get(key))
    sequence = told.get("Seq")
    return str(told["Collective name"]), group, sequence if isinstance(sequence, int) else None


def skew_of(ranks: Sequence[Arrivals]) -> Skew:
    """Compare arrivals at the collectives that two ranks or more took part in.

    Times of ranks on one host, or whose collectives end within a millisecond of each other, are taken as they are; else
    clocks are shifted so that collectives end together, as they do by their nature.
    """
    uneven = {
        key
        for key in set().union(*(each.in_order for each in ranks))
        if len({each.in_order[key] for each in ranks if each.in_order.get(key)}) > 1
    }
    matched = _matched(ranks, uneven)
    unmatched = sum(len(each.times_ns) for each in ranks) - sum(map(len, matched.values()))
    if not matched:
        return Skew(None, {"unmatched": unmatched})
    aligned_by, offsets = _offsets(ranks, matched)
    late: dict[tuple[str, str, tuple[int, ...]], list[tuple[int, int]]] = defaultdict(list)
    for collective, times in matched.items():
        began = {rank: start - offsets[rank] for rank, (start, _) in times.items()}
        last = max(began, key=lambda rank: (began[rank], -rank))
        late[collective.name, collective.group, tuple(sorted(began))].append((last, began[last] - min(began.values())))
    facts = {
        "aligned_by": aligned_by,
        "offsets_seconds": {str(rank): offset / 1e9 for rank, offset in offsets.items()},
        "unmatched": unmatched,
    }
    return Skew(_table(late), facts)


def _matched(ranks: Sequence[Arrivals], uneven: set[tuple[str, str]]) -> dict[Collective, dict[int, tuple[int, int]]]:
    """By collective, the ranks that took part. What ranks have different numbers of, and only order tells apart, might
    be any of the other rank's.
    """
    found: dict[Collective, dict[int, tuple[int, int]]] = defaultdict(dict)
    for each in ranks:
        for collective, times in each.times_ns.items():
            if collective.number[0] >= 0 or (collective.name, collective.group) not in uneven:
                found[collective][each.rank] = times
    return {collective: times for collective, times in found.items() if len(times) > 1}


def _offsets(
    ranks: Sequence[Arrivals], matched: Mapping[Collective, Mapping[int, tuple[int, int]]]
) -> tuple[str, dict[int, int]]:
    """How far each rank's clock is ahead, in nanoseconds, and what that was told by."""
    ahead: dict[int, list[int]] = {each.rank: [] for each in ranks}
    for times in matched.values():
        reference = times[min(times)][1]
        for rank, (_, end) in times.items():
            ahead[rank].append(end - reference)
    offsets = {rank: int(np.median(found)) if found else 0 for rank, found in ahead.items()}
    hosts = {each.host for each in ranks}
    if (len(hosts) == 1 and "" not in hosts) or max(map(abs, offsets.values())) < SAME_CLOCK_NS:
        return "clock", dict.fromkeys(offsets, 0)
    return "ends of collectives", offsets


def _table(late: Mapping[tuple[str, str, tuple[int, ...]], Sequence[tuple[int, int]]]) -> Table:
    rows = sorted(late.items(), key=lambda entry: -sum(wait for _, wait in entry[1]))
    waits = [np.array([wait for _, wait in found]) / 1e9 for _, found in rows]
    last = [Counter(rank for rank, wait in found if wait > 0).most_common(1) or [(-1, 0)] for _, found in rows]
    return {
        "collective": texts(name for (name, _, _), _ in rows),
        "group": texts(group for (_, group, _), _ in rows),
        "ranks": np.array([len(ranks) for (_, _, ranks), _ in rows], np.int64),
        "count": np.array([len(found) for _, found in rows], np.int64),
        "mean_seconds": np.array([each.mean() for each in waits]),
        "longest_seconds": np.array([each.max() for each in waits]),
        "last_rank": np.array([each[0][0] for each in last], np.int64),
        "last_count": np.array([each[0][1] for each in last], np.int64),
    }
