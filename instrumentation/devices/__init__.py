"""Readings of the host and of NVIDIA GPUs: each figure with its unit, source and window, or why it is missing."""

from torchglass.instrumentation.devices.gpus import Gpus
from torchglass.instrumentation.devices.host import Host
from torchglass.instrumentation.devices.quantities import unit_of
from torchglass.instrumentation.devices.reading import Reading, merged

__all__ = ["Gpus", "Host", "Reading", "merged", "unit_of"]
