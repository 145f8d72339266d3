"""The one form of a trace: columns of events and a table of their names, whether Kineto or a file brought them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HOST = -1  # the device of what runs on a processor
NO_ID = 0  # correlation and external ids that link to nothing
NO_SEQUENCE = -1
# Annotations that say where in the model and in the step the program is; written by our windows, read in any trace.
MODULE_PREFIX = "nn.Module: "
PHASE_PREFIX = "torchglass.phase#"  # an instant: the time since the one before belonged to the phase named
STEP_PREFIX = "ProfilerStep#"


class Kind(IntEnum):
    """What an event is. Kinds up to `OVERHEAD` are on the host, those from `KERNEL` on a device."""

    OPERATOR = 0
    ANNOTATION = 1  # record_function, optimizer steps, modules; also `python_function` of modules
    RUNTIME = 2  # a call of the CUDA runtime or driver
    SYNC = 3  # cuda_sync: a wait that the host or a stream made
    OVERHEAD = 4  # the profiler's own time
    KERNEL = 10
    COPY = 11
    FILL = 12
    DEVICE_ANNOTATION = 13  # the span of an annotation's kernels: no work of its own


@dataclass(frozen=True)
class Trace:
    """Events in columns (n,), sorted by `start_ns`.

    `name` are indices into `names`; `kind` are of `Kind`. `device` is an index or `HOST`; `lane` a thread of the
    host or a stream of the device. `correlation` ties a runtime call to what it launched; `external` is the id
    of the operator around (`operator_id` says which operator that is). Backward operators carry the `sequence` number
    of the forward operator and the thread that ran it, `forward_lane`. What an event does not have is `NO_ID`,
    `NO_SEQUENCE`, or NaN in the columns of floats.
    `bytes_moved` is of copies and fills; `occupancy_percent` is Kineto's estimate of achieved occupancy;
    `blocks_per_sm` is the grid over the number of SMs; `graph_node` tells the kernels of one CUDA graph launch apart.
    `texts` holds, for the few events that need them, arguments by row (a collective's name and sizes).
    `asynchronous` are the rows of calls that one thread began and another ended: nobody is called within them.
    """

    names: tuple[str, ...]
    name: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    start_ns: Integers
    duration_ns: Integers
    device: npt.NDArray[np.int32]
    lane: Integers
    operator_id: Integers
    external: Integers
    correlation: Integers
    sequence: Integers
    forward_lane: Integers
    bytes_moved: Floats
    blocks_per_sm: Floats
    occupancy_percent: Floats
    graph_node: Integers
    texts: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    asynchronous: frozenset[int] = frozenset()
    lane_names: Mapping[tuple[int, int], str] = field(default_factory=dict)  # (device, lane) -> what to call it
    rank: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # deviceProperties, distributedInfo, the reader's own notes

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def end_ns(self) -> Integers:
        """When each event ends."""
        return self.start_ns + self.duration_ns

    @property
    def on_device(self) -> npt.NDArray[np.bool_]:
        """Work of a device: kernels, copies and fills."""
        work: npt.NDArray[np.bool_] = (self.kind >= Kind.KERNEL) & (self.kind != Kind.DEVICE_ANNOTATION)
        return work

    def text(self, row: int) -> str:
        """Name of one event."""
        return self.names[int(self.name[row])]
