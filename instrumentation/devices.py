"""One reading of the host and of each NVIDIA GPU; what cannot be measured is missing, with the reason.

Windows and sources: CPU utilisation is psutil's, over the time since the previous reading. GPU figures are NVML's:
utilisation is the share of the driver's last sampling period (1/6 s to 1 s) in which a kernel ran, memory utilisation
the share in which memory was read or written, power the driver's average (`nvidia-smi dmon -s pucm` prints the same).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

UNITS = {
    "cpu_utilization_percent": "%",
    "memory_used_bytes": "B",
    "process_memory_bytes": "B",
    "utilization_percent": "%",
    "memory_utilization_percent": "%",
    "power_watts": "W",
    "temperature_celsius": "°C",
    "sm_clock_mhz": "MHz",
    "memory_clock_mhz": "MHz",
}


@dataclass(frozen=True)
class Reading:
    """Values by key (`gpu0/power_watts`), and for those that are missing the reason."""

    values: Mapping[str, float]
    missing: Mapping[str, str] = field(default_factory=dict)


class Host:
    """CPU, memory and this process's memory, by psutil."""

    def __init__(self) -> None:
        self._process = psutil.Process(os.getpid())
        psutil.cpu_percent(interval=None)  # opens the window of the first reading

    def facts(self) -> dict[str, Any]:
        """What does not change."""
        return {
            "name": platform.node(),
            "system": platform.platform(),
            "cpu_count": psutil.cpu_count(),
            "memory_total_bytes": psutil.virtual_memory().total,
        }

    def read(self) -> Reading:
        """Read once; takes well under a millisecond."""
        return Reading(
            {
                "host/cpu_utilization_percent": float(psutil.cpu_percent(interval=None)),
                "host/memory_used_bytes": float(psutil.virtual_memory().used),
                "host/process_memory_bytes": float(self._process.memory_info().rss),
            }
        )


class Gpus:
    """The GPUs that the NVIDIA driver shows, numbered as `nvidia-smi` does, by NVML."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._handles: dict[int, Any] = {}
        self._refused: dict[int, str] = {}
        self._is_open = False
        try:
            import pynvml
        except ImportError as error:
            self.reason = f"nvidia-ml-py is not installed ({error}): pip install nvidia-ml-py"
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._is_open = True
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self.reason = f"no NVIDIA driver answers (NVML: {error})"
            return
        for index in range(count):
            try:
                self._handles[index] = pynvml.nvmlDeviceGetHandleByIndex(index)
            except pynvml.NVMLError as error:
                self._refused[index] = str(error)  # one that fell off the bus hides none of the others
        if not count:
            self.reason = "the NVIDIA driver shows no GPU"

    def close(self) -> None:
        """Let go of the driver's library."""
        if self._is_open:
            self._is_open, self._handles = False, {}
            try:
                self._nvml.nvmlShutdown()
            except self._nvml.NVMLError:
                return  # the driver is already gone: there is nothing left to let go of

    def facts(self) -> dict[str, Any]:
        """What does not change, and why there is no GPU when there is none."""
        known = [{"index": index, **self._describe(handle)} for index, handle in self._handles.items()]
        refused = [
            {"index": index, "name": None, "uuid": None, "memory_total_bytes": None, "reason": reason}
            for index, reason in self._refused.items()
        ]
        return {"gpus": sorted(known + refused, key=lambda gpu: int(gpu["index"])), "reason": self.reason}

    def _describe(self, handle: Any) -> dict[str, Any]:
        nvml = self._nvml
        readers: dict[str, Callable[[Any], Any]] = {
            "name": lambda h: _text(nvml.nvmlDeviceGetName(h)),
            "uuid": lambda h: _text(nvml.nvmlDeviceGetUUID(h)),
            "memory_total_bytes": lambda h: int(nvml.nvmlDeviceGetMemoryInfo(h).total),
        }
        known: dict[str, Any] = {}
        for name, read in readers.items():
            try:
                known[name] = read(handle)
            except nvml.NVMLError as error:
                known[name], known[f"{name}_reason"] = None, str(error)
        return known

    def read(self) -> Reading:
        """Read every GPU once; a figure that the driver refuses is missing with the driver's words."""
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        for index, handle in self._handles.items():
            for names, read in self._readers():
                try:
                    found = read(handle)
                except self._nvml.NVMLError as error:
                    missing.update({f"gpu{index}/{name}": str(error) for name in names})
                else:
                    values.update({f"gpu{index}/{name}": value for name, value in zip(names, found, strict=True)})
        return Reading(values, missing)

    def _readers(self) -> tuple[tuple[tuple[str, ...], Callable[[Any], tuple[float, ...]]], ...]:
        nvml = self._nvml

        def utilization(handle: Any) -> tuple[float, float]:
            rates = nvml.nvmlDeviceGetUtilizationRates(handle)
            return float(rates.gpu), float(rates.memory)

        return (
            (("utilization_percent", "memory_utilization_percent"), utilization),
            (("memory_used_bytes",), lambda h: (float(nvml.nvmlDeviceGetMemoryInfo(h).used),)),
            (("power_watts",), lambda h: (nvml.nvmlDeviceGetPowerUsage(h) / 1000,)),
            (("temperature_celsius",), lambda h: (float(_temperature(nvml, h)),)),
            (("sm_clock_mhz",), lambda h: (float(nvml.nvmlDeviceGetClockInfo(h, nvml.NVML_CLOCK_SM)),)),
            (("memory_clock_mhz",), lambda h: (float(nvml.nvmlDeviceGetClockInfo(h, nvml.NVML_CLOCK_MEM)),)),
        )


def _temperature(nvml: Any, handle: Any) -> int:
    """Degrees Celsius: the versioned call, or on an older driver the one that CUDA 14 removes."""
    try:
        return int(nvml.nvmlDeviceGetTemperatureV(handle, nvml.NVML_TEMPERATURE_GPU))
    except (AttributeError, nvml.NVMLError):
        return int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
