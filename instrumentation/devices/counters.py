"""What a GPU counts since the driver was loaded, turned into rates, shares of time and joules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torchglass.instrumentation.devices.driver import Driver, RefusedError
from torchglass.instrumentation.devices.energy import Energy, IntegratedPower
from torchglass.instrumentation.devices.fields import Answer, read_fields
from torchglass.instrumentation.devices.rates import Rate
from torchglass.instrumentation.devices.reading import Reading

KIBIBYTE = 1024.0
PERCENT_PER_NANOSECOND = 100 / 1e9  # of a second
APPROXIMATE = "approximate: this board counts no energy, so it is power, read once a second, times time"

# Key -> the field that counts it, and what to multiply its rate by.
RATES: Mapping[str, tuple[str, float]] = {
    "pcie_received_bytes_per_second": ("pcie_received_bytes", 1.0),
    "pcie_sent_bytes_per_second": ("pcie_sent_bytes", 1.0),
    "nvlink_received_bytes_per_second": ("nvlink_received_kibibytes", KIBIBYTE),
    "nvlink_sent_bytes_per_second": ("nvlink_sent_kibibytes", KIBIBYTE),
    "power_violation_percent": ("power_violation_nanoseconds", PERCENT_PER_NANOSECOND),
    "thermal_violation_percent": ("thermal_violation_nanoseconds", PERCENT_PER_NANOSECOND),
}


class Counters:
    """The counters of one GPU."""

    def __init__(self, driver: Driver, clock: Callable[[], float]) -> None:
        self._driver = driver
        self._clock = clock
        self._rates = {key: Rate() for key in RATES}
        self._energy = Energy()
        self._integrated = IntegratedPower()
        self._counts_energy = False

    def read(self, handle: Any, watts: float | None) -> Reading:
        """Read them all; `watts`, the power of the moment, stands in for an energy counter that is not there.

        Raises:
            RefusedError: the device is gone.
        """
        fields = read_fields(self._driver, handle)
        when = self._clock()
        self._ask_as_before(handle, fields)
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        words: dict[str, str] = {}
        for key, (field, factor) in RATES.items():
            count = fields[field]
            if isinstance(count, RefusedError):
                missing[key] = str(count)
            elif (rate := self._rates[key].take(when, count)) is not None:
                values[key] = min(rate * factor, 100.0) if key.endswith("_percent") else rate * factor
        _keep(fields["memory_temperature"], "memory_temperature_celsius", values, missing)
        joules = self._joules(fields["energy_millijoules"], when, watts)
        _keep(joules, "energy_joules", values, missing)
        if isinstance(fields["energy_millijoules"], RefusedError) and not isinstance(joules, RefusedError):
            words["energy_joules"] = f"{APPROXIMATE} ({fields['energy_millijoules']})"
        return Reading(values, missing, words)

    def _joules(self, millijoules: Answer, when: float, watts: float | None) -> Answer:
        if not isinstance(millijoules, RefusedError):
            self._counts_energy = True
            return self._energy.take(millijoules)
        if self._counts_energy or watts is None:  # a counter that fails once goes on from where it was
            return millijoules
        return self._integrated.take(when, watts)

    def _ask_as_before(self, handle: Any, fields: dict[str, Answer]) -> None:
        """Where a driver has no such field, ask by the call that it replaces (and that CUDA 14 takes away)."""
        older: Mapping[str, Callable[[], float]] = {
            "energy_millijoules": lambda: float(self._driver.ask("nvmlDeviceGetTotalEnergyConsumption", handle)),
            "power_violation_nanoseconds": lambda: self._violation(handle, "NVML_PERF_POLICY_POWER"),
            "thermal_violation_nanoseconds": lambda: self._violation(handle, "NVML_PERF_POLICY_THERMAL"),
        }
        for field, ask in older.items():
            if isinstance(fields[field], RefusedError):
                try:
                    fields[field] = ask()
                except RefusedError as refusal:
                    if refusal.is_gone:
                        raise

    def _violation(self, handle: Any, policy: str) -> float:
        status = self._driver.ask("nvmlDeviceGetViolationStatus", handle, self._driver.constant(policy))
        return float(status.violationTime)


def _keep(answer: Answer, key: str, values: dict[str, float], missing: dict[str, str]) -> None:
    if isinstance(answer, RefusedError):
        missing[key] = str(answer)
    else:
        values[key] = answer
