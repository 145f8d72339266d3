"""What each figure is: its unit, the call that gives it, the time it speaks about, and the command that prints it.

Windows are those of NVIDIA's NVML reference; `dmon` names the column of `nvidia-smi dmon -s pucvmet`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torchglass.instrumentation.devices.throttling import PREFIX, REASONS

NOW = "the moment of the reading"
BETWEEN = "since the reading before, which in a run is 1 s ago"
SAMPLED = "the driver's last sampling period, 1/6 s to 1 s by product"
EVER = "since the board was made, or its counters were cleared"
AVERAGED = "the last second on Ampere and later but GA100, the moment before"
GPM = "nvmlGpmMetricsGet of two nvmlGpmSampleGet, metric {}"
FIELD = "nvmlDeviceGetFieldValues, {}"
LINKS = "nvidia-smi nvlink -gt d"
PRINTED = "nvidia-smi dmon -s {}"
QUERIED = "nvidia-smi --query-gpu={} --format=csv"
PSUTIL = "psutil.{}"


@dataclass(frozen=True)
class Quantity:
    """Unit of a figure, its source and window, the command that prints it too ("" where none does), dmon's column."""

    unit: str
    source: str
    window: str
    command: str = ""
    dmon: str = ""


GPU: Mapping[str, Quantity] = {
    "utilization_percent": Quantity("%", "nvmlDeviceGetUtilizationRates, gpu", SAMPLED, PRINTED.format("u"), "sm"),
    "memory_used_bytes": Quantity("B", "nvmlDeviceGetMemoryInfo_v2, used", NOW, PRINTED.format("m"), "fb"),
    "power_watts": Quantity("W", "nvmlDeviceGetPowerUsage", AVERAGED, PRINTED.format("p"), "pwr"),
    "temperature_celsius": Quantity("°C", "nvmlDeviceGetTemperatureV", NOW, PRINTED.format("p"), "gtemp"),
    "sm_clock_mhz": Quantity("MHz", "nvmlDeviceGetClockInfo, SM", NOW, PRINTED.format("c"), "pclk"),
    "sm_activity_percent": Quantity("%", GPM.format(2), BETWEEN, "nvidia-smi dmon --gpm-metrics=2"),
    "tensor_activity_percent": Quantity("%", GPM.format(5), BETWEEN, "nvidia-smi dmon --gpm-metrics=5"),
    "dram_bandwidth_percent": Quantity("%", GPM.format(10), BETWEEN, "nvidia-smi dmon --gpm-metrics=10"),
    "sm_occupancy_percent": Quantity("%", GPM.format(3), BETWEEN, "nvidia-smi dmon --gpm-metrics=3"),
    "energy_per_step_joules": Quantity("J", "energy counter over training steps", "at least 1 s and 10 steps"),
    "memory_utilization_percent": Quantity(
        "%",
        "nvmlDeviceGetUtilizationRates, memory: time in which it was read or written",
        SAMPLED,
        PRINTED.format("u"),
        "mem",
    ),
    "pcie_received_bytes_per_second": Quantity(
        "B/s", FIELD.format("PCIE_COUNT_RX_BYTES (or GPM metric 21)"), BETWEEN, PRINTED.format("t"), "rxpci"
    ),
    "pcie_sent_bytes_per_second": Quantity(
        "B/s", FIELD.format("PCIE_COUNT_TX_BYTES (or GPM metric 20)"), BETWEEN, PRINTED.format("t"), "txpci"
    ),
    "nvlink_received_bytes_per_second": Quantity(
        "B/s",
        FIELD.format("NVLINK_THROUGHPUT_DATA_RX, all links (or GPM metric 60)"),
        BETWEEN,
        LINKS,
    ),
    "nvlink_sent_bytes_per_second": Quantity(
        "B/s",
        FIELD.format("NVLINK_THROUGHPUT_DATA_TX, all links (or GPM metric 61)"),
        BETWEEN,
        LINKS,
    ),
    "memory_temperature_celsius": Quantity("°C", FIELD.format("MEMORY_TEMP"), NOW, PRINTED.format("p"), "mtemp"),
    "memory_clock_mhz": Quantity("MHz", "nvmlDeviceGetClockInfo, MEM", NOW, PRINTED.format("c"), "mclk"),
    "energy_joules": Quantity(
        "J", FIELD.format("TOTAL_ENERGY_CONSUMPTION less its first reading"), "since this run began to read it"
    ),
    "power_violation_percent": Quantity(
        "%", FIELD.format("PERF_POLICY_POWER (or nvmlDeviceGetViolationStatus)"), BETWEEN, PRINTED.format("v"), "pviol"
    ),
    "thermal_violation_percent": Quantity(
        "%",
        FIELD.format("PERF_POLICY_THERMAL (or nvmlDeviceGetViolationStatus)"),
        BETWEEN,
        PRINTED.format("v") + ", which prints whether it is over 0",
        "tviol",
    ),
    "encoder_percent": Quantity("%", "nvmlDeviceGetEncoderUtilization", SAMPLED, PRINTED.format("u"), "enc"),
    "decoder_percent": Quantity("%", "nvmlDeviceGetDecoderUtilization", SAMPLED, PRINTED.format("u"), "dec"),
    "jpeg_percent": Quantity("%", "nvmlDeviceGetJpgUtilization", SAMPLED, PRINTED.format("u"), "jpg"),
    "optical_flow_percent": Quantity("%", "nvmlDeviceGetOfaUtilization", SAMPLED, PRINTED.format("u"), "ofa"),
    "memory_reserved_bytes": Quantity(
        "B", "nvmlDeviceGetMemoryInfo_v2, reserved", NOW, QUERIED.format("memory.reserved")
    ),
    "bar1_used_bytes": Quantity("B", "nvmlDeviceGetBAR1MemoryInfo", NOW, PRINTED.format("m"), "bar1"),
    "protected_memory_used_bytes": Quantity(
        "B", "nvmlDeviceGetConfComputeProtectedMemoryUsage", NOW, PRINTED.format("m"), "ccpm"
    ),
    "single_bit_errors": Quantity(
        "", "nvmlDeviceGetTotalEccErrors, corrected, aggregate", EVER, PRINTED.format("e"), "sbecc"
    ),
    "double_bit_errors": Quantity(
        "", "nvmlDeviceGetTotalEccErrors, uncorrected, aggregate", EVER, PRINTED.format("e"), "dbecc"
    ),
    "pcie_replays": Quantity(
        "", "nvmlDeviceGetPcieReplayCounter", "since the driver was loaded", PRINTED.format("e"), "pci"
    ),
    **{
        PREFIX + reason.key: Quantity(
            "", f"nvmlDeviceGetCurrentClocksEventReasons, bit {reason.bit:#x}", NOW, "nvidia-smi -q -d PERFORMANCE"
        )
        for reason in REASONS
    },
}

HOST: Mapping[str, Quantity] = {
    "cpu_utilization_percent": Quantity("%", PSUTIL.format("cpu_times(percpu=True), mean of all cores"), BETWEEN),
    "memory_used_bytes": Quantity("B", PSUTIL.format("virtual_memory().used"), NOW),
    "process_memory_bytes": Quantity("B", PSUTIL.format("Process().memory_info().rss"), NOW),
    "busiest_core_percent": Quantity("%", PSUTIL.format("cpu_times(percpu=True), the busiest core"), BETWEEN),
    "io_wait_percent": Quantity("%", PSUTIL.format("cpu_times(percpu=True).iowait, mean of all cores"), BETWEEN),
    "disk_read_bytes_per_second": Quantity("B/s", PSUTIL.format("disk_io_counters(), all disks"), BETWEEN),
    "disk_written_bytes_per_second": Quantity("B/s", PSUTIL.format("disk_io_counters(), all disks"), BETWEEN),
    "network_received_bytes_per_second": Quantity(
        "B/s", PSUTIL.format("net_io_counters(), all cards but the loopback"), BETWEEN
    ),
    "network_sent_bytes_per_second": Quantity(
        "B/s", PSUTIL.format("net_io_counters(), all cards but the loopback"), BETWEEN
    ),
    "memory_available_bytes": Quantity("B", PSUTIL.format("virtual_memory().available"), NOW),
    "swap_used_bytes": Quantity("B", PSUTIL.format("swap_memory().used"), NOW),
    "core*_percent": Quantity("%", PSUTIL.format("cpu_times(percpu=True), one core"), BETWEEN),
}
_CORE = re.compile(r"core\d+_percent")


def quantity_of(key: str) -> Quantity:
    """What a reading's key ("gpu0/power_watts", "host/core3_percent") measures.

    Raises:
        KeyError: no device has such a figure.
    """
    device, _, name = key.partition("/")
    return HOST[_CORE.sub("core*_percent", name)] if device == "host" else GPU[name]


def unit_of(key: str) -> str:
    """The unit of a reading's key."""
    return quantity_of(key).unit


def ordered(values: Mapping[str, float]) -> dict[str, float]:
    """Readings with what is asked for most often first: pages show charts in the order in which series came."""
    return dict(sorted(values.items(), key=lambda item: _place(item[0])))


def as_fact() -> dict[str, Any]:
    """The table for a store: a page, which has no part in training, reads it there."""
    return {
        kind: {name: asdict(quantity) for name, quantity in table.items()}
        for kind, table in (("gpu", GPU), ("host", HOST))
    }


def _place(key: str) -> tuple[int, str, int]:
    device, _, name = key.partition("/")
    is_host = device == "host"
    place = _HOST_PLACES[_CORE.sub("core*_percent", name)] if is_host else _GPU_PLACES[name]
    core = int(name.removeprefix("core").removesuffix("_percent")) if _CORE.fullmatch(name) else 0
    return place, device, core


_GPU_PLACES = {name: place for place, name in enumerate(GPU)}
_HOST_PLACES = {name: place for place, name in enumerate(HOST)} | {"core*_percent": len(GPU)}  # many: after all else
