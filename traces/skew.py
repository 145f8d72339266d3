"""When the ranks of one job arrive at each collective: the last one keeps all others waiting."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from torchglass.store import Table
from torchglass.traces.kernel_names import COMMUNICATION, matching
from torchglass.traces.tables import texts
from torchglass.traces.trace import Kind, Trace

TOGETHER_NS = 1_000_000  # a collective ends on all its ranks within microseconds; clocks differ by more, or by nothing
SAME_CLOCK_SHARE = 0.2  # of collectives that end together as they stand: then clocks agree, and others do not belong


class Kernel(NamedTuple):
    """A collective's kernel on one rank, by that rank's clock."""

    start_ns: int
    end_ns: int


Same = dict[int, Kernel]  # one collective: its kernel on each rank that took part
Which = tuple[str, str]  # a collective's name, and its group; where that is not told, the stream that it ran on


@dataclass(frozen=True)
class Arrivals:
    """The collectives of one rank: by sequence number where the trace tells it, else in their order."""

    rank: int
    host: str
    numbered: Mapping[tuple[Which, int, int], Kernel]
    ordered: Mapping[Which, Sequence[Kernel]]


class Skew(NamedTuple):
    """`table` has columns collective, group, ranks, count, mean_seconds, longest_seconds, last_rank and last_count (how
    often that rank came last); None where nothing matched. `facts` say by what clocks were aligned, and how many
    kernels found no partner.
    """

    table: Table | None
    facts: Mapping[str, Any]


def arrivals_of(trace: Trace, rank: int, host: str) -> Arrivals:
    """Find the kernels of collectives in a trace."""
    rows = np.flatnonzero(trace.kind == Kind.KERNEL)
    rows = rows[matching(COMMUNICATION, trace.names, trace.name[rows].astype(np.int64))]
    numbered: dict[tuple[Which, int, int], Kernel] = {}
    ordered: dict[Which, list[Kernel]] = defaultdict(list)
    seen: Counter[tuple[Which, int]] = Counter()
    for row in rows.tolist():
        kernel = Kernel(int(trace.start_ns[row]), int(trace.end_ns[row]))
        told = trace.texts.get(row, {})
        name = str(told.get("Collective name") or trace.text(row).split("(")[0])
        group = " ".join(str(told[key]) for key in ("Process Group Name", "Process Group Ranks") if told.get(key))
        which, number = (name, group or f"stream {trace.lane[row]}"), told.get("Seq")
        if isinstance(number, int):
            numbered[which, number, seen[which, number]] = kernel  # one call may take several kernels
            seen[which, number] += 1
        else:
            ordered[which].append(kernel)
    return Arrivals(rank, host, numbered, dict(ordered))


def skew_of(ranks: Sequence[Arrivals]) -> Skew:
    """Compare when ranks began each collective that two of them or more took part in.

    The same one is that of the same name, group and sequence number; without numbers, that of the same name and stream
    that ends at the same time. Clocks are taken as they are where ranks share a host, or where collectives end together
    by them; else they are shifted so that most do.
    """
    numbered = _numbered(ranks)
    unshifted = dict.fromkeys((each.rank for each in ranks), 0)
    together = [same for _, same in numbered if _end_together(same)] + [same for _, same in _by_time(ranks, unshifted)]
    kernels = sum(len(each.numbered) + sum(map(len, each.ordered.values())) for each in ranks)
    hosts = {each.host for each in ranks}
    share = sum(map(len, together)) / kernels if kernels else 0.0
    by_clock = (len(hosts) == 1 and "" not in hosts) or share >= SAME_CLOCK_SHARE
    ahead = unshifted if by_clock else _ahead(ranks, chain((same for _, same in numbered), _by_order(ranks)))
    found = [*numbered, *_by_time(ranks, ahead)]
    facts = {
        "aligned_by": "clock" if by_clock else "ends of collectives",
        "ahead_seconds": {str(rank): nanoseconds / 1e9 for rank, nanoseconds in ahead.items()},
        "unmatched": kernels - sum(len(same) for _, same in found),
    }
    return Skew(_table(found, ahead) if found else None, facts)


def _numbered(ranks: Sequence[Arrivals]) -> list[tuple[Which, Same]]:
    found: dict[tuple[Which, int, int], Same] = defaultdict(dict)
    for each in ranks:
        for key, kernel in each.numbered.items():
            found[key][each.rank] = kernel
    return [(which, same) for (which, _, _), same in found.items() if len(same) > 1]


def _by_time(ranks: Sequence[Arrivals], ahead: Mapping[int, int]) -> list[tuple[Which, Same]]:
    """Kernels of one name and stream that end together on different ranks."""
    found: list[tuple[Which, Same]] = []
    for which in dict.fromkeys(chain.from_iterable(each.ordered for each in ranks)):
        ends = sorted(
            (kernel.end_ns - ahead[each.rank], each.rank, kernel)
            for each in ranks
            for kernel in each.ordered.get(which, ())
        )
        same: Same = {}
        first_end = 0
        for end, rank, kernel in ends:
            if same and (rank in same or end - first_end > TOGETHER_NS):
                found.append((which, same))
                same = {}
            first_end = first_end if same else end
            same[rank] = kernel
        found.append((which, same))
    return [(which, same) for which, same in found if len(same) > 1]


def _by_order(ranks: Sequence[Arrivals]) -> Iterable[Same]:
    """Kernels of one name and stream by their place, where all ranks have as many: right for most, if not for all."""
    for which in dict.fromkeys(chain.from_iterable(each.ordered for each in ranks)):
        columns = {each.rank: each.ordered[which] for each in ranks if which in each.ordered}
        if len(set(map(len, columns.values()))) == 1:
            for row in zip(*columns.values(), strict=True):
                yield dict(zip(columns, row, strict=True))


def _end_together(same: Same) -> bool:
    ends = [kernel.end_ns for kernel in same.values()]
    return max(ends) - min(ends) < TOGETHER_NS


def _ahead(ranks: Sequence[Arrivals], collectives: Iterable[Same]) -> dict[int, int]:
    """How far each rank's clock is ahead of that of the lowest rank beside it, in nanoseconds."""
    found: dict[int, list[int]] = {each.rank: [] for each in ranks}
    for same in collectives:
        reference = same[min(same)].end_ns
        for rank, kernel in same.items():
            found[rank].append(kernel.end_ns - reference)
    return {rank: int(np.median(differences)) if differences else 0 for rank, differences in found.items()}


def _table(found: Sequence[tuple[Which, Same]], ahead: Mapping[int, int]) -> Table:
    rows: dict[tuple[Which, int], list[tuple[int, int]]] = defaultdict(list)
    for which, same in found:
        began = {rank: kernel.start_ns - ahead[rank] for rank, kernel in same.items()}
        last = max(began, key=began.__getitem__)
        rows[which, len(same)].append((last, began[last] - min(began.values())))
    ordered = sorted(rows.items(), key=lambda row: -sum(wait for _, wait in row[1]))
    waits = [np.array([wait for _, wait in each]) / 1e9 for _, each in ordered]
    last_ranks = [Counter(rank for rank, wait in each if wait > 0).most_common(1) for _, each in ordered]
    return {
        "collective": texts(name for ((name, _), _), _ in ordered),
        "group": texts(group for ((_, group), _), _ in ordered),
        "ranks": np.array([count for (_, count), _ in ordered], np.int64),
        "count": np.array([len(each) for each in waits], np.int64),
        "mean_seconds": np.array([each.mean() for each in waits]),
        "longest_seconds": np.array([each.max() for each in waits]),
        "last_rank": np.array([each[0][0] if each else -1 for each in last_ranks], np.int64),
        "last_count": np.array([each[0][1] if each else 0 for each in last_ranks], np.int64),
    }
