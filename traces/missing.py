"""Why a table of a trace is empty, in a sentence that a page can show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from torchglass.store import Table
from torchglass.traces.tables import rows_in
from torchglass.traces.trace import NO_ID, Kind, Trace

_NO_EVENTS = "the trace has no events"
_NO_WORK = "no device work was recorded: the program ran on the CPU, or only the CPU was traced"
_NO_CALLS = "no host calls were recorded: only devices were traced"
_NO_LAUNCHES = "no calls of the device's runtime were recorded"
_OF_WORK = ("kernels", "idle", "gaps", "breakdown")
_OF_CALLS = ("operators", "links")
_OTHERS = {
    "copies": "nothing was copied to, from or on a device",
    "collectives": "no collective ran: training was on one device, or nothing was communicated",
    "steps": "the trace has no ProfilerStep marks: the program did not call the profiler's step()",
    "phases": "nothing in the trace says where a phase of the step begins or ends",
    "overheads": "the profiler reported no time of its own",
}


def reasons(trace: Trace, tables: Mapping[str, Table]) -> dict[str, str]:
    """Say for each empty table why; and for columns that a whole table lacks, under `table.column`."""
    found = {name: _reason(trace, name) for name, kept in tables.items() if not rows_in(kept)}
    kernels = tables["kernels"]
    for column in ("sm_efficiency_percent", "occupancy_percent"):
        if rows_in(kernels) and np.isnan(kernels[column]).all():
            found[f"kernels.{column}"] = "the trace does not tell the grid of its kernels"
    if trace.on_device.any() and not (trace.correlation[trace.on_device] != NO_ID).any():
        found["correlation"] = (
            "no device work names the call that launched it: causes, operators and phases are unknown"
        )
    return found


def _reason(trace: Trace, name: str) -> str:
    if not len(trace):
        return _NO_EVENTS
    if name == "gaps" or name == "idle":
        return "no stream was idle between two pieces of work" if trace.on_device.any() else _NO_WORK
    if name in _OF_WORK:
        return _NO_WORK
    if name in _OF_CALLS:
        return _NO_CALLS
    if name == "launches":
        return _NO_LAUNCHES if (trace.kind <= Kind.OVERHEAD).any() else _NO_CALLS
    if name in ("copies", "collectives") and not trace.on_device.any():
        return _NO_WORK
    return _OTHERS.get(name, "the trace has nothing of this kind")
