"""One GPU: every figure of `nvidia-smi dmon -s pucvmet`, why its clocks are low, its energy, links and activity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torchglass.instrumentation.devices.counters import Counters
from torchglass.instrumentation.devices.driver import Driver, RefusedError, text
from torchglass.instrumentation.devices.gpm import Gpm
from torchglass.instrumentation.devices.memory import detailed_memory, memory_of
from torchglass.instrumentation.devices.mig import NO_UTILIZATION, UTILIZATION, Divided, is_divided
from torchglass.instrumentation.devices.reading import Reading, merged
from torchglass.instrumentation.devices.throttling import PREFIX as THROTTLE
from torchglass.instrumentation.devices.throttling import REASONS, reason_values, reason_words

Ask = Callable[[], Sequence[float]]
Question = tuple[tuple[str, ...], Ask]
ENGINES = {"encoder": "Encoder", "decoder": "Decoder", "jpeg": "Jpg", "optical_flow": "Ofa"}


class Gpu:
    """A GPU by its number in nvidia-smi, its handle, and a clock in seconds that rates are taken by."""

    def __init__(self, driver: Driver, index: int, handle: Any, clock: Callable[[], float]) -> None:
        self.index = index
        self.device = f"gpu{index}"
        self.handle = handle
        self.driver = driver
        self._clock = clock
        self._counters = Counters(driver, clock)
        self._listen()
        self._questions = (*self._activity(), *self._state())
        self.name = self._text("nvmlDeviceGetName")
        self.uuid = self._text("nvmlDeviceGetUUID")

    def reopened(self, handle: Any) -> None:
        """Go on with a new handle after the library was shut and opened again; counts go on where they were."""
        self.handle = handle
        self._listen()

    def _listen(self) -> None:
        """Take GPM's samples and find the instances, all of which end with the library that gave them."""
        driver, handle = self.driver, self.handle
        self._gpm = Gpm(driver, handle, lambda sample: driver.ask("nvmlGpmSampleGet", handle, sample), self._clock)
        self._divided = Divided(driver, handle, self._clock)

    @property
    def instances(self) -> list[tuple[str, str]]:
        """Our names of its MIG devices, and their UUIDs."""
        return [(f"{self.device}-mig{instance.place}", instance.uuid) for instance in self._divided.instances]

    def facts(self) -> dict[str, Any]:
        """What does not change; what the driver refuses is None, with its words beside."""
        known: dict[str, Any] = {"index": self.index, "name": self.name or None, "uuid": self.uuid or None}
        for key, ask in (
            ("memory_total_bytes", lambda: int(memory_of(self.driver, self.handle).total)),
            ("power_limit_watts", lambda: self._ask("nvmlDeviceGetEnforcedPowerLimit") / 1e3),
            ("mig", lambda: is_divided(self.driver, self.handle)),
        ):
            try:
                known[key] = ask()
            except RefusedError as refusal:
                known[key], known[f"{key}_reason"] = None, str(refusal)
        if self._divided.instances:
            known["instances"] = [{"device": device, "uuid": uuid} for device, uuid in self.instances]
        return known

    def read(self) -> Reading:
        """Read everything once.

        Raises:
            RefusedError: the GPU is gone.
        """
        divided = is_divided(self.driver, self.handle)
        told = merged(self._answered(*question) for question in self._questions)
        counted = self._counters.read(self.handle, told.values.get("power_watts"))
        reading = merged([self._gpm.read(), told, counted, self._throttling()])
        if divided:
            reading = _without_utilization(reading)
        return merged([reading.of(self.device), self._divided.read(self.device)])

    def close(self) -> None:
        """Give back what reading took."""
        self._gpm.close()
        self._divided.close()

    def _answered(self, keys: tuple[str, ...], ask: Ask) -> Reading:
        try:
            return Reading(dict(zip(keys, ask(), strict=True)))
        except RefusedError as refusal:
            if refusal.is_gone:
                raise
            return Reading({}, dict.fromkeys(keys, str(refusal)))

    def _throttling(self) -> Reading:
        names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        try:
            bits = int(self.driver.ask_first(*((name, self.handle) for name in names)))
        except RefusedError as refusal:
            if refusal.is_gone:
                raise
            return Reading({}, {THROTTLE + reason.key: str(refusal) for reason in REASONS})
        return Reading(reason_values(bits), {}, {"throttling": reason_words(bits)})

    def _activity(self) -> tuple[Question, ...]:
        def utilization() -> Sequence[float]:
            rates = self._ask("nvmlDeviceGetUtilizationRates")
            return float(rates.gpu), float(rates.memory)

        def engine(name: str) -> Ask:
            return lambda: (float(self._ask(f"nvmlDeviceGet{name}Utilization")[0]),)

        engines = (((f"{key}_percent",), engine(name)) for key, name in ENGINES.items())
        return ((("utilization_percent", "memory_utilization_percent"), utilization), *engines)

    def _state(self) -> tuple[Question, ...]:
        def clock(kind: str) -> Ask:
            return lambda: (float(self._ask("nvmlDeviceGetClockInfo", self._constant(f"NVML_CLOCK_{kind}"))),)

        def errors(kind: str) -> Ask:
            names = (f"NVML_MEMORY_ERROR_TYPE_{kind}", "NVML_AGGREGATE_ECC")
            return lambda: (float(self._ask("nvmlDeviceGetTotalEccErrors", *map(self._constant, names))),)

        return (
            (("memory_used_bytes",), lambda: (float(memory_of(self.driver, self.handle).used),)),
            (("memory_reserved_bytes",), lambda: (float(detailed_memory(self.driver, self.handle).reserved),)),
            (("power_watts",), lambda: (self._ask("nvmlDeviceGetPowerUsage") / 1e3,)),
            (("temperature_celsius",), lambda: (float(self._temperature()),)),
            (("sm_clock_mhz",), clock("SM")),
            (("memory_clock_mhz",), clock("MEM")),
            (("bar1_used_bytes",), lambda: (float(self._ask("nvmlDeviceGetBAR1MemoryInfo").bar1Used),)),
            (("protected_memory_used_bytes",), lambda: (float(self._protected_memory().used),)),
            (("single_bit_errors",), errors("CORRECTED")),
            (("double_bit_errors",), errors("UNCORRECTED")),
            (("pcie_replays",), lambda: (float(self._ask("nvmlDeviceGetPcieReplayCounter")),)),
        )

    def _protected_memory(self) -> Any:
        return self._ask("nvmlDeviceGetConfComputeProtectedMemoryUsage")

    def _temperature(self) -> int:
        sensor = self._constant("NVML_TEMPERATURE_GPU")
        asks = [(f"nvmlDeviceGetTemperature{version}", self.handle, sensor) for version in ("V", "")]
        return int(self.driver.ask_first(*asks))

    def _ask(self, function: str, *arguments: Any) -> Any:
        return self.driver.ask(function, self.handle, *arguments)

    def _constant(self, name: str) -> Any:
        return self.driver.constant(name)

    def _text(self, function: str) -> str:
        try:
            return text(self._ask(function))
        except RefusedError:
            return ""


def _without_utilization(reading: Reading) -> Reading:
    """The reading of a divided GPU: what the driver calls its utilisation, often 0, is none."""
    values = {key: value for key, value in reading.values.items() if key not in UTILIZATION}
    return Reading(values, {**reading.missing, **dict.fromkeys(UTILIZATION, NO_UTILIZATION)}, reading.words)
