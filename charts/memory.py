"""The memory of a run over its steps: what each part of the model holds, under the lines of the allocator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.charts.columns import in_columns, largest_of_each
from torchglass.charts.cursor import on_steps
from torchglass.charts.records import Recorded, packed, packed_steps, read_series
from torchglass.charts.text import plot_text
from torchglass.charts.theme import ALARM, NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import largest_magnitude, quantity, scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats, Integers, Points
from torchglass.store.store import Store

PREFIX = "memory/"
PARTS = {
    "parameters": PALETTE[0],
    "gradients": PALETTE[1],
    "optimizer": PALETTE[2],
    "buffers": PALETTE[3],
    "activations": PALETTE[5],
}
WORDS = {
    "parameters": mark("parameters"),
    "gradients": mark("gradients"),
    "optimizer": mark("optimizer state"),
    "buffers": mark("buffers"),
    "activations": mark("activations and other"),
    "allocated": mark("allocated"),
    "reserved": mark("reserved"),
    "peak": mark("peak"),
    "process": mark("this process"),
}
LINES = {"allocated": "solid", "reserved": "dash", "peak": "dot", "process": "solid"}
SPLIT_HEIGHT = 220  # px; on a phone the legend has a row for each part
_DWARFED = 20  # times what the parts hold: above it, the process's line leaves nothing of them to see
_LIMIT_FROM = 0.5  # of the limit that the highest line reaches: below that, drawing it would squash all others
_NO_MEMORY = mark("No memory was measured: attach with the model and its optimizer.")


class MemoryLine(NamedTuple):
    """One of the allocator's figures, or the process's: `steps` (n,), `sizes` (n,) in bytes."""

    name: str
    steps: Integers
    sizes: Floats


class MemoryData(NamedTuple):
    """Bytes (k, n) of k parts at n steps, held until the next of them; lines over all steps.

    `limit_bytes` is what there is at most, None where that is not known. `last_bytes` (k,) are the parts' latest.
    """

    parts: tuple[str, ...]
    steps: Integers
    sizes: Floats
    last_bytes: Floats
    lines: tuple[MemoryLine, ...]
    limit_bytes: float | None


def apart(data: MemoryData) -> tuple[MemoryData, MemoryData | None]:
    """One figure, and the process's line for another where it would squash the parts of a small model."""
    others = tuple(line for line in data.lines if line.name != "process")
    process = tuple(line for line in data.lines if line.name == "process")
    held = float(data.last_bytes.sum())
    highest = max((largest_magnitude(line.sizes) or 0.0 for line in process), default=0.0)
    if not held or highest <= _DWARFED * held:
        return data, None
    alone = MemoryData((), np.empty(0, np.int64), np.empty((0, 0)), np.empty(0), process, data.limit_bytes)
    return data._replace(lines=others), alone


def read_memory(store: Store, run_id: int, rank: int = 0) -> list[Recorded]:
    """Read the memory series of a rank: the parts with all their points, which are few, the lines reduced."""
    parts = [
        record
        for name in PARTS
        for record in read_series(store, run_id, kind="memory", prefix=_key(name), rank=rank, max_points=None)
    ]
    lines = [
        record for name in LINES for record in read_series(store, run_id, kind="memory", prefix=_key(name), rank=rank)
    ]
    return [*parts, *lines]


def memory_data(records: Sequence[Recorded], *, limit_bytes: float | None = None) -> MemoryData:
    """Sort series "memory/<name>_bytes" into parts and lines; others are left out."""
    found = {record.series.key: record.points for record in records if len(record.points.steps)}
    parts = [name for name in PARTS if _key(name) in found]
    columns = in_columns([found[_key(name)] for name in parts], largest_of_each)
    sizes = np.array([_held(row) for row in columns.values]).reshape(columns.values.shape)
    return MemoryData(
        parts=tuple(parts),
        steps=columns.steps,
        sizes=sizes,
        last_bytes=np.array([found[_key(name)].values[-1] for name in parts], np.float64),
        lines=tuple(_line(name, found[_key(name)]) for name in LINES if _key(name) in found),
        limit_bytes=limit_bytes,
    )


def parts_at(data: MemoryData, records: Sequence[Recorded], step: int) -> tuple[MemoryData, int]:
    """The data with the parts' sizes near a step in `last_bytes`, and the step at which the last of them was measured.

    Each size is of the step, or of the nearest at which it was measured, of two the earlier.
    """
    found = {record.series.key: record.points for record in records if len(record.points.steps)}
    sizes, measured = [], 0
    for name in data.parts:
        points = found[_key(name)]
        place = int(np.argmin(np.abs(points.steps - step)))
        sizes.append(float(points.values[place]))
        measured = max(measured, int(points.steps[place]))
    return data._replace(last_bytes=np.array(sizes, np.float64)), measured


def memory_figure(data: MemoryData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw the parts as layers, each up to the next measurement, and the lines over them."""
    if not data.parts and not data.lines:
        return empty_figure(plot_text(reason or tr(_NO_MEMORY), 300), dark=dark, title=plot_text(title))
    line_tops = [float(np.nanmax(line.sizes)) for line in data.lines if np.isfinite(line.sizes).any()]
    stack_top = float(data.sizes.sum(axis=0).max()) if data.steps.size else 0.0
    highest = max([stack_top, *line_tops])
    scale = scale_of("B", highest)
    figure = new_figure(dark=dark, title=plot_text(title), hovermode="x unified", legend_traceorder="normal")
    steps, sizes = _until_the_end(data)
    for name, row in zip(data.parts, sizes, strict=True):
        figure.add_scatter(
            x=packed_steps(steps),
            y=packed(row * scale.factor),
            name=tr(WORDS[name]),
            stackgroup="parts",
            mode="lines",
            line={"width": 0.5, "color": PARTS[name], "shape": "hv"},
            hovertemplate=f"%{{y:.4g}} {scale.unit}",
        )
    for line in data.lines:
        figure.add_scatter(
            x=packed_steps(line.steps),
            y=packed(line.sizes * scale.factor),
            name=tr(WORDS[line.name]),
            mode="lines" if len(line.steps) > 1 else "markers",
            line={"width": 1.5, "color": NEUTRAL, "dash": LINES[line.name]},
            hovertemplate=f"%{{y:.4g}} {scale.unit}",
        )
    if data.limit_bytes and highest > _LIMIT_FROM * data.limit_bytes:
        figure.add_hline(
            y=data.limit_bytes * scale.factor,
            line={"color": ALARM, "width": 1},
            annotation={
                "text": tr("all there is: {size}", size=quantity(data.limit_bytes, "B")),
                "font": {"color": ALARM},
            },
        )
    figure.update_xaxes(title_text=tr("step"))
    figure.update_yaxes(title_text=scale.unit, rangemode="tozero")
    return on_steps(figure)


def memory_split_figure(data: MemoryData, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw the latest sizes of the parts as one bar, each with its size beside its name."""
    if not data.parts:
        return empty_figure(plot_text(reason or tr(_NO_MEMORY), 300), dark=dark, title=plot_text(title))
    scale = scale_of("B", float(data.last_bytes.sum()))
    figure = new_figure(
        dark=dark, title=plot_text(title), height=SPLIT_HEIGHT, barmode="stack", legend_traceorder="normal"
    )
    for name, size in zip(data.parts, data.last_bytes.tolist(), strict=True):
        figure.add_bar(
            x=np.array([size * scale.factor]),
            y=np.array([0], np.int32),
            orientation="h",
            width=0.6,
            name=f"{tr(WORDS[name])} {quantity(size, 'B')}",
            marker={"color": PARTS[name]},
            hovertemplate=f"%{{x:.4g}} {scale.unit}",
        )
    figure.update_xaxes(title_text=scale.unit, rangemode="tozero")
    figure.update_yaxes(visible=False)
    return figure


def _key(name: str) -> str:
    return f"{PREFIX}{name}_bytes"


def _line(name: str, points: Points) -> MemoryLine:
    return MemoryLine(name, points.steps, points.values)


def _held(row: Floats) -> Floats:
    """The values (n,) with each gap filled by what was measured before it, and nothing before the first."""
    known = np.where(np.isfinite(row), np.arange(len(row)), -1)
    last = np.maximum.accumulate(known) if len(row) else known
    return np.where(last >= 0, row[last], 0.0)


def _until_the_end(data: MemoryData) -> tuple[Integers, Floats]:
    """The parts, and once more at the last step of the lines: they hold until measured again."""
    end = max((int(line.steps[-1]) for line in data.lines), default=0)
    if not data.steps.size or end <= data.steps[-1]:
        return data.steps, data.sizes
    return np.append(data.steps, end), np.concatenate([data.sizes, data.sizes[:, -1:]], axis=1)
