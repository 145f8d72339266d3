"""NVML's numbered fields: many figures in one call, each with a return code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchglass.instrumentation.devices.driver import Driver, RefusedError

ALL_LINKS = 0xFFFFFFFF  # in place of a link's number: the sum over all NVLinks
# Names of the bindings' constants; a scope goes with those that ask for one.
FIELDS: Mapping[str, tuple[str, int]] = {
    "memory_temperature": ("NVML_FI_DEV_MEMORY_TEMP", 0),
    "energy_millijoules": ("NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 0),
    "pcie_sent_bytes": ("NVML_FI_DEV_PCIE_COUNT_TX_BYTES", 0),
    "pcie_received_bytes": ("NVML_FI_DEV_PCIE_COUNT_RX_BYTES", 0),
    "nvlink_sent_kibibytes": ("NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX", ALL_LINKS),
    "nvlink_received_kibibytes": ("NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX", ALL_LINKS),
    "power_violation_nanoseconds": ("NVML_FI_DEV_PERF_POLICY_POWER", 0),
    "thermal_violation_nanoseconds": ("NVML_FI_DEV_PERF_POLICY_THERMAL", 0),
}
# Wide enough not to wrap between two readings; a 32-bit count of bytes wraps several times a second at full speed.
BYTE_COUNTERS = ("pcie_sent_bytes", "pcie_received_bytes")
NARROW_TYPES = (1, 5, 6)  # unsigned int, int, unsigned short
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # of the union, by value type

Answer = float | RefusedError


def read_fields(driver: Driver, handle: Any) -> dict[str, Answer]:
    """Every field's value, or why there is none.

    Raises:
        RefusedError: the device is gone.
    """
    found: dict[str, Answer] = {}
    asked: dict[str, tuple[int, int]] = {}
    for name, (constant, scope) in FIELDS.items():
        try:
            asked[name] = (driver.constant(constant), scope)
        except RefusedError as refusal:
            found[name] = refusal
    try:
        answers = driver.ask("nvmlDeviceGetFieldValues", handle, list(asked.values()))
    except RefusedError as refusal:
        if refusal.is_gone:
            raise
        return found | dict.fromkeys(asked, refusal)
    return found | {name: _value(driver, name, answer) for name, answer in zip(asked, answers, strict=True)}


def _value(driver: Driver, name: str, answer: Any) -> Answer:
    if answer.nvmlReturn:
        refusal = RefusedError(driver.words_of(answer.nvmlReturn), answer.nvmlReturn)
        if refusal.is_gone:
            raise refusal
        return refusal
    if name in BYTE_COUNTERS and answer.valueType in NARROW_TYPES:
        return RefusedError("the driver counts these bytes in 32 bits, which wrap within a second", 0)
    if not 0 <= answer.valueType < len(_MEMBERS):
        return RefusedError(f"the driver returned a number of an unknown type ({answer.valueType})", 0)
    return float(getattr(answer.value, _MEMBERS[answer.valueType]))
