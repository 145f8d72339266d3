"""Summaries by name of operators and kernels, as a window has kept them since before it had tables."""

from __future__ import annotations

import numpy as np

from torchglass.store import ProfilerRow, Table
from torchglass.traces.grouping import grouped
from torchglass.traces.tables import short_name
from torchglass.traces.trace import Trace
from torchglass.traces.work import Work

MAX_ROWS = 400  # of a kind; the rest is summed into one row that says how many it stands for


def profiler_rows(trace: Trace, work: Work, operators: Table) -> tuple[ProfilerRow, ...]:
    """Make a row of each host operator, and of all device work (kernels, copies and fills) by name."""
    return (*_capped(_operators(operators)), *_capped(_kernels(trace, work)))


def _operators(operators: Table) -> list[ProfilerRow]:
    columns = (operators[column].tolist() for column in ("name", "calls", "self_seconds", "total_seconds"))
    return [ProfilerRow("operator", *row) for row in zip(*columns, strict=True)]


def _kernels(trace: Trace, work: Work) -> list[ProfilerRow]:
    if not len(work):
        return []
    groups = grouped(work.name)
    seconds = groups.sum(work.clipped_ns) / 1e9
    order = np.argsort(-seconds, kind="stable")
    names = [short_name(trace.names[index]) for index in work.name[groups.first[order]].tolist()]
    calls = groups.calls()[order].tolist()
    return [
        ProfilerRow("kernel", name, count, spent, spent)
        for name, count, spent in zip(names, calls, seconds[order].tolist(), strict=True)
    ]


def _capped(rows: list[ProfilerRow]) -> list[ProfilerRow]:
    kept, rest = rows[:MAX_ROWS], rows[MAX_ROWS:]
    if rest:
        kept.append(
            ProfilerRow(
                rest[0].kind,
                f"({len(rest)} more names)",
                sum(row.calls for row in rest),
                sum(row.self_seconds for row in rest),
                sum(row.total_seconds for row in rest),
            )
        )
    return kept
