"""Figures of GPUs, read by the real bindings from a driver library that a text file scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pynvml
import pytest
from nvml_stub import driver as driver_with
from nvml_stub import gpu

from torchglass.instrumentation.devices import Gpus, Reading, unit_of
from torchglass.instrumentation.devices import driver as driver_module
from torchglass.instrumentation.devices.driver import shadowed_bindings
from torchglass.instrumentation.devices.quantities import GPU, HOST, ordered, quantity_of
from torchglass.instrumentation.devices.sharing import Share, share_of
from torchglass.instrumentation.devices.throttling import REASONS, reason_words

Script = Callable[[str], None]

# All columns of `nvidia-smi dmon -s pucvmet` but the GPU's number.
DMON = {
    "pwr",
    "gtemp",
    "mtemp",
    "sm",
    "mem",
    "enc",
    "dec",
    "jpg",
    "ofa",
    "mclk",
    "pclk",
    "pviol",
    "tviol",
    "fb",
    "bar1",
}
DMON |= {"ccpm", "sbecc", "dbecc", "pci", "rxpci", "txpci"}
TWO_GPUS = driver_with(gpu(0), gpu(1, utilization=0, memory_utilization=0, power=1, temperature_v=0))


def of_gpu(reading: Reading, index: int = 0) -> dict[str, float]:
    """Values of one GPU by their names."""
    start = f"gpu{index}/"
    return {key.removeprefix(start): value for key, value in reading.values.items() if key.startswith(start)}


def test_every_figure_comes_in_the_unit_of_its_name(driver: Script) -> None:
    driver(TWO_GPUS)
    gpus = Gpus()
    reading = gpus.read()
    found = {name: value for name, value in of_gpu(reading).items() if not name.startswith("throttle_")}
    assert found == {
        "utilization_percent": 37.0,
        "memory_utilization_percent": 12.0,
        "encoder_percent": 21.0,
        "decoder_percent": 22.0,
        "jpeg_percent": 23.0,
        "optical_flow_percent": 24.0,
        "memory_used_bytes": 3_000_000_001.0,
        "memory_reserved_bytes": 700_000_000.0,
        "bar1_used_bytes": 4_194_304.0,
        "protected_memory_used_bytes": 65_536.0,
        "power_watts": 250.5,
        "temperature_celsius": 58.0,
        "memory_temperature_celsius": 64.0,
        "sm_clock_mhz": 1755.0,
        "memory_clock_mhz": 2619.0,
        "single_bit_errors": 5.0,
        "double_bit_errors": 6.0,
        "pcie_replays": 7.0,
        "energy_joules": 0.0,
    }
    assert reading.values["gpu1/power_watts"] == 0.001
    assert reading.values["gpu1/utilization_percent"] == 0.0
    activity = {"sm_activity", "sm_occupancy", "tensor_activity", "dram_bandwidth"}
    assert set(reading.missing) == {f"gpu{index}/{name}_percent" for index in (0, 1) for name in activity}
    assert "Hopper" in reading.missing["gpu0/sm_activity_percent"]
    gpus.close()


def test_every_column_of_dmon_has_its_figure_and_every_figure_its_source_and_window() -> None:
    assert {quantity.dmon for quantity in GPU.values() if quantity.dmon} == DMON
    for quantity in (*GPU.values(), *HOST.values()):
        assert quantity.source
        assert quantity.window
        assert not quantity.dmon or "nvidia-smi dmon -s" in quantity.command
    assert (unit_of("host/core12_percent"), unit_of("gpu3/power_watts"), unit_of("gpu0-mig1/memory_used_bytes")) == (
        "%",
        "W",
        "B",
    )
    with pytest.raises(KeyError):
        quantity_of("gpu0/unheard_of")


def test_what_is_asked_for_most_comes_first_on_every_device() -> None:
    keys = ["host/core1_percent", "host/core10_percent", "gpu0/throttle_idle", "gpu1/utilization_percent"]
    keys += ["host/core2_percent", "gpu0/power_watts", "host/cpu_utilization_percent", "gpu0/utilization_percent"]
    assert list(ordered(dict.fromkeys(keys, 0.0))) == [
        "gpu0/utilization_percent",
        "gpu1/utilization_percent",
        "host/cpu_utilization_percent",
        "gpu0/power_watts",
        "gpu0/throttle_idle",
        "host/core1_percent",
        "host/core2_percent",
        "host/core10_percent",
    ]


def test_the_gpus_are_described_with_what_does_not_change(driver: Script) -> None:
    driver(TWO_GPUS)
    gpus = Gpus()
    same = {"memory_total_bytes": 150_000_000_000, "power_limit_watts": 700.0, "mig": False}
    first = {"index": 0, "name": "Stub GPU", "uuid": "GPU-0000-0", "cuda": "cuda:0", **same}
    second = {"index": 1, "name": "Stub GPU", "uuid": "GPU-0000-1", "cuda": "cuda:1", **same}
    assert gpus.facts() == {"gpus": [first, second], "reason": None, "visible": ["gpu0", "gpu1"], "order_note": None}
    gpus.close()
    assert gpus.read() == Reading()


def test_power_that_the_board_does_not_report_is_missing_in_the_drivers_words_and_not_zero(driver: Script) -> None:
    driver(TWO_GPUS + "gpu0.power.error 3\n")
    reading = Gpus().read()
    assert "gpu0/power_watts" not in reading.values
    assert reading.missing["gpu0/power_watts"] == "Not Supported"
    assert reading.values["gpu1/power_watts"] == 0.001


def test_a_gpu_that_is_lost_in_the_middle_is_missing_altogether_and_the_other_goes_on(driver: Script) -> None:
    driver(TWO_GPUS)
    gpus = Gpus()
    before = gpus.read()
    driver("gpu0.error 15\n" + TWO_GPUS)
    reading = gpus.read()
    assert reading.missing["gpu0"] == "GPU is lost"
    assert not of_gpu(reading)
    assert set(of_gpu(reading, 1)) >= set(of_gpu(before, 1))
    driver(TWO_GPUS)
    assert gpus.read().values["gpu0/utilization_percent"] == 37.0


@pytest.mark.parametrize("call", ["field197", "utilization", "reasons", "mig", "single_bit"])
def test_whatever_call_says_that_the_gpu_is_lost_no_other_figure_of_it_is_believed(driver: Script, call: str) -> None:
    driver(TWO_GPUS + f"gpu0.{call}.error 15\n")
    reading = Gpus().read()
    assert not of_gpu(reading)
    assert [key for key in reading.missing if key.startswith("gpu0")] == ["gpu0"]


def test_a_gpu_that_is_lost_from_the_start_hides_none_of_the_others(driver: Script) -> None:
    driver(TWO_GPUS + "gpu0.handle.error 15\n")
    gpus = Gpus()
    lost, healthy = gpus.facts()["gpus"]
    assert (lost["index"], lost["name"], lost["reason"]) == (0, None, "GPU is lost")
    assert (healthy["index"], healthy["name"]) == (1, "Stub GPU")
    reading = gpus.read()
    assert reading.missing["gpu0"] == "GPU is lost"
    assert {key.split("/")[0] for key in reading.values} == {"gpu1"}


def test_a_library_that_somebody_shut_is_opened_again_and_counts_go_on(driver: Script) -> None:
    activity = {"gpm": 1, "gpm2": 61_500}
    now = [0.0]
    driver(driver_with(gpu(0, **activity, gpm__at=1, field83=1_000), gpu(1)))
    gpus = Gpus(clock=lambda: now[0])
    gpus.read()
    while True:
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError_Uninitialized:
            break
    reading = gpus.read()
    assert reading.missing["gpu0"] == "Uninitialized"
    assert not of_gpu(reading)
    assert of_gpu(reading, 1)  # it was opened again by then
    for moment in (2, 3):  # GPM has lost its earlier sample, and takes two again
        now[0] += 1.0
        driver(driver_with(gpu(0, **activity, gpm__at=moment, field83=5_000), gpu(1)))
        values = gpus.read().values
        assert values["gpu0/energy_joules"] == 4.0
        assert ("gpu0/sm_activity_percent" in values) == (moment == 3)
    gpus.close()


@pytest.mark.parametrize(
    ("text", "reason"), [("driver.init 9\n", "NVML: Driver Not Loaded"), ("driver.count 0\n", "shows no GPU")]
)
def test_without_a_gpu_there_is_a_reason(driver: Script, text: str, reason: str) -> None:
    driver(text)
    gpus = Gpus()
    assert reason in (gpus.reason or "")
    assert (gpus.facts()["gpus"], gpus.facts()["reason"]) == ([], gpus.reason)
    assert gpus.read() == Reading()
    gpus.close()


def test_a_driver_library_without_a_function_lacks_that_figure_alone(load: Callable[..., Script]) -> None:
    load("POWER")(TWO_GPUS)
    reading = Gpus().read()
    assert reading.missing["gpu0/power_watts"] == "Function Not Found: this driver has no nvmlDeviceGetPowerUsage"
    assert reading.values["gpu0/temperature_celsius"] == 58.0


def test_bindings_without_a_function_lack_that_figure_alone(driver: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pynvml, "nvmlDeviceGetJpgUtilization")
    monkeypatch.delattr(pynvml, "NVML_FI_DEV_PCIE_COUNT_RX_BYTES")
    driver(TWO_GPUS)
    reading = Gpus().read()
    assert reading.missing["gpu0/jpeg_percent"].startswith("the installed nvidia-ml-py has no nvmlDeviceGetJpg")
    assert "upgrade" in reading.missing["gpu0/pcie_received_bytes_per_second"]
    assert reading.values["gpu0/optical_flow_percent"] == 24.0


def test_an_older_driver_is_asked_in_the_older_ways(load: Callable[..., Script]) -> None:
    older = load("TEMPERATURE_V", "MEMORY_V2", "EVENT_REASONS")
    older(driver_with(gpu(0, temperature=41, old_reasons=0x4), gpu(1)))
    reading = Gpus().read()
    assert reading.values["gpu0/temperature_celsius"] == 41.0
    assert reading.missing["gpu1/temperature_celsius"] == "Not Supported"
    assert reading.values["gpu0/memory_used_bytes"] == 3_700_000_001.0  # with the reserved: it knows no better
    assert reading.missing["gpu0/memory_reserved_bytes"].startswith("Function Not Found")
    assert reading.words["gpu0/throttling"] == "power limit"
    assert reading.missing["gpu1/throttle_idle"] == "Not Supported"


@pytest.mark.usefixtures("fresh_bindings")
def test_without_the_drivers_library_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "CDLL", no_library)
    assert Gpus().reason == "no NVIDIA driver answers (NVML: NVML Shared Library Not Found)"


def test_without_the_bindings_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert (Gpus().reason or "").endswith("pip install nvidia-ml-py")


def test_throttling_is_a_series_for_each_reason_and_a_sentence(driver: Script) -> None:
    driver(driver_with(gpu(0, reasons=0x4 | 0x40), gpu(1, reasons=0x1 | 0x4000)))
    reading = Gpus().read()
    on = {name for name, value in of_gpu(reading).items() if name.startswith("throttle_") and value == 1.0}
    assert on == {"throttle_software_power_cap", "throttle_hardware_thermal_slowdown"}
    assert sum(name.startswith("throttle_") for name in of_gpu(reading)) == len(REASONS) == 9
    assert reading.words["gpu0/throttling"] == "power limit, hardware thermal slowdown"
    assert reading.words["gpu1/throttling"] == "idle, a reason that this version does not know (0x4000)"
    assert reason_words(0) == "none"


def test_the_bits_are_those_of_the_official_bindings() -> None:
    official = {
        "software_power_cap": pynvml.nvmlClocksEventReasonSwPowerCap,
        "hardware_slowdown": pynvml.nvmlClocksEventReasonHwSlowdown,
        "software_thermal_slowdown": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
        "hardware_thermal_slowdown": pynvml.nvmlClocksEventReasonHwThermalSlowdown,
        "hardware_power_brake": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
        "sync_boost": pynvml.nvmlClocksEventReasonSyncBoost,
        "applications_clocks": pynvml.nvmlClocksEventReasonApplicationsClocksSetting,
        "display_clocks": pynvml.nvmlClocksEventReasonDisplayClockSetting,
        "idle": pynvml.nvmlClocksEventReasonGpuIdle,
    }
    assert {reason.key: reason.bit for reason in REASONS} == official


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"nvidia-ml-py": "13.0"}, None),
        ({"pynvml": "11.5.3"}, "pynvml 11.5.3 is installed"),
        ({"pynvml": "12.0.0"}, None),  # from here on it only asks for the official one
        ({"nvidia-ml-py3": "7.352.0"}, "pip uninstall nvidia-ml-py3"),
    ],
)
def test_a_distribution_that_stands_in_the_place_of_the_bindings_is_named(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], said: str | None
) -> None:
    metadata = driver_module.importlib.metadata

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    warning = shadowed_bindings()
    assert warning is None if said is None else said in (warning or "")


def test_processes_of_one_launch_share_the_gpus_of_their_machine(driver: Script) -> None:
    driver(driver_with(*(gpu(index) for index in range(5))))
    read_by = {}
    for place in range(2):
        reading = Gpus(share=Share(place, 2)).read()
        read_by[place] = {key.split("/")[0] for key in reading.values}
    assert read_by == {0: {"gpu0", "gpu2", "gpu4"}, 1: {"gpu1", "gpu3"}}
    each = Gpus(share=Share(3, 5))  # as many processes as GPUs
    assert {key.split("/")[0] for key in each.read().values} == {"gpu3"}
    assert [Share(place, 2).has_host for place in range(2)] == [True, False]
    own = Gpus(share=Share(3, 4), environment={"CUDA_VISIBLE_DEVICES": "3"})  # as Slurm gives each task its own
    assert {key.split("/")[0] for key in own.read().values} == {"gpu3"}


def test_a_place_among_processes_is_read_as_launchers_write_it() -> None:
    assert share_of({}) == Share(0, 1)
    assert share_of({"LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "8"}) == Share(3, 8)
    assert share_of({"SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "4"}) == Share(1, 4)
    assert share_of({"LOCAL_RANK": "1"}) == Share(0, 1)
    assert share_of({"LOCAL_RANK": "9", "LOCAL_WORLD_SIZE": "8"}) == Share(0, 1)
