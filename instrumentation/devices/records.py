"""What a run keeps of its devices: a row at each reading, and facts whenever what they say has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torchglass.instrumentation.buffer import Record, ScalarRow
from torchglass.instrumentation.devices.energy import StepEnergy
from torchglass.instrumentation.devices.gpus import Gpus
from torchglass.instrumentation.devices.host import Host
from torchglass.instrumentation.devices.quantities import as_fact, ordered, unit_of
from torchglass.instrumentation.devices.reading import Reading, merged
from torchglass.store import Fact

PROCESSES_SECONDS = 10.0  # the driver takes milliseconds to list them
ENERGY, STEP_ENERGY = "energy_joules", "energy_per_step_joules"


class DeviceRecords:
    """Turns readings of host and GPUs into records of one rank."""

    def __init__(
        self, rank: int, host: Host, gpus: Gpus, own_bytes: Callable[[int], int | None] = lambda number: None
    ) -> None:
        self._rank = rank
        self._host = host
        self._gpus = gpus
        self._own_bytes = own_bytes
        self._energy: dict[str, StepEnergy] = {}
        self._said: dict[str, Any] = {}
        self._since: dict[str, tuple[str, dict[str, float]]] = {}
        self._listed_at: float | None = None

    def opening(self, when: float) -> Iterator[Record]:
        """What is said once, at `when` seconds since the epoch."""
        yield Fact(self._rank, "devices/host", self._host.facts(), when)
        yield Fact(self._rank, "devices/quantities", as_fact(), when)
        if self._gpus.warning is not None:
            yield Fact(self._rank, "warnings/nvml", self._gpus.warning, when)

    def take(self, step: int, when: float) -> Iterator[Record]:
        """Read everything once, in training step `step`."""
        reading = merged([self._host.read(), self._gpus.read()])
        reading = merged([reading, self._step_energy(reading, step, when)])
        units = {key: unit_of(key) for key in reading.values}
        yield ScalarRow(step, when, ordered(reading.values), "device", units)
        yield from self._changed("devices/gpu", self._missing(reading, step, when), when)
        throttling = {key.split("/")[0]: said for key, said in reading.words.items() if key.endswith("/throttling")}
        if throttling:
            yield from self._changed("devices/throttling", throttling, when)
        if self._listed_at is None or when - self._listed_at >= PROCESSES_SECONDS:
            self._listed_at = when
            listed = self._gpus.processes(self._own_bytes)
            if listed:
                yield from self._changed("devices/processes", listed, when)

    def _changed(self, key: str, value: Any, when: float) -> Iterator[Record]:
        if self._said.get(key) != value:
            self._said[key] = value
            # What does not change is asked for only where something is to be said.
            told = {**self._gpus.facts(), **value} if key == "devices/gpu" else value
            yield Fact(self._rank, key, told, when)

    def _missing(self, reading: Reading, step: int, when: float) -> dict[str, Any]:
        """What is missing and why, since when, and what else is to be known of a figure."""
        began = {"step": step, "time": when}
        before, self._since = self._since, {}
        for key, reason in reading.missing.items():
            earlier = before.get(key)
            self._since[key] = earlier if earlier is not None and earlier[0] == reason else (reason, began)
        return {
            "missing": dict(reading.missing),
            "since": {key: since for key, (_, since) in self._since.items()},
            "notes": {key: said for key, said in reading.words.items() if not key.endswith("/throttling")},
        }

    def _step_energy(self, reading: Reading, step: int, when: float) -> Reading:
        values: dict[str, float] = {}
        for key, joules in reading.values.items():
            device, _, name = key.partition("/")
            if name == ENERGY:
                each = self._energy.setdefault(device, StepEnergy()).take(when, step, joules)
                if each is not None:
                    values[f"{device}/{STEP_ENERGY}"] = each
        return Reading(values, _renamed(reading.missing), _renamed(reading.words))


def _renamed(said: Mapping[str, str]) -> dict[str, str]:
    """What is said of the energy holds for that of a step too."""
    ends = {key: key.removesuffix(ENERGY) + STEP_ENERGY for key in said if key.endswith(f"/{ENERGY}")}
    return {new: said[key] for key, new in ends.items()}
