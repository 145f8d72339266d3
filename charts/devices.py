"""What the devices did: one panel for each quantity, where a stretch without samples stays a gap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.records import Recorded
from torchglass.charts.scalars import Curve, ScalarsData, XAxis, scalars_data, scalars_figure
from torchglass.language import mark, tr
from torchglass.store.records import Points

GAP_FACTOR = 3.0  # samples further apart than so many typical intervals have a gap between them

# Panel title -> what its keys are called after the device. docs and the Devices page name the command that prints each.
PANELS = {
    mark("Utilization"): r"(cpu_|memory_)?utilization_percent|busiest_core_percent|io_wait_percent",
    mark("Activity"): r"(sm_activity|sm_occupancy|tensor_activity|dram_bandwidth)_percent",
    mark("Memory"): r"(memory_used|memory_available|process_memory|swap_used)_bytes",
    mark("Power"): r"power_watts",
    mark("Energy of a step"): r"energy_per_step_joules",
    mark("Energy"): r"energy_joules",
    mark("Temperature"): r"(memory_)?temperature_celsius",
    mark("Clocks"): r"(sm|memory)_clock_mhz",
    mark("Links"): r"(pcie|nvlink)_(received|sent)_bytes_per_second",
    mark("Disks and network"): r"(disk|network)_\w+_bytes_per_second",
    mark("Held back"): r"(power|thermal)_violation_percent",
    mark("Throttling"): r"throttle_\w+",
    mark("Engines"): r"(encoder|decoder|jpeg|optical_flow)_percent",
    mark("Memory set apart"): r"(memory_reserved|bar1_used|protected_memory_used)_bytes",
    mark("Errors"): r"(single|double)_bit_errors|pcie_replays",
    mark("Cores"): r"core\d+_percent",
}
OTHER = mark("Other")
# Figures that stay 0 on most machines: they are drawn once they do not.
QUIET = {"Held back", "Throttling", "Engines", "Memory set apart", "Errors"}
FROM_ZERO = {
    "Memory",
    "Power",
    "Energy",
    "Energy of a step",
    "Links",
    "Disks and network",
    "Memory set apart",
    "Errors",
}
_WORDS = {
    "cpu_utilization_percent": mark("CPU"),
    "utilization_percent": mark("cores busy"),
    "memory_utilization_percent": mark("memory bus busy"),
    "memory_used_bytes": mark("memory used"),
    "process_memory_bytes": mark("this process"),
    "temperature_celsius": mark("temperature"),
    "memory_temperature_celsius": mark("memory temperature"),
    "sm_clock_mhz": mark("SM clock"),
    "sm_activity_percent": mark("SM activity"),
    "sm_occupancy_percent": mark("SM occupancy"),
    "dram_bandwidth_percent": mark("DRAM bandwidth"),
    "io_wait_percent": mark("I/O wait"),
    "energy_per_step_joules": mark("energy of a step"),
    "busiest_core_percent": mark("busiest core"),
    "tensor_activity_percent": mark("tensor activity"),
    "power_watts": mark("power"),
    "energy_joules": mark("energy"),
    "memory_clock_mhz": mark("memory clock"),
    "memory_available_bytes": mark("memory available"),
    "swap_used_bytes": mark("swap used"),
    "pcie_received_bytes_per_second": mark("PCIe received"),
    "pcie_sent_bytes_per_second": mark("PCIe sent"),
    "nvlink_received_bytes_per_second": mark("NVLink received"),
    "nvlink_sent_bytes_per_second": mark("NVLink sent"),
    "disk_read_bytes_per_second": mark("disk read"),
    "disk_written_bytes_per_second": mark("disk written"),
    "network_received_bytes_per_second": mark("network received"),
    "network_sent_bytes_per_second": mark("network sent"),
    "power_violation_percent": mark("power violation"),
    "thermal_violation_percent": mark("thermal violation"),
    "encoder_percent": mark("encoder"),
    "decoder_percent": mark("decoder"),
    "jpeg_percent": mark("jpeg"),
    "optical_flow_percent": mark("optical flow"),
    "memory_reserved_bytes": mark("memory reserved"),
    "bar1_used_bytes": mark("BAR1 used"),
    "protected_memory_used_bytes": mark("protected memory used"),
    "single_bit_errors": mark("single bit errors"),
    "double_bit_errors": mark("double bit errors"),
    "pcie_replays": mark("PCIe replays"),
}
THROTTLE = "throttle_"
# What the unit says already.
_UNIT_WORDS = ("_bytes_per_second", "_bytes", "_percent", "_watts", "_joules", "_celsius", "_mhz")


class DevicePanel(NamedTuple):
    """Device series of one quantity; NaN in `lines` is where nothing was sampled."""

    title: str
    lines: ScalarsData


def devices_data(
    records: Sequence[Recorded], *, x_axis: XAxis = "relative", start: float | None = None
) -> tuple[DevicePanel, ...]:
    """Sort device series into panels; `start` is when the run began, in seconds since the epoch."""
    panels = []
    for title in (*PANELS, OTHER):
        chosen = [record for record in records if _panel_of(record.series.key) == title and len(record.points.steps)]
        if title in QUIET:
            chosen = [record for record in chosen if np.nanmax(np.abs(record.points.values), initial=0.0) > 0]
        for unit in dict.fromkeys(record.series.unit for record in chosen):
            curves = [
                Curve(curve_name(record.series.key), with_gaps(record.points), start)
                for record in chosen
                if record.series.unit == unit
            ]
            panels.append(DevicePanel(title, scalars_data(curves, x_axis=x_axis, unit=unit, nonfinite="missing")))
    return tuple(panels)


def devices_figure(panel: DevicePanel, *, titled: bool = True, dark: bool = False) -> go.Figure:
    """Draw one panel; percentages span 0 to 100, and every other axis says its unit."""
    figure = scalars_figure(panel.lines, title=tr(panel.title) if titled else "", dark=dark)
    figure.update_layout(showlegend=True)
    if panel.lines.unit == "%":
        figure.update_yaxes(range=[0, 102], rangemode=None)
    else:
        figure.update_yaxes(rangemode="tozero" if panel.title in FROM_ZERO else "normal")
    return figure


def _panel_of(key: str) -> str:
    name = key.partition("/")[2]
    return next((title for title, names in PANELS.items() if re.fullmatch(names, name)), OTHER)


def curve_name(key: str) -> str:
    """What the legend calls a device series: "gpu0/sm_clock_mhz" becomes "gpu0 SM clock"."""
    device, _, name = key.partition("/")
    return f"{device} {figure_name(name)}".strip()


def figure_name(name: str) -> str:
    """What a figure is called beside its unit: "pcie_sent_bytes_per_second" becomes "PCIe sent"."""
    if name in _WORDS:
        return tr(_WORDS[name])
    for ending in _UNIT_WORDS:
        name = name.removesuffix(ending)
    if name.startswith(THROTTLE):
        return tr("throttled: {cause}", cause=name.removeprefix(THROTTLE).replace("_", " "))
    return name.replace("_", " ")


def with_gaps(points: Points) -> Points:
    """The same points with one NaN in the middle of every stretch that went unsampled."""
    intervals = np.diff(points.times)
    if intervals.size < 2:
        return points
    before = np.flatnonzero(intervals > GAP_FACTOR * float(np.median(intervals)))
    if not before.size:
        return points
    return points._replace(
        steps=np.insert(points.steps, before + 1, points.steps[before]),
        times=np.insert(points.times, before + 1, points.times[before] + intervals[before] / 2),
        values=np.insert(points.values, before + 1, np.nan),
    )
