"""Device figures, read by the real bindings from a driver library that a text file scripts."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pynvml
import pytest
from training import HERE, Small, facts, recorded, wait_until

import torchglass
from torchglass.instrumentation import monitor as monitor_module
from torchglass.instrumentation.buffer import Record, ScalarRow
from torchglass.instrumentation.devices import UNITS, Gpus, Host
from torchglass.instrumentation.monitor import DeviceMonitor
from torchglass.store import Fact

Script = Callable[[str], None]

TWO_GPUS = """
driver.count 2
gpu0.utilization 37
gpu0.memory_utilization 12
gpu0.memory_total 150000000000
gpu0.memory_used 3000000001
gpu0.power 250500
gpu0.temperature_v 58
gpu0.sm_clock 1755
gpu0.memory_clock 2619
gpu1.utilization 0
gpu1.memory_utilization 0
gpu1.memory_total 1000
gpu1.memory_used 10
gpu1.power 1
gpu1.temperature_v 0
gpu1.sm_clock 1
gpu1.memory_clock 2
"""


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile the stub with some of its functions left out."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    folder = tmp_path_factory.mktemp("nvml")

    def compile_stub(*without: str) -> Path:
        if compiler is None:
            pytest.fail("no C compiler found: install one (Debian and Ubuntu: apt-get install gcc)")
        library = folder / "-".join(["libnvidia-ml", *without, "stub.so"])
        if not library.exists():
            flags = ["-shared", "-fPIC", "-Wall", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
            switches = [f"-DWITHOUT_{name}" for name in without]
            source = str(HERE / "stub_nvml.c")
            subprocess.run([compiler, *flags, *switches, source, "-o", str(library)], check=True)
        return library

    return compile_stub


@pytest.fixture
def fresh_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bindings as a new process has them, before and after."""
    for name, value in (("nvmlLib", None), ("_nvmlLib_refcount", 0), ("_nvmlGetFunctionPointer_cache", {})):
        assert hasattr(pynvml, name)
        monkeypatch.setattr(pynvml, name, value)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Say what the driver answers from now on."""
    path = tmp_path / "driver.txt"
    monkeypatch.setenv("TORCHGLASS_STUB_NVML", str(path))

    def write(text: str) -> None:
        path.write_text(text)

    return write


@pytest.fixture
def driver(build: Callable[..., Path], fresh_bindings: None, script: Script) -> Script:
    """The whole stub, loaded as the driver's library."""
    pynvml.nvmlLib = ctypes.CDLL(str(build()))
    return script


def test_every_figure_comes_in_the_unit_of_its_name(driver: Script) -> None:
    driver(TWO_GPUS)
    gpus = Gpus()
    reading = gpus.read()
    first = {key.removeprefix("gpu0/"): value for key, value in reading.values.items() if key.startswith("gpu0/")}
    assert first == {
        "utilization_percent": 37.0,
        "memory_utilization_percent": 12.0,
        "memory_used_bytes": 3_000_000_001.0,
        "power_watts": 250.5,
        "temperature_celsius": 58.0,
        "sm_clock_mhz": 1755.0,
        "memory_clock_mhz": 2619.0,
    }
    assert reading.values["gpu1/power_watts"] == 0.001
    assert reading.values["gpu1/utilization_percent"] == 0.0
    assert reading.missing == {}
    assert set(first) <= set(UNITS)
    gpus.close()


def test_the_gpus_are_described_with_what_does_not_change(driver: Script) -> None:
    driver(TWO_GPUS)
    gpus = Gpus()
    first = {"index": 0, "name": "Stub GPU 0", "uuid": "GPU-0000-0", "memory_total_bytes": 150_000_000_000}
    second = {"index": 1, "name": "Stub GPU 1", "uuid": "GPU-0000-1", "memory_total_bytes": 1000}
    assert gpus.facts() == {"gpus": [first, second], "reason": None}
    gpus.close()
    assert gpus.read().values == {}


def test_power_that_the_board_does_not_report_is_missing_in_the_drivers_words_and_not_zero(driver: Script) -> None:
    driver(TWO_GPUS + "gpu0.power.error 3\n")
    reading = Gpus().read()
    assert "gpu0/power_watts" not in reading.values
    assert reading.missing == {"gpu0/power_watts": "Not Supported"}
    assert reading.values["gpu1/power_watts"] == 0.001


def test_a_gpu_that_is_lost_in_the_middle_is_missing_and_the_other_goes_on(driver: Script) -> None:
    driver(TWO_GPUS)
    gpus = Gpus()
    assert gpus.read().missing == {}
    driver(TWO_GPUS + "gpu0.error 15\n")
    reading = gpus.read()
    assert set(reading.missing.values()) == {"GPU is lost"}
    assert len(reading.missing) == 7
    assert all(key.startswith("gpu1/") for key in reading.values)
    assert len(reading.values) == 7
    driver(TWO_GPUS)
    assert gpus.read().values["gpu0/utilization_percent"] == 37.0


def test_a_gpu_that_is_lost_from_the_start_hides_none_of_the_others(driver: Script) -> None:
    driver(TWO_GPUS + "gpu0.handle.error 15\n")
    gpus = Gpus()
    lost, healthy = gpus.facts()["gpus"]
    assert (lost["index"], lost["name"], lost["reason"]) == (0, None, "GPU is lost")
    assert (healthy["index"], healthy["name"]) == (1, "Stub GPU 1")
    assert {key.split("/")[0] for key in gpus.read().values} == {"gpu1"}


@pytest.mark.parametrize(
    ("text", "reason"), [("driver.init 9\n", "NVML: Driver Not Loaded"), ("driver.count 0\n", "shows no GPU")]
)
def test_without_a_gpu_there_is_a_reason(driver: Script, text: str, reason: str) -> None:
    driver(text)
    gpus = Gpus()
    assert reason in (gpus.reason or "")
    assert gpus.facts() == {"gpus": [], "reason": gpus.reason}
    assert (dict(gpus.read().values), dict(gpus.read().missing)) == ({}, {})
    gpus.close()


@pytest.mark.usefixtures("fresh_bindings")
def test_a_driver_library_without_a_function_lacks_that_figure_alone(
    build: Callable[..., Path], script: Script
) -> None:
    pynvml.nvmlLib = ctypes.CDLL(str(build("POWER")))
    script(TWO_GPUS)
    reading = Gpus().read()
    assert list(reading.missing) == ["gpu0/power_watts", "gpu1/power_watts"]
    assert "Function Not Found" in reading.missing["gpu0/power_watts"]
    assert len(reading.values) == 12


@pytest.mark.usefixtures("fresh_bindings")
def test_an_older_driver_is_asked_for_the_temperature_in_the_older_way(
    build: Callable[..., Path], script: Script
) -> None:
    pynvml.nvmlLib = ctypes.CDLL(str(build("TEMPERATURE_V")))
    script(TWO_GPUS + "gpu0.temperature 41\n")
    reading = Gpus().read()
    assert reading.values["gpu0/temperature_celsius"] == 41.0
    assert reading.missing == {"gpu1/temperature_celsius": "Not Supported"}


@pytest.mark.usefixtures("fresh_bindings")
def test_without_the_drivers_library_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "CDLL", no_library)
    assert Gpus().reason == "no NVIDIA driver answers (NVML: NVML Shared Library Not Found)"


def test_the_host_is_read_in_bytes_and_percent() -> None:
    host = Host()
    reading = host.read()
    assert 0 <= reading.values["host/cpu_utilization_percent"] <= 100
    assert 1e7 < reading.values["host/process_memory_bytes"] < psutil.virtual_memory().total
    assert 0 < reading.values["host/memory_used_bytes"] <= psutil.virtual_memory().total
    assert host.facts()["memory_total_bytes"] == psutil.virtual_memory().total
    assert (host.facts()["cpu_count"] or 0) >= 1


def test_the_monitor_stamps_readings_with_the_step_and_restates_what_is_missing_when_that_changes(
    driver: Script,
) -> None:
    driver(TWO_GPUS)
    records: list[Record] = []
    step = 5
    monitor = DeviceMonitor(records.append, 0, lambda: step, lambda: 123.0, interval_seconds=0.01)
    monitor.start()

    def stated() -> list[Any]:
        return [each.value for each in records if isinstance(each, Fact) and each.key == "devices/gpu"]

    wait_until(lambda: stated(), "the GPUs were described")
    step = 6
    driver(TWO_GPUS + "gpu1.power.error 3\n")
    wait_until(lambda: len(stated()) == 2, "the loss was stated")
    monitor.stop()
    assert [each["missing"] for each in stated()] == [{}, {"gpu1/power_watts": "Not Supported"}]
    rows = [each for each in records if isinstance(each, ScalarRow)]
    assert {row.step for row in rows} == {5, 6}
    assert all(row.kind == "device" and row.time == 123.0 for row in rows)
    assert rows[0].units is not None
    assert rows[0].units["gpu0/power_watts"] == "W"
    assert "gpu1/power_watts" not in rows[-1].values


def test_a_run_records_the_devices_beside_training(tmp_path: Path, driver: Script) -> None:
    driver(TWO_GPUS)
    path = tmp_path / "s.db"
    run = torchglass.attach(Small(), store=path)
    wait_until(lambda: recorded(path, "gpu0/power_watts"), "a reading arrived")
    run.finish()
    assert recorded(path, "gpu0/power_watts")[0] == 250.5
    assert [gpu["name"] for gpu in facts(path)["devices/gpu"]["gpus"]] == ["Stub GPU 0", "Stub GPU 1"]


def test_a_monitor_that_breaks_states_why_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Host:
        raise PermissionError("/proc is hidden")

    monkeypatch.setattr(monitor_module, "Host", broken)
    records: list[Record] = []
    monitor = DeviceMonitor(records.append, 0, lambda: 0, lambda: 1.0)
    monitor.start()
    wait_until(lambda: records, "the reason was stated")
    monitor.stop()
    reason = "device readings ended: PermissionError: /proc is hidden"
    assert records == [Fact(0, "warnings/devices", reason, 1.0)]
