"""What a run keeps of its devices, and that it goes on whatever becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from nvml_stub import driver as driver_with
from nvml_stub import gpu
from training import Small, facts, recorded, wait_until

import torchglass
from torchglass.instrumentation import monitor as monitor_module
from torchglass.instrumentation.buffer import Record, ScalarRow
from torchglass.instrumentation.devices import Gpus, Host
from torchglass.instrumentation.devices.records import DeviceRecords
from torchglass.instrumentation.monitor import DeviceMonitor, held_by_torch
from torchglass.store import Fact

Script = Callable[[str], None]


class Recording:
    """A recorder of devices at times that a test chooses, one second apart."""

    def __init__(self, held: int | None = None) -> None:
        self.now = 1000.0
        self.gpus = Gpus(clock=lambda: self.now)
        self.records = DeviceRecords(0, Host(lambda: self.now), self.gpus, lambda number: held)
        self.taken: list[Record] = []

    def take(self, step: int, after: float = 1.0) -> dict[str, float]:
        """Read at a step; the values."""
        self.now += after
        self.taken = list(self.records.take(step, self.now))
        (row,) = (each for each in self.taken if isinstance(each, ScalarRow))
        return dict(row.values)

    def said(self, key: str) -> Any:
        """What the last reading stated under a key, None where it stated nothing."""
        return next((each.value for each in self.taken if isinstance(each, Fact) and each.key == key), None)


@pytest.fixture
def recording(driver: Script) -> Iterator[Recording]:
    """Two healthy GPUs."""
    driver(driver_with(gpu(0), gpu(1)))
    begun = Recording(held=500)
    yield begun
    begun.gpus.close()


def test_what_is_missing_is_stated_when_it_changes_with_since_when(recording: Recording, driver: Script) -> None:
    recording.take(3)
    assert set(recording.said("devices/gpu")["missing"]) >= {"gpu0/sm_activity_percent"}
    recording.take(4)
    assert recording.said("devices/gpu") is None
    driver("gpu0.error 15\n" + driver_with(gpu(0), gpu(1)))
    values = recording.take(5)
    stated = recording.said("devices/gpu")
    assert (stated["missing"]["gpu0"], stated["since"]["gpu0"]) == ("GPU is lost", {"step": 5, "time": 1003.0})
    assert stated["since"]["gpu1/sm_activity_percent"] == {"step": 3, "time": 1001.0}
    assert "gpu1/power_watts" in values
    assert "host/memory_used_bytes" in values
    recording.take(9)
    assert recording.said("devices/gpu") is None  # since is when it began, not now
    driver(driver_with(gpu(0), gpu(1)))
    recording.take(10)
    assert "gpu0" not in recording.said("devices/gpu")["missing"]


def test_throttling_is_stated_in_words_when_it_changes(recording: Recording, driver: Script) -> None:
    recording.take(1)
    assert recording.said("devices/throttling") == {"gpu0": "none", "gpu1": "none"}
    driver(driver_with(gpu(0), gpu(1, reasons=0x8)))
    values = recording.take(2)
    assert recording.said("devices/throttling") == {"gpu0": "none", "gpu1": "hardware slowdown"}
    assert (values["gpu1/throttle_hardware_slowdown"], values["gpu0/throttle_hardware_slowdown"]) == (1.0, 0.0)
    recording.take(3)
    assert recording.said("devices/throttling") is None


def test_energy_of_a_step_joins_the_counter_with_the_steps(recording: Recording, driver: Script) -> None:
    recording.take(100)
    assert "gpu0/energy_per_step_joules" not in recording.take(105)
    driver(driver_with(gpu(0, field83=1_600_000), gpu(1)))
    values = recording.take(130)
    assert values["gpu0/energy_per_step_joules"] == 20.0  # 600 J over 30 steps
    assert values["gpu1/energy_per_step_joules"] == 0.0
    driver(driver_with(gpu(0, without="field83 power"), gpu(1)))
    recording.take(140)
    assert recording.said("devices/gpu")["missing"]["gpu0/energy_per_step_joules"] == "Not Supported"


def test_processes_are_listed_every_ten_seconds(recording: Recording, driver: Script) -> None:
    recording.take(1)
    assert recording.said("devices/processes")["gpu0"]["processes"][0]["pid"] == os.getpid()
    driver(driver_with(gpu(0, processes=1) + "gpu0.process0.pid 4000001\n", gpu(1)))
    recording.take(2, after=9.0)
    assert recording.said("devices/processes") is None
    recording.take(3)
    assert len(recording.said("devices/processes")["gpu0"]["processes"]) == 2


def test_the_table_of_units_windows_and_sources_goes_along(recording: Recording) -> None:
    opening = {record.key: record.value for record in recording.records.opening(1.0) if isinstance(record, Fact)}
    values = recording.take(1)
    assert opening["devices/quantities"]["gpu"]["power_watts"]["dmon"] == "pwr"
    assert opening["devices/quantities"]["host"]["core*_percent"]["unit"] == "%"
    assert opening["devices/host"]["cpu_count"] == psutil.cpu_count()
    (row,) = (each for each in recording.taken if isinstance(each, ScalarRow))
    assert row.units is not None
    assert row.kind == "device"
    assert set(row.units) == set(values)
    assert row.units["gpu0/power_watts"] == "W"


def test_the_monitor_stamps_readings_with_the_step_of_training(driver: Script) -> None:
    driver(driver_with(gpu(0), gpu(1)))
    records: list[Record] = []
    step = 5
    monitor = DeviceMonitor(records.append, 0, lambda: step, lambda: 123.0, interval_seconds=0.01)
    monitor.start()
    wait_until(lambda: any(isinstance(each, ScalarRow) for each in records), "a reading was taken")
    step = 6
    seen = len(records)
    wait_until(lambda: len(records) > seen + 1, "another was")
    monitor.stop()
    rows = [each for each in records if isinstance(each, ScalarRow)]
    assert {row.step for row in rows} == {5, 6}
    assert all(row.kind == "device" and row.time == 123.0 for row in rows)
    assert "gpu1/power_watts" in rows[-1].values


def test_a_run_records_the_devices_beside_training(tmp_path: Path, driver: Script) -> None:
    driver(driver_with(gpu(0), gpu(1)))
    path = tmp_path / "s.db"
    run = torchglass.attach(Small(), store=path)
    wait_until(lambda: recorded(path, "gpu0/power_watts"), "a reading arrived")
    run.finish()
    assert recorded(path, "gpu0/power_watts")[0] == 250.5
    assert [each["cuda"] for each in facts(path)["devices/gpu"]["gpus"]] == ["cuda:0", "cuda:1"]


def test_a_monitor_that_breaks_states_why_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**options: Any) -> Host:
        raise PermissionError("/proc is hidden")

    monkeypatch.setattr(monitor_module, "Host", broken)
    records: list[Record] = []
    monitor = DeviceMonitor(records.append, 0, lambda: 0, lambda: 1.0)
    monitor.start()
    wait_until(lambda: records, "the reason was stated")
    monitor.stop()
    reason = "device readings ended: PermissionError: /proc is hidden"
    assert records == [Fact(0, "warnings/devices", reason, 1.0)]


def test_a_driver_that_does_not_return_is_named_in_the_run_and_holds_up_nobody_for_long(
    driver: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "PATIENCE_SECONDS", 0.05)
    driver(driver_with(gpu(0)) + "gpu0.power.hang 1\n")
    records: list[Record] = []
    monitor = DeviceMonitor(records.append, 0, lambda: 0, lambda: 1.0)
    monitor.start()
    wait_until(lambda: records, "the thread began")
    monitor.stop()
    said = [each for each in records if isinstance(each, Fact) and each.key == "warnings/devices"]
    assert said == [Fact(0, "warnings/devices", said[0].value, 1.0)]
    assert "did not return" in said[0].value
    driver(driver_with(gpu(0)))
    wait_until(lambda: any(isinstance(each, ScalarRow) for each in records), "the call returned at last")


def test_torch_is_asked_what_it_holds_only_where_it_holds_something() -> None:
    assert held_by_torch(0) is None
