"""Rates, joules and activity: what two readings tell that one does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nvml_stub import driver as driver_with
from nvml_stub import gpu

from torchglass.instrumentation.devices import Gpus
from torchglass.instrumentation.devices.energy import IntegratedPower, StepEnergy
from torchglass.instrumentation.devices.rates import Rate

Script = Callable[[str], None]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_is_what_was_counted_over_the_time_between() -> None:
    rate = Rate()
    assert rate.take(10.0, 1000.0) is None
    assert rate.take(14.0, 1600.0) == 150.0
    assert rate.take(14.0, 1700.0) is None  # no time has passed
    assert rate.take(15.0, 20.0) is None  # wrapped, or begun anew
    assert rate.take(17.0, 30.0) == 5.0


def test_bytes_over_the_bus_and_the_links_and_time_held_back_come_from_counters(driver: Script) -> None:
    clock = Clock()
    driver(driver_with(gpu(field198=1_000, field197=500, field139=10, field138=20, field74=0, field75=0)))
    gpus = Gpus(clock=clock)
    first = gpus.read()
    assert not {key for key in (*first.values, *first.missing) if "per_second" in key or "violation" in key}
    clock.now += 2.0
    driver(
        driver_with(
            gpu(field198=5_000, field197=1_500, field139=14, field138=30, field74=500_000_000, field75=9_000_000_000)
        )
    )
    values = gpus.read().values
    assert values["gpu0/pcie_received_bytes_per_second"] == 2_000.0
    assert values["gpu0/pcie_sent_bytes_per_second"] == 500.0
    assert values["gpu0/nvlink_received_bytes_per_second"] == 2 * 1024.0
    assert values["gpu0/nvlink_sent_bytes_per_second"] == 5 * 1024.0
    assert values["gpu0/power_violation_percent"] == pytest.approx(25.0)
    assert values["gpu0/thermal_violation_percent"] == 100.0  # never more than the whole time


def test_a_count_of_bytes_in_32_bits_is_refused_for_it_wraps_unseen(driver: Script) -> None:
    clock = Clock()
    driver(driver_with(gpu(field198__type=1)))
    gpus = Gpus(clock=clock)
    gpus.read()
    clock.now += 1.0
    reading = gpus.read()
    assert "32 bits" in reading.missing["gpu0/pcie_received_bytes_per_second"]
    assert reading.values["gpu0/pcie_sent_bytes_per_second"] == 0.0


@pytest.mark.parametrize(("kind", "wanted"), [(0, 64.0), (1, 64.0), (3, 64.0), (4, 64.0), (5, 64.0), (6, 64.0)])
def test_a_field_is_read_as_the_type_that_the_driver_says(driver: Script, kind: int, wanted: float) -> None:
    driver(driver_with(gpu(field82=64, field82__type=kind)))
    assert Gpus().read().values["gpu0/memory_temperature_celsius"] == wanted


def test_a_field_of_a_type_nobody_knows_is_missing(driver: Script) -> None:
    driver(driver_with(gpu(field82__type=9)))
    assert "unknown type (9)" in Gpus().read().missing["gpu0/memory_temperature_celsius"]


def test_without_fields_the_older_calls_are_asked_and_the_rest_says_why(load: Callable[..., Script]) -> None:
    clock = Clock()
    write = load("FIELDS")
    old = {"old_power_violation": 0, "old_energy": 5_000}
    write(driver_with(gpu(**old)))
    gpus = Gpus(clock=clock)
    gpus.read()
    clock.now += 1.0
    write(driver_with(gpu(old_power_violation=100_000_000, old_energy=8_000)))
    reading = gpus.read()
    assert reading.values["gpu0/energy_joules"] == 3.0
    assert reading.values["gpu0/power_violation_percent"] == pytest.approx(10.0)
    for name in ("thermal_violation_percent", "memory_temperature_celsius", "nvlink_sent_bytes_per_second"):
        assert reading.missing[f"gpu0/{name}"] == "Function Not Found: this driver has no nvmlDeviceGetFieldValues"


def test_energy_is_counted_from_the_first_reading_on_and_outlives_a_driver_that_was_loaded_again(
    driver: Script,
) -> None:
    gpus = None
    joules = []
    for millijoules in (7_000_000, 7_000_500, 200, 1_200):
        driver(driver_with(gpu(field83=millijoules)))
        gpus = gpus or Gpus()
        joules.append(gpus.read().values["gpu0/energy_joules"])
    assert joules == [0.0, 0.5, 0.5, 1.5]


def test_without_an_energy_counter_power_is_added_up_and_called_approximate(driver: Script) -> None:
    clock = Clock()
    driver(driver_with(gpu(without="field83", power=100_000)))
    gpus = Gpus(clock=clock)
    gpus.read()
    clock.now += 2.0
    driver(driver_with(gpu(without="field83", power=300_000)))
    reading = gpus.read()
    assert reading.values["gpu0/energy_joules"] == 400.0  # two seconds at 200 W in the mean
    assert reading.words["gpu0/energy_joules"].startswith("approximate")
    driver(driver_with(gpu(without="field83 power")))
    assert gpus.read().missing["gpu0/energy_joules"] == "Not Supported"


def test_a_counter_of_energy_that_fails_once_is_missing_and_is_not_begun_anew_from_power(driver: Script) -> None:
    clock = Clock()
    driver(driver_with(gpu(field83=1_000_000)))
    gpus = Gpus(clock=clock)
    gpus.read()
    clock.now += 1.0
    driver(driver_with(gpu(field83=1_600_000)) + "gpu0.field83.error 999\n")
    reading = gpus.read()
    assert "gpu0/energy_joules" not in reading.values
    assert reading.missing["gpu0/energy_joules"] == "Unknown Error"
    clock.now += 1.0
    driver(driver_with(gpu(field83=1_700_000)))
    counted = gpus.read()
    assert counted.values["gpu0/energy_joules"] == 700.0
    assert "gpu0/energy_joules" not in counted.words  # nothing approximate about it


def test_a_gpu_that_is_lost_at_the_older_of_two_calls_is_missing_altogether(driver: Script) -> None:
    driver(driver_with(gpu(without="field74")) + "gpu0.old_power_violation.error 15\n")
    reading = Gpus().read()
    assert reading.values == {}
    assert reading.missing == {"gpu0": "GPU is lost"}


def test_the_sum_of_powers_takes_no_time_twice() -> None:
    power = IntegratedPower()
    assert [power.take(when, 10.0) for when in (0.0, 1.0, 1.0, 4.0)] == [0.0, 10.0, 10.0, 40.0]


def test_energy_of_a_step_is_told_for_windows_of_a_second_and_ten_steps() -> None:
    energy = StepEnergy()
    assert energy.take(0.0, 20, 0.0) is None
    assert energy.take(0.9, 50, 90.0) is None  # too short
    assert energy.take(5.0, 8, 500.0) is None  # went back: a new window
    assert energy.take(8.0, 17, 800.0) is None  # 3 s, but 9 steps
    assert energy.take(9.0, 20, 980.0) == 40.0  # 480 J over 12 steps
    assert energy.take(10.0, 30, 990.0) == 1.0


GPM = {"gpm": 1, "gpm2": 61_500, "gpm3": 40_250, "gpm5": 33_000, "gpm10": 20_125}


def test_activity_of_the_multiprocessors_needs_two_samples_more_than_a_tenth_of_a_second_apart(driver: Script) -> None:
    clock = Clock()
    driver(driver_with(gpu(**GPM, gpm__at=1)))
    gpus = Gpus(clock=clock)
    assert not {key for key in gpus.read().values if "activity" in key}
    clock.now += 0.1
    driver(driver_with(gpu(**GPM, gpm__at=2)))
    early = gpus.read()
    assert not {key for key in (*early.values, *early.missing) if "activity" in key}
    for moment in (3, 4, 5):  # the samples change places, and the later one stays the second
        clock.now += 1.0
        driver(driver_with(gpu(**GPM, gpm__at=moment)))
        reading = gpus.read()
        assert reading.values["gpu0/sm_activity_percent"] == 61.5
        assert reading.values["gpu0/sm_occupancy_percent"] == 40.25
        assert reading.values["gpu0/tensor_activity_percent"] == 33.0
        assert reading.values["gpu0/dram_bandwidth_percent"] == 20.125
        assert reading.missing == {}
    gpus.close()


def test_a_metric_that_this_gpu_does_not_have_is_missing_and_not_zero(driver: Script) -> None:
    clock = Clock()
    driver(driver_with(gpu(without="gpm5", **GPM, gpm__at=1)))
    gpus = Gpus(clock=clock)
    gpus.read()
    clock.now += 1.0
    driver(driver_with(gpu(without="gpm5", **GPM, gpm__at=2)))
    reading = gpus.read()
    assert "gpu0/tensor_activity_percent" not in reading.values
    assert reading.missing == {"gpu0/tensor_activity_percent": "Not Supported"}
    assert reading.values["gpu0/sm_activity_percent"] == 61.5


def test_a_sample_that_failed_is_compared_with_nothing(driver: Script) -> None:
    clock = Clock()
    driver(driver_with(gpu(**GPM, gpm__at=1)))
    gpus = Gpus(clock=clock)
    gpus.read()
    clock.now += 1.0
    driver(driver_with(gpu(**GPM)))
    assert gpus.read().missing["gpu0/sm_activity_percent"] == "Not Supported"
    clock.now += 1.0
    driver(driver_with(gpu(**GPM, gpm__at=3)))
    assert "gpu0/sm_activity_percent" not in gpus.read().values
    clock.now += 1.0
    driver(driver_with(gpu(**GPM, gpm__at=4)))
    assert gpus.read().values["gpu0/sm_activity_percent"] == 61.5


def test_gpm_stands_in_for_byte_counters_that_the_driver_refuses_and_only_then(driver: Script) -> None:
    clock = Clock()
    rates = {"gpm20": 2_000, "gpm21": 3_000, "gpm60": 4_000, "gpm61": 5_000}
    lacking = "field197 field138 field139"
    driver(driver_with(gpu(without=lacking, **GPM, **rates, gpm__at=1)))
    gpus = Gpus(clock=clock)
    assert gpus.read().missing["gpu0/pcie_sent_bytes_per_second"] == "Not Supported"
    clock.now += 1.0
    driver(driver_with(gpu(without=lacking, **GPM, **rates, gpm__at=2, field198=700)))
    reading = gpus.read()
    assert reading.values["gpu0/pcie_sent_bytes_per_second"] == 2 * 2**20
    assert reading.values["gpu0/pcie_received_bytes_per_second"] == 700.0
    assert reading.values["gpu0/nvlink_received_bytes_per_second"] == 4 * 2**20
    assert reading.values["gpu0/nvlink_sent_bytes_per_second"] == 5 * 2**20
    assert reading.missing == {}


def test_a_driver_without_gpm_says_so(load: Callable[..., Script]) -> None:
    load("GPM")(driver_with(gpu(**GPM)))
    reason = Gpus().read().missing["gpu0/tensor_activity_percent"]
    assert reason == "Function Not Found: this driver has no nvmlGpmQueryDeviceSupport"
