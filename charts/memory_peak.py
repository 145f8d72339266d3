"""What was alive at a peak of memory: the largest allocations as bars, by the stack that asked for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.memory import PARTS, WORDS
from torchglass.charts.records import packed
from torchglass.charts.text import plot_text, short_label
from torchglass.charts.theme import NEUTRAL, empty_figure, new_figure
from torchglass.charts.units import quantity, scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers

KIND = "memory_peak"
TOP = 20
HOVER_FRAMES = 12
_ROW_HEIGHT = 20  # px a bar
REST = mark("the rest")
_FRAME = re.compile(r"(?:.*[/\\])?(?P<file>[^/\\]*):(?P<line>\d+) (?P<function>.*)")
_NO_PEAK = mark("No peak was recorded: call run.record_memory(steps=3) in the loop, on a CUDA device.")


class PeakData(NamedTuple):
    """The largest allocations of a peak, by stack: `sizes` (k,) and `largest` (k,) in bytes, `counts` (k,).

    `labels` name the innermost frame that is not torch's own; `stacks` hold a frame a line, innermost first.
    """

    parts: tuple[str, ...]
    labels: tuple[str, ...]
    stacks: tuple[str, ...]
    sizes: Floats
    counts: Integers
    largest: Floats
    rest_bytes: float
    rest_count: int
    peak_bytes: float


def peak_data(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], *, top: int = TOP) -> PeakData:
    """Take an artifact of kind "memory_peak"; what is beyond the `top` largest joins the rest."""
    stacks = tuple(str(stack) for stack in arrays["stacks"].tolist())
    sizes = arrays["bytes"].astype(np.float64)
    counts = arrays["counts"].astype(np.int64)
    return PeakData(
        parts=tuple(str(part) for part in arrays["parts"].tolist()[:top]),
        labels=tuple(own_frame(stack) for stack in stacks[:top]),
        stacks=stacks[:top],
        sizes=sizes[:top],
        counts=counts[:top],
        largest=arrays["largest_bytes"].astype(np.float64)[:top],
        rest_bytes=float(meta.get("rest_bytes", 0)) + float(sizes[top:].sum()),
        rest_count=int(meta.get("rest_count", 0)) + int(counts[top:].sum()),
        peak_bytes=float(meta.get("peak_bytes", 0)),
    )


def peak_figure(data: PeakData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw the allocations as bars, largest on top, coloured by part; a bar's stack shows on hover."""
    if not data.labels:
        return empty_figure(plot_text(reason or tr(_NO_PEAK), 300), dark=dark, title=plot_text(title))
    scale = scale_of("B", float(data.sizes.max()))
    rows = len(data.labels) + bool(data.rest_count)
    figure = new_figure(dark=dark, title=plot_text(title), height=110 + _ROW_HEIGHT * rows, bargap=0.25)
    for part in dict.fromkeys(data.parts):
        at = [row for row, other in enumerate(data.parts) if other == part]
        _add_bars(figure, at, data.sizes[at] * scale.factor, [_hover(data, row) for row in at], part, scale.unit)
    labels = list(data.labels)
    if data.rest_count:
        said = tr("{count} more allocations", count=f"{data.rest_count:,}")
        labels.append(said)
        _add_bars(figure, [rows - 1], np.array([data.rest_bytes * scale.factor]), [said], REST, scale.unit)
    figure.update_yaxes(
        autorange="reversed",
        tickvals=np.arange(rows, dtype=np.int32),
        ticktext=[short_label(label) for label in labels],
        showgrid=False,
    )
    figure.update_xaxes(title_text=tr("{unit} at the peak", unit=scale.unit), rangemode="tozero")
    return figure


def _add_bars(figure: go.Figure, at: list[int], sizes: Floats, hovers: list[str], part: str, unit: str) -> None:
    figure.add_bar(
        x=packed(sizes),
        y=np.array(at, np.int32),
        orientation="h",
        name=plot_text(_shown(part)),
        marker={"color": PARTS.get(_part_key(part), NEUTRAL)},
        hovertext=np.array(hovers),
        hovertemplate=f"%{{hovertext}}<br>%{{x:.4g}} {unit}<extra></extra>",
    )


def _hover(data: PeakData, row: int) -> str:
    frames = data.stacks[row].splitlines()
    shown = [plot_text(frame) for frame in frames[:HOVER_FRAMES]]
    more = [tr("and {count} frames above", count=len(frames) - HOVER_FRAMES)] if len(frames) > HOVER_FRAMES else []
    count = int(data.counts[row])
    size = quantity(float(data.largest[row]), "B")
    counted = tr("{count} allocations, the largest of {size}", count=f"{count:,}", size=size) if count > 1 else ""
    return "<br>".join(text for text in (plot_text(_shown(data.parts[row])), counted, *shown, *more) if text)


def own_frame(stack: str) -> str:
    """The innermost frame outside torch as "function (file:line)"; the innermost one where all are torch's."""
    frames = stack.splitlines() or [""]
    frame = next((each for each in frames if not _is_torchs(each)), frames[0])
    found = _FRAME.fullmatch(frame)
    return f"{found['function']} ({found['file']}:{found['line']})" if found else frame


def _is_torchs(frame: str) -> bool:
    path = frame.replace("\\", "/")
    return "/torch/" in path or path.startswith(("torch/", "<"))


def _shown(part: str) -> str:
    """What a part is called; the store has our English names, and those that a user gave."""
    return tr(part) if part == REST or part in WORDS.values() else part


def _part_key(part: str) -> str:
    return next((key for key, word in WORDS.items() if word == part), part)
