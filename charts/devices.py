"""What the devices did: one panel for each quantity, where a stretch without samples stays a gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.records import Recorded
from torchglass.charts.scalars import Curve, ScalarsData, XAxis, scalars_data, scalars_figure
from torchglass.store.records import Points

GAP_FACTOR = 3.0  # samples further apart than so many typical intervals have a gap between them

# Panel title -> how its keys end. nvidia-smi prints the same numbers under --query-gpu= utilization.gpu,
# utilization.memory, memory.used, power.draw, temperature.gpu, clocks.sm and clocks.mem.
PANELS = {
    "Utilization": ("utilization_percent",),
    "Memory": ("memory_used_bytes", "process_memory_bytes"),
    "Power": ("power_watts",),
    "Temperature": ("temperature_celsius",),
    "Clocks": ("clock_mhz",),
}
OTHER = "Other"
_WORDS = {
    "cpu_utilization_percent": "CPU",
    "utilization_percent": "cores busy",
    "memory_utilization_percent": "memory bus busy",
    "memory_used_bytes": "memory used",
    "process_memory_bytes": "this process",
    "power_watts": "power",
    "temperature_celsius": "temperature",
    "sm_clock_mhz": "SM clock",
    "memory_clock_mhz": "memory clock",
}


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
    figure = scalars_figure(panel.lines, title=panel.title if titled else "", dark=dark)
    figure.update_layout(showlegend=True)
    if panel.lines.unit == "%":
        figure.update_yaxes(range=[0, 102])
    else:
        figure.update_yaxes(rangemode="tozero" if panel.title in ("Memory", "Power") else "normal")
    return figure


def _panel_of(key: str) -> str:
    return next((title for title, endings in PANELS.items() if key.endswith(endings)), OTHER)


def curve_name(key: str) -> str:
    """What the legend calls a device series: "gpu0/sm_clock_mhz" becomes "gpu0 SM clock"."""
    device, _, name = key.partition("/")
    return f"{device} {_WORDS.get(name, name.replace('_', ' '))}".strip()


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
