"""The host, by psutil: shares of time add up, rates are differences, and what a system hides has a reason."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest

from torchglass.instrumentation.devices.host import MAX_CORES, Host, busy_percent, wait_percent


class Times(NamedTuple):
    """Seconds as psutil counts them on Linux."""

    user: float = 0.0
    nice: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    iowait: float = 0.0
    irq: float = 0.0
    softirq: float = 0.0
    steal: float = 0.0
    guest: float = 0.0
    guest_nice: float = 0.0


class PlainTimes(NamedTuple):
    """Seconds on a system that knows no waiting for disks."""

    user: float
    system: float
    idle: float


class Counted(NamedTuple):
    """Bytes of a disk or a network card."""

    read_bytes: int = 0
    write_bytes: int = 0
    bytes_recv: int = 0
    bytes_sent: int = 0


def of_cores(monkeypatch: pytest.MonkeyPatch, *readings: Sequence[Any]) -> Host:
    """A host whose cores are read so, one reading after the other."""
    coming = iter(readings)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: next(coming))
    return Host()


def test_a_core_that_waits_for_a_disk_is_idle_and_a_guest_is_counted_once() -> None:
    before = Times(user=10, idle=100, iowait=5)
    after = Times(user=12, nice=1, system=0.5, idle=103, iowait=7, irq=0.25, softirq=0.25, steal=1, guest=2)
    assert busy_percent(before, after) == pytest.approx(50.0)
    assert wait_percent(before, after) == pytest.approx(20.0)
    assert busy_percent(after, after) is None
    assert wait_percent(PlainTimes(0, 0, 0), PlainTimes(1, 0, 3)) is None
    assert busy_percent(PlainTimes(0, 0, 0), PlainTimes(1, 0, 3)) == 25.0


def test_cores_come_as_their_mean_the_busiest_and_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    start = [Times(), Times()]
    host = of_cores(monkeypatch, start, [Times(user=3, idle=1), Times(user=1, idle=2, iowait=1)])
    values = host.read().values
    assert values["host/cpu_utilization_percent"] == 50.0
    assert values["host/busiest_core_percent"] == 75.0
    assert values["host/io_wait_percent"] == 12.5
    assert (values["host/core0_percent"], values["host/core1_percent"]) == (75.0, 25.0)


def test_many_cores_have_no_series_each(monkeypatch: pytest.MonkeyPatch) -> None:
    many = MAX_CORES + 1
    host = of_cores(monkeypatch, [Times()] * many, [Times(user=1, idle=1)] * many)
    values = host.read().values
    assert values["host/busiest_core_percent"] == 50.0
    assert "host/core0_percent" not in values


def test_a_system_that_counts_no_waiting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    host = of_cores(monkeypatch, [PlainTimes(0, 0, 0)], [PlainTimes(1, 0, 1)])
    reading = host.read()
    assert "waiting for disks" in reading.missing["host/io_wait_percent"]
    assert reading.values["host/cpu_utilization_percent"] == 50.0


def test_cores_that_were_switched_off_make_one_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    host = of_cores(monkeypatch, [Times()] * 4, [Times(user=1)] * 2, [Times(user=1, idle=1)] * 2)
    assert "host/cpu_utilization_percent" not in host.read().values
    assert host.read().values["host/cpu_utilization_percent"] == 0.0


def test_disks_and_cards_come_in_bytes_a_second_without_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    disk, cards = [Counted(read_bytes=100, write_bytes=50)], [{"lo": Counted(bytes_recv=7), "eth0": Counted()}]
    monkeypatch.setattr(psutil, "disk_io_counters", lambda nowrap: disk[0])
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic, nowrap: cards[0])
    host = Host(lambda: now[0])
    now[0] = 7.0
    disk[0] = Counted(read_bytes=1_100, write_bytes=250)
    cards[0] = {
        "lo": Counted(bytes_recv=9_000),
        "eth0": Counted(bytes_recv=60, bytes_sent=20),
        "wifi": Counted(0, 0, 2),
    }
    values = host.read().values
    assert values["host/disk_read_bytes_per_second"] == 500.0
    assert values["host/disk_written_bytes_per_second"] == 100.0
    assert values["host/network_received_bytes_per_second"] == 31.0
    assert values["host/network_sent_bytes_per_second"] == 10.0


def test_what_a_container_hides_is_missing_with_its_reason_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hidden(**options: Any) -> None:
        raise PermissionError(13, "Permission denied", "/proc/net/dev")

    monkeypatch.setattr(psutil, "net_io_counters", hidden)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda nowrap: None)
    reading = Host().read()
    assert "Permission denied" in reading.missing["host/network_sent_bytes_per_second"]
    assert reading.missing["host/disk_read_bytes_per_second"] == "the system shows no disk"
    assert reading.values["host/memory_used_bytes"] > 0


def test_a_machine_without_swap_says_so_and_not_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(total=0, used=0))
    reading = Host().read()
    assert "host/swap_used_bytes" not in reading.values
    assert reading.missing["host/swap_used_bytes"] == "this machine has no swap"
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(total=8_000, used=3_000))
    assert Host().read().values["host/swap_used_bytes"] == 3_000.0


def test_the_real_host_is_read_in_bytes_and_percent() -> None:
    host = Host()
    values = host.read().values
    whole = psutil.virtual_memory().total
    assert 0 <= values.get("host/cpu_utilization_percent", 0.0) <= values.get("host/busiest_core_percent", 0.0) <= 100
    assert 1e7 < values["host/process_memory_bytes"] < whole
    assert 0 < values["host/memory_used_bytes"] + values["host/memory_available_bytes"] <= 1.1 * whole
    assert host.facts()["memory_total_bytes"] == whole
    assert (host.facts()["cpu_count"] or 0) >= 1


def test_a_process_that_is_not_the_first_of_its_machine_reads_itself_alone() -> None:
    assert list(Host(only_own=True).read().values) == ["host/process_memory_bytes"]


def test_what_does_not_change_is_known_without_a_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a child was started beside the training loop")

    monkeypatch.setattr(platform, "_uname_cache", None)
    monkeypatch.setattr(platform, "_platform_cache", {})
    monkeypatch.setattr(subprocess, "Popen", refuse)
    told = Host().facts()
    assert platform.release() in told["system"]
    assert told["cpu_count"] == psutil.cpu_count()
