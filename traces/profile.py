"""One trace -> everything that is known of it: rows of operators and kernels, tables, and facts on their quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torchglass.store import ProfilerRow, Table
from torchglass.traces.blame import GRAPH, UNLINKED, Blame, blame_of
from torchglass.traces.breakdown import breakdown_table, hidden_communication_percent, parts_of
from torchglass.traces.calls import calls_of
from torchglass.traces.communication import collective_table
from torchglass.traces.idle import gap_table, gaps_of, idle_table
from torchglass.traces.kernels import copy_table, kernel_table
from torchglass.traces.launches import launch_counts, launch_table
from torchglass.traces.links import link_table
from torchglass.traces.missing import reasons
from torchglass.traces.operators import operator_table
from torchglass.traces.phases import phase_table, phases_of
from torchglass.traces.rows import profiler_rows
from torchglass.traces.slices import timeline_of
from torchglass.traces.steps import overhead_table, step_table
from torchglass.traces.trace import Trace
from torchglass.traces.work import Work, work_of


@dataclass(frozen=True)
class Profile:
    """What one trace tells: `rows` and `tables` as a `ProfilerWindow` keeps them; `facts` are JSON-able."""

    rows: tuple[ProfilerRow, ...]
    tables: Mapping[str, Table]
    facts: Mapping[str, Any]


def profile_of(trace: Trace, *, source: Literal["window", "trace"] = "window") -> Profile:
    """Analyse a trace; whatever it lacks is an empty table and a reason in `facts["missing"]`, never an error.

    `source` says whether one of our windows or a file of others brought it.
    """
    calls, work = calls_of(trace), work_of(trace)
    blame, phases = blame_of(trace, calls, work), phases_of(trace, calls)
    parts, gaps = parts_of(trace, work), gaps_of(trace, work)
    begin_ns = int(trace.start_ns.min()) if len(trace) else 0
    timeline = timeline_of(trace, calls, work, phases, begin_ns)
    tables = {
        "kernels": kernel_table(trace, work),
        "operators": operator_table(trace, calls, work, blame),
        "links": link_table(trace, calls, work, blame, phases),
        "copies": copy_table(trace, work),
        "idle": idle_table(work, gaps),
        "gaps": gap_table(trace, calls, work, blame, gaps, begin_ns),
        "collectives": collective_table(trace, calls, work, parts),
        "launches": launch_table(trace, work),
        "breakdown": breakdown_table(parts),
        "steps": step_table(trace, calls, work, begin_ns),
        "phases": phase_table(phases, work),
        "slices": timeline.slices,
        "lanes": timeline.lanes,
        "slice_names": timeline.names,
        "overheads": overhead_table(trace),
    }
    facts = {
        "source": source,
        "span_seconds": (int(trace.end_ns.max()) - begin_ns) / 1e9 if len(trace) else 0.0,
        "quality": _quality(trace, work, blame, timeline.dropped),
        "overlap_percent": hidden_communication_percent(parts),
        "phases_from": "marks" if phases.marked else "annotations",
        "device_properties": trace.facts.get("deviceProperties", []),
        "missing": reasons(trace, tables),
    }
    return Profile(profiler_rows(trace, work, tables["operators"]), tables, facts)


def _quality(trace: Trace, work: Work, blame: Blame, dropped: int) -> dict[str, int]:
    """Count what was lost, cut short or could not be linked."""
    launches, with_kernel = launch_counts(trace, work)
    return {
        "launches": launches,
        "launches_with_kernel": with_kernel,
        "clipped": int(work.overlaps.sum()),
        "graph_kernels": int((blame.operator == GRAPH).sum()),
        "unlinked_kernels": int((blame.operator == UNLINKED).sum()),
        "dropped_slices": dropped,
    }
