"""What runs inside the training process: hooks, phases, histograms, devices, profiler windows, and their writer.

Loaded on use: `torchglass devices` reads the machine without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchglass.instrumentation.cadence import Cadence, every
    from torchglass.instrumentation.front_door import attach, start
    from torchglass.instrumentation.run import Run

_HOME = {"Cadence": "cadence", "every": "cadence", "attach": "front_door", "start": "front_door", "Run": "run"}

__all__ = ["Cadence", "Run", "attach", "every", "start"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
