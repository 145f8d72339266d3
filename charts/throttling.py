"""Whether steps were slow because a GPU was held back: step time, with the stretches of throttling behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.cursor import on_steps
from torchglass.charts.devices import GAP_FACTOR
from torchglass.charts.records import MAX_POINTS, Recorded, packed, packed_steps
from torchglass.charts.text import plot_text
from torchglass.charts.theme import ALARM, NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import largest_magnitude, scale_of
from torchglass.language import listed, mark, tr
from torchglass.store.records import Floats, Integers, Points
from torchglass.store.store import Store

PREFIX = "throttle_"
# Reasons that slow a GPU against what was asked of it, as the driver's bits are named; others only tell how it is set.
REASONS = {
    "software_power_cap": mark("power limit"),
    "hardware_slowdown": mark("hardware slowdown"),
    "software_thermal_slowdown": mark("software thermal slowdown"),
    "hardware_thermal_slowdown": mark("hardware thermal slowdown"),
    "hardware_power_brake": mark("hardware power brake"),
    "sync_boost": mark("sync boost"),
}
_COLORS = {
    "software_power_cap": PALETTE[4],
    "hardware_power_brake": PALETTE[1],
    "sync_boost": PALETTE[3],
    "hardware_slowdown": NEUTRAL,
}
_NOT_READ = mark("No GPU told whether it was held back: the Devices page lists what this machine does not give.")
_NEVER = mark("No step was timed, or no GPU was read while steps were.")


class Stretch(NamedTuple):
    """Steps from the first reading at which a reason held to the reading at which it no longer did, both included."""

    device: str
    reason: str
    first_step: int
    last_step: int


class ThrottlingData(NamedTuple):
    """Seconds (n,) of steps (n,), and where which GPU was held back.

    `share` of the readings of any GPU found it held back; None without readings. The medians (seconds) are of the steps
    within and outside of all stretches, None where there are none.
    """

    steps: Integers
    seconds: Floats
    stretches: tuple[Stretch, ...]
    share: float | None
    median_within: float | None
    median_outside: float | None

    @property
    def slowdown(self) -> float | None:
        """How many times as long a step took while a GPU was held back, by the medians."""
        if not self.median_within or not self.median_outside:
            return None
        return self.median_within / self.median_outside


def read_throttling(store: Store, run_id: int) -> ThrottlingData:
    """What held a run's GPUs back, of all ranks, over the step time of rank 0.

    Reads the reasons that held at least once, and of a GPU that was never held back one series, for its number of
    readings.
    """
    step_time = store.find_series(run_id, "phase/step")
    known = [each for each in store.series_of(run_id, kind="device", rank=None) if _reason(each.key) in REASONS]
    held = [each for each in known if each.maximum]
    chosen = {(each.rank, _device(each.key)): each for each in known if not each.maximum}
    for each in held:
        chosen.pop((each.rank, _device(each.key)), None)
    return throttling_data(
        store.points(step_time.id, max_points=MAX_POINTS) if step_time is not None else None,
        [Recorded(each, store.points(each.id)) for each in (*held, *chosen.values())],
    )


def throttling_data(step_time: Points | None, devices: Sequence[Recorded]) -> ThrottlingData:
    """Take the points of "phase/step" and the device series of a run, of which the throttling reasons are used.

    A reading tells of one moment a second: a stretch reaches to the next reading, unless that came late.
    """
    known = [record for record in devices if _reason(record.series.key) in REASONS and len(record.points.steps)]
    stretches = [stretch for record in known for stretch in _stretches(record)]
    steps = step_time.steps if step_time is not None else np.empty(0, np.int64)
    seconds = step_time.values if step_time is not None else np.empty(0)
    within = np.zeros(len(steps), bool)
    for stretch in stretches:
        within |= (steps >= stretch.first_step) & (steps <= stretch.last_step)
    return ThrottlingData(
        steps, seconds, tuple(stretches), _share(known), _median(seconds[within]), _median(seconds[~within])
    )


def throttling_figure(data: ThrottlingData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw step time over shaded stretches, a colour for each reason."""
    if data.share is None or not len(data.steps):
        reason = _NOT_READ if data.share is None else _NEVER
        return empty_figure(plot_text(tr(reason), 300), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), hovermode="closest")
    for reason in dict.fromkeys(stretch.reason for stretch in data.stretches):
        _shade(figure, [stretch for stretch in data.stretches if stretch.reason == reason], reason)
    scale = scale_of("s", largest_magnitude(data.seconds))
    figure.add_scatter(
        x=packed_steps(data.steps),
        y=packed(data.seconds * scale.factor),
        name=tr("step time"),
        mode="lines" if len(data.steps) > 1 else "markers",
        line={"width": 1.5, "color": PALETTE[0]},
        hovertemplate=tr("step {step}", step="%{x}") + f": %{{y:.4g}} {scale.unit}",
    )
    figure.update_xaxes(title_text=tr("step"))
    figure.update_yaxes(title_text=tr("{unit} a step", unit=scale.unit), rangemode="tozero")
    figure.update_layout(
        showlegend=True,
        yaxis={"overlaying": "y2", "tickmode": "auto"},  # the line lies over the shade; its ticks are its own
        yaxis2={"range": [0, 1], "visible": False, "fixedrange": True, "side": "right"},
    )
    return on_steps(figure)


def _shade(figure: go.Figure, stretches: Sequence[Stretch], reason: str) -> None:
    """One trace for all stretches of a reason: boxes as high as the plot, parted by gaps."""
    halves = [(each.first_step - 0.5, each.last_step + 0.5) for each in stretches]
    x = [place for first, last in halves for place in (first, first, last, last, None)]
    words = tr(REASONS[reason])
    devices = listed(dict.fromkeys(each.device for each in stretches))
    color = _COLORS.get(reason, ALARM)
    figure.add_scatter(
        x=x,
        y=[0, 1, 1, 0, None] * len(stretches),
        yaxis="y2",
        fill="toself",
        mode="lines",
        opacity=0.35,
        line={"width": 1, "color": color},
        fillcolor=color,
        name=plot_text(f"{words} ({devices})"),
        hoverinfo="name",
        hoveron="fills",
    )


def _stretches(record: Recorded) -> list[Stretch]:
    points = record.points
    intervals = np.diff(points.times)
    typical = float(np.median(intervals)) if intervals.size else 0.0
    device, reason = _device(record.series.key), _reason(record.series.key)
    found: list[Stretch] = []
    begun: int | None = None
    for place in range(len(points.steps)):
        is_on = points.values[place] > 0
        if is_on and begun is None:
            begun = int(points.steps[place])
        if begun is None:
            continue
        is_last = place + 1 == len(points.steps)
        is_late = not is_last and bool(intervals[place] > GAP_FACTOR * typical)
        if not is_on or is_last or is_late:
            found.append(Stretch(device, reason, begun, int(points.steps[place])))
            begun = None
    return found


def _share(known: Sequence[Recorded]) -> float | None:
    """Of all readings of a GPU, those at which at least one reason held; of several GPUs, of all their readings."""
    by_device: dict[str, dict[float, bool]] = {}
    for record in known:
        held = by_device.setdefault(f"{record.series.rank}/{_device(record.series.key)}", {})
        for time, value in zip(record.points.times.tolist(), record.points.values.tolist(), strict=True):
            held[time] = held.get(time, False) or value > 0
    readings = [is_on for held in by_device.values() for is_on in held.values()]
    return sum(readings) / len(readings) if readings else None


def _median(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def _device(key: str) -> str:
    return key.partition("/")[0]


def _reason(key: str) -> str:
    name = key.partition("/")[2]
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""
