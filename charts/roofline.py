"""How near the operators of a step come to what their device can do: operations a second over operations a byte.

After Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52 (2009). Left of the ridge memory is the limit, right of it arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.records import packed
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import DASHES, NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import number, quantity
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Table

TOP = 20
_MARGIN = 0.2  # decades between the outermost point and the edge, at least
HEIGHT = 380  # px; points of several decades in both directions
SMALLEST, LARGEST = 7, 30  # px across a point, by its share of the time
# What attention's one backward operator is called where a kernel does it; in the fact it has no name of its own.
_ALIASES = {
    "aten::scaled_dot_product_attention_backward": (
        "aten::_scaled_dot_product_flash_attention_backward",
        "aten::_scaled_dot_product_efficient_attention_backward",
        "aten::_scaled_dot_product_cudnn_attention_backward",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
        "aten::_scaled_dot_product_fused_attention_overrideable_backward",
    ),
}
_NOTHING = mark(
    "No operator that was profiled does work that is counted: record a profiler window of an uncompiled model."
)


class Ceiling(NamedTuple):
    """The peak of one number format, operations a second."""

    number_format: str
    flops_per_second: float


class RooflineData(NamedTuple):
    """Operators with counted work, those with the longest time first, and what their device can do at most.

    `intensities` (k,) are operations a byte, `achieved` (k,) operations a second, `seconds` (k,) of the window, of the
    device where it has its own; `shares` (k,) are of all operators' time. `roofs` (k,) are the most that
    each could achieve, NaN where the peak is unknown, for the `reason`.
    """

    operators: tuple[str, ...]
    formats: tuple[str, ...]
    intensities: Floats
    achieved: Floats
    seconds: Floats
    shares: Floats
    roofs: Floats
    ceilings: tuple[Ceiling, ...]
    memory_bytes_per_second: float | None
    device: str
    on_device: bool
    reason: str


def roofline_data(operators: Table, work: Mapping[str, Any], *, top: int = TOP) -> RooflineData:
    """Join a window's table "operators" with what the fact "work" says that their calls do.

    A call is taken to do the mean of the counted calls of its operator, whichever pass it belongs to.
    """
    names = [str(name) for name in operators["name"]]
    on_device = bool(np.nansum(operators["device_total_seconds"]) > 0)
    times = dict(zip(names, operators["device_total_seconds" if on_device else "total_seconds"].tolist(), strict=True))
    calls = dict(zip(names, operators["calls"].tolist(), strict=True))
    whole = float(np.nansum(operators["device_self_seconds" if on_device else "self_seconds"]))
    found = []
    for name, (per_call, bytes_per_call, number_format) in _work_per_call(work).items():
        known = [each for each in (name, *_ALIASES.get(name, ())) if times.get(each, 0) > 0]
        seconds = sum(times[each] for each in known)
        if known and bytes_per_call:
            count = sum(calls[each] for each in known)
            found.append((name, number_format, per_call / bytes_per_call, per_call * count / seconds, seconds))
    found.sort(key=lambda each: (-each[-1], each[0]))
    values = np.array([each[2:] for each in found], np.float64).reshape(-1, 3)
    peak = work.get("peak") or {}
    bandwidth = peak.get("memory_bytes_per_second") if on_device else None
    ceilings = tuple(_ceilings(work, peak)) if on_device else ()
    of_format = {each.number_format: each.flops_per_second for each in ceilings}
    peaks = np.array([of_format.get(each[1], np.nan) for each in found], np.float64)
    roofs = np.minimum(peaks, values[:, 0] * (bandwidth if bandwidth is not None else np.nan))
    shares = values[:, 2] / whole if whole > 0 else np.full(len(found), np.nan)
    return RooflineData(
        operators=tuple(each[0] for each in found[:top]),
        formats=tuple(each[1] for each in found[:top]),
        intensities=values[:top, 0],
        achieved=values[:top, 1],
        seconds=values[:top, 2],
        shares=shares[:top],
        roofs=roofs[:top],
        ceilings=ceilings,
        memory_bytes_per_second=bandwidth,
        device=str(work.get("device", "")),
        on_device=on_device,
        reason="" if ceilings else _why_no_roof(work, on_device),
    )


def roofline_figure(data: RooflineData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw the operators below the roof of their device, both axes logarithmic, a point's size by its share of time."""
    if not data.operators:
        return empty_figure(plot_text(reason or tr(_NOTHING), 300), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT)
    for index, ceiling in enumerate(data.ceilings):
        _add_roof(figure, data, ceiling, DASHES[index % len(DASHES)])
    figure.add_scatter(
        x=packed(data.intensities),
        y=packed(data.achieved),
        mode="markers+text",
        name=tr("operators"),
        showlegend=False,
        text=[short_label(name.removeprefix("aten::"), 24) for name in data.operators],
        textposition="bottom center",
        marker={
            "size": SMALLEST + (LARGEST - SMALLEST) * np.sqrt(np.nan_to_num(data.shares).clip(0, 1)),
            "color": PALETTE[0],
            "opacity": 0.8,
        },
        hovertext=[_hover(data, index) for index in range(len(data.operators))],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    xs, ys = ([each[axis] for each in figure.data] for axis in ("x", "y"))
    for update, title, places in (
        (figure.update_xaxes, tr("operations a byte"), xs),
        (figure.update_yaxes, tr("operations a second"), ys),
    ):
        update(type="log", title_text=title, exponentformat="SI", dtick=1, range=_decades(np.concatenate(places)))
    if data.reason:
        figure.add_annotation(
            text=plot_text(data.reason, 200),
            x=0,
            y=1.02,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"color": NEUTRAL},
        )
    return figure


def _work_per_call(work: Mapping[str, Any]) -> dict[str, tuple[float, float, str]]:
    """Operations and bytes of the mean call of each operator with counted work, and the format that most run in."""
    sums: dict[str, list[float]] = {}
    largest: dict[str, tuple[float, str]] = {}
    for row in work.get("operators", ()):
        if row["flops"]:
            entry = sums.setdefault(row["name"], [0.0, 0.0, 0.0])
            for place, key in enumerate(("calls", "flops", "bytes")):
                entry[place] += row[key]
            largest[row["name"]] = max(largest.get(row["name"], (0.0, "")), (row["flops"], row["format"]))
    return {name: (flops / calls, moved / calls, largest[name][1]) for name, (calls, flops, moved) in sums.items()}


def _ceilings(work: Mapping[str, Any], peak: Mapping[str, Any]) -> list[Ceiling]:
    """Peaks of the formats that the work runs in, the highest first; TF32 runs as float32 where there is none."""
    known: Mapping[str, float] = peak.get("flops_per_second", {})
    used = {name: known.get(name, known.get("float32") if name == "tf32" else None) for name in work.get("formats", {})}
    found = [Ceiling(name, value) for name, value in used.items() if value is not None]
    return sorted(found, key=lambda each: -each.flops_per_second)


def _why_no_roof(work: Mapping[str, Any], on_device: bool) -> str:
    if not on_device:
        return tr("Host time: the peak of a CPU is not known.")
    device = work.get("device") or tr("this device")
    return tr("No roof: no peak is known for {device}.", device=device)


def _add_roof(figure: go.Figure, data: RooflineData, ceiling: Ceiling, dash: str) -> None:
    left = float(data.intensities.min()) / 3
    right = float(data.intensities.max()) * 3
    places = [left, right]
    if data.memory_bytes_per_second is not None:
        ridge = ceiling.flops_per_second / data.memory_bytes_per_second
        places = [min(left, ridge / 3), ridge, max(right, ridge * 3)]
    bandwidth = data.memory_bytes_per_second or np.inf
    heights = [min(ceiling.flops_per_second, place * bandwidth) for place in places]
    figure.add_scatter(
        x=np.array(places),
        y=np.array(heights),
        mode="lines",
        line={"color": NEUTRAL, "dash": dash},
        name=f"{plot_text(data.device)}, {plot_text(ceiling.number_format)}",
        hoverinfo="skip",
    )


def _decades(values: Floats) -> list[float]:
    """The range of a logarithmic axis in whole decades: ticks at both ends, and room for what is written at points."""
    exponents = np.log10(values[np.isfinite(values) & (values > 0)])
    return [float(np.floor(exponents.min() - _MARGIN)), float(np.ceil(exponents.max() + _MARGIN))]


def _hover(data: RooflineData, index: int) -> str:
    lines = [
        plot_text(data.operators[index]),
        tr(
            "{speed} GFLOP/s in {format}",
            speed=number(float(data.achieved[index]) / 1e9),
            format=plot_text(data.formats[index]),
        ),
        tr("{count} operations a byte", count=number(float(data.intensities[index]))),
        tr(
            "{time}, {percent} % of the time",
            time=quantity(float(data.seconds[index]), "s"),
            percent=f"{100 * float(data.shares[index]):.1f}",
        ),
    ]
    roof = float(data.roofs[index])
    if np.isfinite(roof):
        peak = next(each.flops_per_second for each in data.ceilings if each.number_format == data.formats[index])
        percent = f"{100 * float(data.achieved[index]) / roof:.0f}"
        if roof >= peak:
            lines.append(tr("{percent} % of what arithmetic allows", percent=percent))
        else:
            lines.append(tr("{percent} % of what memory allows", percent=percent))
    return "<br>".join(lines)
