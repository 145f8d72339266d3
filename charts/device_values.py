"""The last reading of every device as a table: value, or N/A and why; over which time; from which source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from torchglass.analysis.at_step import Reading
from torchglass.charts.devices import figure_name
from torchglass.charts.units import quantity
from torchglass.language import mark, tr
from torchglass.store.records import Fact, Series

NOT_AVAILABLE = "N/A"
EVERYTHING = mark("everything")


class DeviceValue(NamedTuple):
    """One row; `reason` is why there is no value, or what else is to be known of it.

    `at_step` is the reading nearest to a chosen step, empty where none was chosen or none was read.
    """

    device: str
    figure: str
    value: str
    reason: str
    window: str
    source: str
    command: str
    at_step: str = ""


def device_values(
    series: Sequence[Series], facts: Sequence[Fact], near: Mapping[int, Reading] | None = None, step: int | None = None
) -> tuple[DeviceValue, ...]:
    """Rows for the device series of a run, and for what its facts say is missing.

    `near` holds the readings near a `step`, by the id of their series. A GPU that is lost has no value: what it last
    said is no longer so. Devices of ranks other than 0 are named so.
    """
    known = {(fact.rank, fact.key): fact.value for fact in facts}
    rows: list[DeviceValue] = []
    for rank in sorted({each.rank for each in series} | {fact.rank for fact in facts if fact.key == "devices/gpu"}):
        told = _mapping(known.get((rank, "devices/gpu")))
        table = _mapping(known.get((rank, "devices/quantities")) or known.get((0, "devices/quantities")))
        last = {each.key: each for each in series if each.rank == rank}
        missing = _mapping(told.get("missing"))
        for key in dict.fromkeys([*last, *missing]):
            found = last.get(key)
            row = _row(key, rank, found, told, table)
            reading = (near or {}).get(found.id) if found is not None else None
            rows.append(row._replace(at_step=_reading_told(reading, step)))
    return tuple(rows)


def _row(key: str, rank: int, series: Series | None, told: Mapping[str, Any], table: Mapping[str, Any]) -> DeviceValue:
    device, _, name = key.partition("/")
    reason = _reason(key, told)
    value = NOT_AVAILABLE
    if reason is None and series is not None and series.last is not None and np.isfinite(series.last):
        value = quantity(series.last, series.unit)
    about = _about(device, name, table)
    return DeviceValue(
        device=device if rank == 0 else tr("{device} (rank {rank})", device=device, rank=rank),
        figure=figure_name(name) if name else tr(EVERYTHING),
        value=value,
        reason=reason if reason is not None else str(_mapping(told.get("notes")).get(key, "")),
        window=str(about.get("window", "")),
        source=str(about.get("source", "")),
        command=str(about.get("command", "")),
    )


def _reading_told(reading: Reading | None, step: int | None) -> str:
    if reading is None or not np.isfinite(reading.value):
        return ""
    value = quantity(reading.value, reading.unit)
    return value if reading.step == step else tr("{value} (at {step})", value=value, step=f"{reading.step:,}")


def _reason(key: str, told: Mapping[str, Any]) -> str | None:
    """Why a figure, or its whole device, is missing, and since which step."""
    missing, since = _mapping(told.get("missing")), _mapping(told.get("since"))
    device = key.partition("/")[0]
    for place in (key, device):
        if place in missing:
            step = _mapping(since.get(place)).get("step")
            if isinstance(step, int) and step > 0:
                return tr("{reason}, since step {step}", reason=missing[place], step=step)
            return str(missing[place])
    return None


def _about(device: str, name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    figures = _mapping(table.get("host" if device == "host" else "gpu"))
    is_core = device == "host" and name.startswith("core") and name.removesuffix("_percent")[4:].isdecimal()
    return _mapping(figures.get("core*_percent" if is_core else name))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
