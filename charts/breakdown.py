"""What a device did with the time of a window: computing, communication and copies that nothing hid, and nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Table

PARTS = {
    "compute": mark("Computing"),
    "exposed_communication": mark("Exposed communication"),
    "exposed_copies": mark("Exposed copies"),
    "idle": mark("Idle"),
}
SHORT = PARTS | {"exposed_communication": mark("Exposed comm.")}
MEANINGS = {
    "compute": mark("at least one kernel that computes was running"),
    "exposed_communication": mark("a collective was running and nothing computed meanwhile"),
    "exposed_copies": mark("a copy was running and nothing else"),
    "idle": mark("nothing was running on the device"),
}
COLORS = {"compute": PALETTE[0], "exposed_communication": PALETTE[3], "exposed_copies": PALETTE[4], "idle": NEUTRAL}
ROW_HEIGHT = 34  # px a device


class BreakdownData(NamedTuple):
    """Seconds (k, 4) of k devices by `PARTS`, and their totals (k,), which are the sums of the parts."""

    devices: tuple[str, ...]
    seconds: Floats
    totals: Floats

    @property
    def sums(self) -> dict[str, float]:
        """Seconds of each part over all devices."""
        return dict(zip(PARTS, self.seconds.sum(axis=0).tolist(), strict=True))

    @property
    def total(self) -> float:
        """Seconds of all devices."""
        return float(self.totals.sum())


def breakdown_data(table: Table | None) -> BreakdownData:
    """Take the table "breakdown" of a window; without one there are no devices."""
    if table is None or not len(table["device"]):
        return BreakdownData((), np.empty((0, len(PARTS))), np.empty(0))
    seconds = np.stack([np.asarray(table[f"{part}_seconds"], np.float64) for part in PARTS], axis=1)
    return BreakdownData(tuple(f"GPU {device}" for device in table["device"].tolist()), seconds, table["total_seconds"])


def breakdown_figure(data: BreakdownData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw one bar a device, whose parts add up to the window."""
    if not data.devices:
        return empty_figure(
            plot_text(reason or tr("No device worked in this window."), 300), dark=dark, title=plot_text(title)
        )
    scale = scale_of("s", float(data.totals.max()))
    figure = new_figure(
        dark=dark,
        title=plot_text(title),
        height=110 + ROW_HEIGHT * len(data.devices),
        barmode="stack",
        bargap=0.3,
        legend={"traceorder": "normal", "entrywidth": 84, "font": {"size": 11}},
        margin_t=52,
    )
    places = np.arange(len(data.devices), dtype=np.int32)
    for place, (part, name) in enumerate(PARTS.items()):
        seconds = data.seconds[:, place]
        figure.add_bar(
            x=seconds * scale.factor,
            y=places,
            orientation="h",
            name=tr(SHORT[part]),
            marker={"color": COLORS[part]},
            customdata=100 * seconds / np.where(data.totals > 0, data.totals, np.nan),
            hovertemplate=f"{tr(name)}: %{{x:.4g}} {scale.unit}, %{{customdata:.1f}} %<br>{tr(MEANINGS[part])}"
            "<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed", tickvals=places, ticktext=list(data.devices), showgrid=False)
    figure.update_xaxes(title_text=scale.unit)
    return figure
