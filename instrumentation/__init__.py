"""What runs inside the training process: hooks, phases, histograms, devices, profiler windows, and their writer."""

from torchglass.instrumentation.cadence import Cadence, every
from torchglass.instrumentation.front_door import attach, start
from torchglass.instrumentation.run import Run

__all__ = ["Cadence", "Run", "attach", "every", "start"]
