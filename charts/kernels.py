"""Which operators or kernels the time went to: a table over all profiler windows, and its longest rows as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.records import packed
from torchglass.charts.text import kernel_name, plot_text, short_label
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import number, scale_of
from torchglass.language import tr
from torchglass.store.records import Floats, Integers, ProfilerWindow, RowKind, Table

TOP = 20
ROW_HEIGHT = 34  # px for a name and the bar below it
BAR = 0.36  # of a row
NAME_CHARACTERS = 46  # fits a phone's width


class KernelsData(NamedTuple):
    """The longest rows of one kind, longest first, summed over windows.

    `calls`, `self_seconds`, `total_seconds` and `shares` are (k,); shares are of all the self time, listed or not.
    `rest_count` and `rest_seconds` say what the list leaves out. `step_count` is the number of profiled steps.
    """

    kind: RowKind
    names: tuple[str, ...]
    calls: Integers
    self_seconds: Floats
    total_seconds: Floats
    shares: Floats
    rest_count: int
    rest_seconds: float
    window_count: int
    step_count: int
    on_device: bool = False  # of operators: the times are those of their kernels


def kernels_data(
    table: Table | None, kind: RowKind, windows: Sequence[ProfilerWindow], *, top: int = TOP
) -> KernelsData:
    """Rank the rows of the table "kernels" or "operators" of all these windows, and keep the `top` longest.

    Operators are ranked by the time of their own kernels where they have any.
    """
    if table is None:
        table = {name: np.empty(0) for name in ("name", "calls", "self_seconds", "total_seconds", "seconds")}
    own, total = ("seconds", "seconds") if kind == "kernel" else ("self_seconds", "total_seconds")
    on_device = kind == "operator" and float(np.nansum(table.get("device_self_seconds", np.zeros(1)))) > 0
    if on_device:
        own, total = f"device_{own}", f"device_{total}"
    seconds = np.nan_to_num(table[own])
    order = np.argsort(-seconds, kind="stable")
    whole, rest = float(seconds.sum()), order[top:]
    listed = order[:top]
    return KernelsData(
        kind=kind,
        names=tuple(table["name"][listed].tolist()),
        calls=table["calls"][listed].astype(np.int64),
        self_seconds=seconds[listed],
        total_seconds=table[total][listed],
        shares=seconds[listed] / whole if whole > 0 else np.full(len(listed), np.nan),
        rest_count=len(rest),
        rest_seconds=float(seconds[rest].sum()),
        window_count=len(windows),
        step_count=sum(window.step_count for window in windows),
        on_device=on_device,
    )


def kernels_figure(
    data: KernelsData,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw self time a step as bars, longest on top, and what is not listed as one last bar."""
    if not data.names:
        return empty_figure(
            plot_text(reason or tr("No profiler window was recorded: attach with profile switched on."), 300),
            dark=dark,
            title=plot_text(title),
        )
    steps = max(data.step_count, 1)
    seconds = np.append(data.self_seconds, data.rest_seconds)[: len(data.names) + bool(data.rest_count)] / steps
    names = [*data.names, tr("{count} more", count=data.rest_count)][: len(seconds)]
    scale = scale_of("s", float(seconds.max()))
    calls = [tr("{count} calls a step", count=number(count / steps)) for count in data.calls.tolist()]
    texts = [f"{plot_text(name)}<br>{call}" for name, call in zip(data.names, calls, strict=True)]
    places = np.arange(len(seconds), dtype=np.int32)
    figure = new_figure(dark=dark, title=plot_text(title), height=80 + ROW_HEIGHT * len(seconds), showlegend=False)
    figure.add_bar(
        x=packed(seconds * scale.factor),
        y=places,
        width=BAR,
        orientation="h",
        marker={"color": [PALETTE[0]] * len(data.names) + [NEUTRAL] * bool(data.rest_count)},
        hovertext=np.array([*texts, tr("{count} more", count=data.rest_count)][: len(seconds)]),
        hovertemplate="%{hovertext}<br>" + tr("{time} a step", time=f"%{{x:.3g}} {scale.unit}") + "<extra></extra>",
    )
    # Names stand above their bars: beside them they would leave no room for bars on a phone.
    figure.add_scatter(
        x=np.zeros(len(seconds), np.float32),
        y=places - 0.42,
        mode="text",
        text=[short_label(kernel_name(name) if data.kind == "kernel" else name, NAME_CHARACTERS) for name in names],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
    )
    what = tr("time of own kernels") if data.on_device else tr("self time")
    figure.update_yaxes(visible=False, range=[len(seconds) - 0.5, -0.9], fixedrange=True)
    figure.update_xaxes(title_text=tr("{what}, {unit} a step", what=what, unit=scale.unit), rangemode="tozero")
    figure.update_layout(margin_l=12)
    return figure
