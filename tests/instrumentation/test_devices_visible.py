"""Which device is whose: CUDA_VISIBLE_DEVICES, MIG instances, and the processes on a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from nvml_stub import driver as driver_with
from nvml_stub import gpu

from torchglass.instrumentation.devices import Gpus
from torchglass.instrumentation.devices.visibility import Known, order_note, visible_devices

Script = Callable[[str], None]

GPUS = [Known(f"gpu{index}", f"GPU-{uuid}", "A") for index, uuid in enumerate(("aa01", "aa02", "bb03"))]
PARTS = [Known("gpu2-mig0", "MIG-cc04", "A")]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("2,0", ("gpu2", "gpu0")),
        (" 1 ", ("gpu1",)),
        ("GPU-bb", ("gpu2",)),
        ("gpu-AA02,0", ("gpu1", "gpu0")),
        ("GPU-aa", ()),  # fits two
        ("0,7,1", ("gpu0",)),  # what comes after one that is not there does not count
        ("1,-1,0", ("gpu1",)),
        ("0,1,0", ()),  # one that is named twice hides all of them
        ("GPU-bb,GPU-bb03", ()),
        ("+1gpu,2", ("gpu1", "gpu2")),  # what follows a number does not count
        ("MIG-cc04", ("gpu2-mig0",)),
        ("", ()),
        ("none", ()),
    ],
)
def test_entries_are_read_as_cuda_reads_them(asked: str, wanted: tuple[str, ...]) -> None:
    assert visible_devices(GPUS, PARTS, {"CUDA_VISIBLE_DEVICES": asked}) == wanted


def test_without_the_variable_every_gpu_is_visible_as_it_stands() -> None:
    assert visible_devices(GPUS, PARTS, {}) == ("gpu0", "gpu1", "gpu2")


def test_numbers_of_gpus_that_differ_are_called_a_guess_unless_ordered_by_the_bus() -> None:
    mixed = [*GPUS, Known("gpu3", "GPU-dd05", "B")]
    assert "assumed" in (order_note(mixed, {"CUDA_VISIBLE_DEVICES": "1"}) or "")
    assert order_note(mixed, {"CUDA_VISIBLE_DEVICES": "GPU-dd05"}) is None
    assert order_note(mixed, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) is None
    assert order_note(GPUS, {}) is None


@pytest.mark.parametrize("asked", ["1", "GPU-0000-1"])
def test_only_what_the_process_may_use_is_read_and_is_called_as_cuda_calls_it(driver: Script, asked: str) -> None:
    driver(driver_with(gpu(0, power=1), gpu(1, power=2_000)))
    gpus = Gpus(environment={"CUDA_VISIBLE_DEVICES": asked})
    assert [each["cuda"] for each in gpus.facts()["gpus"]] == [None, "cuda:0"]
    values = gpus.read().values
    assert values["gpu1/power_watts"] == 2.0
    assert {key.split("/")[0] for key in values} == {"gpu1"}
    both = Gpus(hidden_too=True, environment={"CUDA_VISIBLE_DEVICES": asked}).read().values
    assert both["gpu0/power_watts"] == 0.001


def test_two_gpus_change_places_by_their_order_in_the_variable(driver: Script) -> None:
    driver(driver_with(gpu(0), gpu(1)))
    gpus = Gpus(environment={"CUDA_VISIBLE_DEVICES": "GPU-0000-1,GPU-0000-0"})
    assert gpus.visible == ("gpu1", "gpu0")
    assert [each["cuda"] for each in gpus.facts()["gpus"]] == ["cuda:1", "cuda:0"]


def test_where_every_gpu_is_hidden_the_reason_says_by_what(driver: Script) -> None:
    driver(driver_with(gpu(0)))
    gpus = Gpus(environment={"CUDA_VISIBLE_DEVICES": "-1"})
    assert gpus.reason == "CUDA_VISIBLE_DEVICES='-1' hides every GPU from this process"
    assert gpus.read().values == {}
    assert gpus.facts()["gpus"][0]["name"] == "Stub GPU"


DIVIDED = gpu(0, mig=1, migs=3, utilization=0) + (
    "gpu0.mig0.exists 1\ngpu0.mig0.memory_used 111\ngpu0.mig0.memory_total 500\ngpu0.mig0.memory_reserved 40\n"
    "gpu0.mig2.exists 1\ngpu0.mig2.memory_used 222\ngpu0.mig2.memory_total 500\ngpu0.mig2.memory_reserved 50\n"
    "gpu0.gpm 1\ngpu0.mig2.gpm2 75000\n"
)


def test_a_divided_gpu_has_no_utilisation_even_where_the_driver_says_0(driver: Script) -> None:
    driver(driver_with(DIVIDED))
    reading = Gpus().read()
    for name in ("utilization_percent", "memory_utilization_percent", "decoder_percent"):
        assert f"gpu0/{name}" not in reading.values
        assert reading.missing[f"gpu0/{name}"].startswith("MIG is on")
    assert reading.values["gpu0/power_watts"] == 250.5


def test_instances_of_a_divided_gpu_have_memory_and_activity_of_their_own(driver: Script) -> None:
    now = [0.0]
    driver(driver_with(DIVIDED + "gpu0.mig2.gpm.at 1\n"))
    gpus = Gpus(clock=lambda: now[0])
    assert gpus.facts()["gpus"][0]["instances"] == [
        {"device": "gpu0-mig0", "uuid": "MIG-1111-0-0"},
        {"device": "gpu0-mig2", "uuid": "MIG-1111-0-2"},
    ]
    first = gpus.read()
    assert first.values["gpu0-mig0/memory_used_bytes"] == 111.0
    assert first.values["gpu0-mig2/memory_used_bytes"] == 222.0
    now[0] = 1.0
    driver(driver_with(DIVIDED + "gpu0.mig2.gpm.at 2\n"))
    second = gpus.read()
    assert second.values["gpu0-mig2/sm_activity_percent"] == 75.0
    assert second.missing["gpu0-mig0/sm_activity_percent"] == "Not Supported"
    gpus.close()


def test_a_process_that_was_given_an_instance_reads_its_gpu(driver: Script) -> None:
    driver(driver_with(gpu(1), DIVIDED))
    gpus = Gpus(environment={"CUDA_VISIBLE_DEVICES": "MIG-1111-0-2"})
    assert gpus.visible == ("gpu0-mig2",)
    assert gpus.facts()["gpus"][0]["cuda"] == "cuda:0"
    assert {key.split("/")[0] for key in gpus.read().values} == {"gpu0", "gpu0-mig0", "gpu0-mig2"}


def listed(gpus: Gpus, held: int | None = None) -> tuple[list[dict[str, Any]], str | None]:
    """Processes on the first GPU, and why the driver does not tell."""
    found = gpus.processes(lambda number: held)["gpu0"]
    return found["processes"], found["reason"]


def test_processes_come_with_their_memory_the_largest_first_and_unknown_memory_is_not_0(driver: Script) -> None:
    lines = f"gpu0.process0.pid 4000001\ngpu0.process1.pid {os.getpid()}\ngpu0.process1.memory 900\n"
    driver(driver_with(gpu(0, processes=2) + lines))
    ours, other = listed(Gpus(), held=800)[0]
    assert (ours["pid"], ours["memory_bytes"], ours["ours"]) == (os.getpid(), 900, True)
    assert ours["name"]
    assert (other["pid"], other["memory_bytes"], other["ours"], other["name"]) == (4_000_001, None, False, None)


def test_our_own_process_is_told_of_even_where_the_driver_does_not_list_it(driver: Script) -> None:
    driver(driver_with(gpu(0, processes=0)))
    (ours,), reason = listed(Gpus(), held=800)
    assert (ours["pid"], ours["memory_bytes"], ours["ours"], reason) == (os.getpid(), 800, True, None)
    assert "container" in ours["note"]
    driver(driver_with(gpu(0, without="processes")))
    (ours,), reason = listed(Gpus(), held=800)
    assert (ours["memory_bytes"], reason) == (800, "Not Supported")
    assert listed(Gpus()) == ([], "Not Supported")


def test_an_older_driver_lists_processes_in_the_older_way(load: Callable[..., Script]) -> None:
    load("PROCESSES_V3")(driver_with(gpu(0, processes=1) + "gpu0.process0.pid 4000001\ngpu0.process0.memory 5\n"))
    (process,), reason = listed(Gpus())
    assert (process["memory_bytes"], reason) == (5, None)
