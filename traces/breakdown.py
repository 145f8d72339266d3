"""How each device's time divides into compute, exposed communication, exposed copies and idleness, exactly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store import Table
from torchglass.traces.intervals import Intervals, union
from torchglass.traces.kernel_names import COMMUNICATION, matching
from torchglass.traces.tables import empty, table
from torchglass.traces.trace import Integers, Kind, Trace
from torchglass.traces.work import Work


class Parts(NamedTuple):
    """When one device computed, communicated, and copied or filled memory; they may overlap."""

    device: int
    total_ns: int  # from its first work to the end of its last
    compute: Intervals
    communication: Intervals
    copies: Intervals
    busy: Intervals


def parts_of(trace: Trace, work: Work) -> list[Parts]:
    """Tell what each device did when."""
    communicates = is_communication(trace, work)
    copies = work.kind != Kind.KERNEL
    return [_parts(work, here, communicates[here], copies[here]) for here in work.by_device()]


def is_communication(trace: Trace, work: Work) -> npt.NDArray[np.bool_]:
    """Which work is a collective's kernel (n,)."""
    found: npt.NDArray[np.bool_] = (work.kind == Kind.KERNEL) & matching(COMMUNICATION, trace.names, work.name)
    return found


def breakdown_table(parts: list[Parts]) -> Table:
    """Divide each device's time; the four parts add up to the total in whole nanoseconds.

    What runs beside compute is hidden; copies that run beside communication are hidden too. Fills count as copies.
    """
    if not parts:
        return empty("breakdown")
    split = np.array([_split(part) for part in parts], np.int64)
    names = ("total", "compute", "exposed_communication", "exposed_copies", "idle")
    return table(
        "breakdown",
        device=[part.device for part in parts],
        **{f"{name}_seconds": split[:, column] / 1e9 for column, name in enumerate(names)},
        **{f"{name}_ns": split[:, column] for column, name in enumerate(names)},
    )


def hidden_communication_percent(parts: list[Parts]) -> float | None:
    """Share of communication that ran beside compute, of all devices; None where nothing was communicated."""
    total = sum(part.communication.length() for part in parts)
    hidden = sum(part.communication.shared_with(part.compute) for part in parts)
    return 100 * hidden / total if total else None


def _parts(work: Work, here: Integers, communicates: npt.NDArray[np.bool_], copies: npt.NDArray[np.bool_]) -> Parts:
    def when(chosen: npt.NDArray[np.bool_]) -> Intervals:
        return union(work.start_ns[here[chosen]], work.end_ns[here[chosen]])

    busy = union(work.start_ns[here], work.end_ns[here])
    return Parts(
        device=int(work.device[here[0]]),
        total_ns=int(busy.ends[-1] - busy.starts[0]),
        compute=when(~communicates & ~copies),
        communication=when(communicates),
        copies=when(copies),
        busy=busy,
    )


def _split(part: Parts) -> tuple[int, int, int, int, int]:
    compute = part.compute.length()
    communication = part.communication.length() - part.communication.shared_with(part.compute)
    before = union(*(np.concatenate(side) for side in zip(part.compute, part.communication, strict=True)))
    copies = part.copies.length() - part.copies.shared_with(before)
    return part.total_ns, compute, communication, copies, part.total_ns - part.busy.length()
