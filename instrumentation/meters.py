"""What is measured of each step beside its phases: the memory held, and the work done."""

from __future__ import annotations

from collections.abc import Callable

from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.cadence import Cadence
from torchglass.instrumentation.memory.history import MemoryHistory
from torchglass.instrumentation.memory.meter import Attached, MemoryMeter
from torchglass.instrumentation.work.meter import WorkMeter


class Meters:
    """The meters of one watched model; each of these calls is made on the training thread."""

    def __init__(
        self, attached: Attached, cadence: Cadence, buffer: Buffer, rank: int, clock: Callable[[], float]
    ) -> None:
        self.memory = MemoryMeter(attached, cadence, buffer, rank)
        self.memory_history = MemoryHistory(attached, buffer.put, rank)
        self._work = WorkMeter(buffer, rank, clock)
        self.forward_begins = self._work.forward_began  # the model is called for training: of every step, so no detour

    def step_ended(self, step: int, when: float) -> None:
        """A step is over, at this time in seconds since the epoch."""
        self.memory.step_ended(step, when)
        self._work.step_ended(step, when)
        if self.memory_history.is_recording:
            self.memory_history.step_ended(step, when)

    def close(self, when: float) -> None:
        """Nothing will be measured any more."""
        self.memory_history.close(when)
        self.memory.close()
        self._work.close()
