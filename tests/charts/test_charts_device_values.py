"""The table of current values: a value or N/A with its reason, never a stale or an invented one."""

from __future__ import annotations

from typing import Any

from torchglass.charts.device_values import device_values
from torchglass.store.records import Fact, Series

QUANTITIES = {
    "gpu": {"power_watts": {"unit": "W", "source": "power call", "window": "1 s", "command": "smi p", "dmon": "pwr"}},
    "host": {"core*_percent": {"unit": "%", "source": "psutil", "window": "between", "command": "", "dmon": ""}},
}


def series(key: str, last: float | None, unit: str = "W", rank: int = 0) -> Series:
    """A device series with a last value."""
    return Series(1, 1, rank, key, "device", unit, 2, 0, None, None, None, None, None, last, None)


def facts(missing: dict[str, str], rank: int = 0, **told: Any) -> list[Fact]:
    """What a run says of its devices."""
    return [
        Fact(rank, "devices/gpu", {"gpus": [], "missing": missing, **told}, 0.0),
        Fact(rank, "devices/quantities", QUANTITIES, 0.0),
    ]


def test_a_value_stands_with_its_unit_window_source_and_command() -> None:
    (row,) = device_values([series("gpu0/power_watts", 250.5)], facts({}))
    assert row == ("gpu0", "power", "250.5 W", "", "1 s", "power call", "smi p", "")
    (core,) = device_values([series("host/core7_percent", 3.0, "%")], facts({}))
    assert (core.value, core.window) == ("3 %", "between")


def test_what_is_missing_is_not_available_and_says_why_and_since_when() -> None:
    since = {"gpu0/power_watts": {"step": 812, "time": 1.0}}
    (row,) = device_values(
        [series("gpu0/power_watts", 250.5)], facts({"gpu0/power_watts": "Not Supported"}, since=since)
    )
    assert (row.value, row.reason) == ("N/A", "Not Supported, since step 812")
    (never,) = device_values([], facts({"gpu0/power_watts": "Not Supported"}))
    assert (never.value, never.reason, never.source) == ("N/A", "Not Supported", "power call")


def test_nothing_that_a_lost_gpu_said_last_is_shown_as_if_it_were_so() -> None:
    known = [series("gpu0/power_watts", 250.5), series("gpu1/power_watts", 100.0)]
    rows = device_values(known, facts({"gpu0": "GPU is lost"}))
    assert [(row.device, row.figure, row.value, row.reason) for row in rows] == [
        ("gpu0", "power", "N/A", "GPU is lost"),
        ("gpu1", "power", "100 W", ""),
        ("gpu0", "everything", "N/A", "GPU is lost"),
    ]


def test_a_note_on_a_value_stands_beside_it() -> None:
    notes = {"gpu0/energy_joules": "approximate"}
    (row,) = device_values([series("gpu0/energy_joules", 12_500.0, "J")], facts({}, notes=notes))
    assert (row.value, row.reason) == ("12.5 kJ", "approximate")


def test_other_ranks_are_named_and_read_their_own_reasons() -> None:
    known = [series("gpu0/power_watts", 1.0), series("gpu3/power_watts", 2.0, rank=3)]
    stated = [*facts({}), Fact(3, "devices/gpu", {"missing": {"gpu3/power_watts": "No"}}, 0.0)]
    assert [(row.device, row.value, row.window) for row in device_values(known, stated)] == [
        ("gpu0", "1 W", "1 s"),
        ("gpu3 (rank 3)", "N/A", "1 s"),
    ]


def test_facts_of_an_unexpected_shape_make_no_table_fail() -> None:
    odd = [Fact(0, "devices/gpu", "none", 0.0), Fact(0, "devices/quantities", ["?"], 0.0)]
    (row,) = device_values([series("gpu0/power_watts", float("nan"))], odd)
    assert (row.value, row.window) == ("N/A", "")
