"""A model under several techniques: time beside the original's, size or memory, and agreement with the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.text import plain_text, plot_text, short_label
from torchglass.charts.theme import ALARM, NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import largest_magnitude, quantity, scale_of
from torchglass.language import tr
from torchglass.store.records import Artifact, Floats

Mode = Literal["train", "infer"]

ARTIFACT_KIND = "variants"
ROW_HEIGHT = 26  # px a technique
FAITHFUL_PERCENT = 99.0  # equal answers; a variant below it is drawn in the colour of alarm
MOST_REASON = 90  # characters


class VariantsData(NamedTuple):
    """What was measured in one mode, in the order of the comparison; columns are (k,), NaN where not measured.

    `ratios` are times over the original's, with the ends of their 95 % interval; `seconds` are medians. `bytes` is
    what is shipped ("infer"), or the peak of memory ("train"). `agreement` is the percentage of equal answers
    ("infer"), or the difference of the last loss from the original's ("train"). `reasons` says why a technique could
    not run, empty where it did. `heading` says on what it was measured.
    """

    mode: Mode
    heading: str
    names: tuple[str, ...]
    reasons: tuple[str, ...]
    ratios: Floats
    ratios_low: Floats
    ratios_high: Floats
    seconds: Floats
    bytes: Floats
    agreement: Floats


def variants_data(artifacts: Sequence[Artifact], mode: Mode = "infer") -> VariantsData | None:
    """Read the newest comparison of that mode among a run's artifacts of kind "variants"; None when there is none."""
    outcomes_of = "training" if mode == "train" else "inference"
    for artifact in sorted(artifacts, key=lambda artifact: (artifact.time, artifact.id), reverse=True):
        rows = [row for row in artifact.meta.get("rows", ()) if row.get(outcomes_of) is not None]
        if artifact.kind == ARTIFACT_KIND and rows:
            return _data(artifact.meta, mode, [(str(row["name"]), row[outcomes_of]) for row in rows])
    return None


def _data(meta: Mapping[str, Any], mode: Mode, outcomes: Sequence[tuple[str, Mapping[str, Any]]]) -> VariantsData:
    def column(*path: str) -> Floats:
        return np.array([_at(outcome, *path) for _, outcome in outcomes], dtype=np.float64)

    infers = mode == "infer"
    heading = tr(
        "{model} on {device}, batches of {count}",
        model=meta.get("model"),
        device=meta.get("device_name"),
        count=meta.get("batch_size"),
    )
    return VariantsData(
        mode=mode,
        heading=heading,
        names=tuple(name for name, _ in outcomes),
        reasons=tuple(str(outcome.get("reason", "")) for _, outcome in outcomes),
        ratios=column("timing", "ratio"),
        ratios_low=column("timing", "ratio_low"),
        ratios_high=column("timing", "ratio_high"),
        seconds=column("timing", "median_seconds"),
        bytes=column("size", "file_bytes") if infers else column("memory", "peak_bytes"),
        agreement=100 * column("agreement", "same_answers") if infers else column("last_loss_difference"),
    )


def _at(outcome: Mapping[str, Any], *path: str) -> float:
    value: Any = outcome
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else float("nan")


def variants_figure(
    data: VariantsData | None,
    *,
    title: str = "",
    dark: bool = False,
    reason: str = "",
) -> go.Figure:
    """Draw a row a technique and three panels: time over the original's, bytes, agreement; or why it could not run."""
    if data is None:
        return empty_figure(
            plot_text(reason or tr("No variant was measured: torchglass bench-model compares them."), 300),
            dark=dark,
            title=plot_text(title),
        )
    rows = np.arange(len(data.names), dtype=np.int32)
    height = 110 + ROW_HEIGHT * len(rows)
    figure = new_figure(dark=dark, title=plot_text(title or data.heading), height=height, showlegend=False, bargap=0.3)
    make_subplots(rows=1, cols=3, figure=figure, shared_yaxes=True, horizontal_spacing=0.04)
    scale = scale_of("B", largest_magnitude(data.bytes))
    infers = data.mode == "infer"
    _bars(figure, 1, data, data.ratios, [_time_text(data, row) for row in range(len(rows))])
    figure.data[0].error_x = {
        "type": "data",
        "array": data.ratios_high - data.ratios,
        "arrayminus": data.ratios - data.ratios_low,
        "color": NEUTRAL,
        "thickness": 1.5,
    }
    figure.add_vline(x=1, line={"color": NEUTRAL, "dash": "dash", "width": 1}, row=1, col=1)
    _bars(figure, 2, data, data.bytes * scale.factor, [quantity(_known(value), "B") for value in data.bytes])
    unit = "%" if infers else ""
    _bars(figure, 3, data, data.agreement, [quantity(_rounded(value), unit) for value in data.agreement])
    for row, why in zip(rows, data.reasons, strict=True):
        if why:
            _say_why(figure, int(row), why)
    labels = [short_label(name) for name in data.names]
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5], tickvals=rows, ticktext=labels, showgrid=False)
    figure.update_xaxes(title_text=tr("time, × fp32's"), rangemode="tozero", col=1)
    size = tr("file, {unit}", unit=scale.unit) if infers else tr("peak memory, {unit}", unit=scale.unit)
    figure.update_xaxes(title_text=size, rangemode="tozero", col=2)
    figure.update_xaxes(title_text=tr("equal answers, %") if infers else tr("loss less fp32's"), col=3)
    return figure


def _bars(figure: go.Figure, column: int, data: VariantsData, values: Floats, texts: Sequence[str]) -> None:
    doubtful = data.mode == "infer" and column == 3
    colors = [ALARM if doubtful and value < FAITHFUL_PERCENT else PALETTE[column - 1] for value in values.tolist()]
    hover = [f"{plot_text(name)}: {text}" for name, text in zip(data.names, texts, strict=True)]
    figure.add_bar(
        x=values,
        y=np.arange(len(values), dtype=np.int32),
        orientation="h",
        marker={"color": colors},
        text=list(texts) if column == 3 else None,  # 99.4 % and 100 % are bars of one length
        textposition="auto",
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        row=1,
        col=column,
    )


def _time_text(data: VariantsData, row: int) -> str:
    low, high = data.ratios_low[row], data.ratios_high[row]
    return tr(
        "{time}, × {ratio} ({low} to {high})",
        time=quantity(_known(data.seconds[row]), "s"),
        ratio=f"{data.ratios[row]:.2f}",
        low=f"{low:.2f}",
        high=f"{high:.2f}",
    )


def _rounded(value: float) -> float | None:
    """The value to three significant digits, which fit on a bar."""
    return None if np.isnan(value) else float(f"{value:.3g}")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _say_why(figure: go.Figure, row: int, why: str) -> None:
    figure.add_annotation(
        text=plot_text(tr("cannot run: {reason}", reason=plain_text(why, MOST_REASON))),
        hovertext=plot_text(why, 400),
        x=0,
        y=row,
        xref="x domain",
        yref="y",
        xanchor="left",
        showarrow=False,
        font={"color": NEUTRAL, "size": 11},
    )
