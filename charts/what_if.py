"""What a model says of a sample before and after a change, now and at earlier checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.cursor import on_steps
from torchglass.charts.explanations_words import class_name
from torchglass.charts.pictures import rgb
from torchglass.charts.text import plain_text, plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, Picture, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import clauses, mark, tr
from torchglass.store.records import Artifact, Floats

ARTIFACT_KIND = "what_if"
MAX_CLASSES = 12  # bars; of more those that change most
MAX_TICKS = 6  # checkpoints up to which each has its step written below it
HEIGHT = 260  # px
_NOTHING = mark("No change of this sample was tried: try one with torchglass what-if.")


class WhatIfData(NamedTuple):
    """A change and its outcome; texts are not escaped.

    `names` (k,) are the classes drawn, "" for a single value; `before` and `after` (k,) their scores at the last
    checkpoint, in per cent where they are probabilities. `steps` (s,) are the checkpoints with the target's score
    before and after. `pictures` are the sample and the changed one, (H, W, 3), None for what is no picture.
    """

    told: str
    summary: str
    target: str
    unit: str
    names: tuple[str, ...]
    before: Floats
    after: Floats
    steps: tuple[int, ...]
    target_before: Floats
    target_after: Floats
    pictures: tuple[Picture, Picture] | None


def what_if_data(artifact: Artifact, arrays: Mapping[str, npt.NDArray[Any]]) -> WhatIfData:
    """Prepare a stored trial."""
    meta = artifact.meta
    is_share = meta.get("shown_as") == "probability"
    factor = 100.0 if is_share else 1.0
    before, after = factor * arrays["shown_before"], factor * arrays["shown_after"]
    target = int(meta.get("target", 0))
    chosen = np.sort(np.argsort(-np.abs(after[-1] - before[-1]), kind="stable")[:MAX_CLASSES])
    several = before.shape[1] > 1
    name = class_name(meta, target) if several else "value"
    return WhatIfData(
        told=plain_text(meta.get("told", ""), 200),
        summary=_summary(meta, name, before[-1], after[-1], target, unit=" %" if is_share else ""),
        target=name,
        unit="%" if is_share else "",
        names=tuple(class_name(meta, int(label)) if several else "" for label in chosen),
        before=before[-1][chosen],
        after=after[-1][chosen],
        steps=tuple(int(step) for step in meta.get("steps", ())),
        target_before=before[:, target],
        target_after=after[:, target],
        pictures=_pictures(arrays["input"], arrays["changed"]) if meta.get("kind") == "pictures" else None,
    )


def _pictures(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> tuple[Picture, Picture]:
    """Both (C, H, W) in one range of brightness: what did not change looks the same."""
    both = rgb(np.concatenate((before, after), axis=2))
    return both[:, : before.shape[2]], both[:, before.shape[2] :]


def _summary(meta: Mapping[str, Any], name: str, before: Floats, after: Floats, target: int, *, unit: str) -> str:
    told = tr(
        "{name}: {before} before, {after} after",
        name=name,
        before=f"{_rounded(before[target])}{unit}",
        after=f"{_rounded(after[target])}{unit}",
    )
    if len(before) > 1:
        first, second = int(before.argmax()), int(after.argmax())
        names = {"before": class_name(meta, first), "after": class_name(meta, second)}
        same = tr("still predicted {after}", **names)
        told = clauses([told, same if first == second else tr("predicted {after} instead of {before}", **names)])
    ways = int(meta.get("ways", 1))
    filled = f" ({tr('mean of {count} fills', count=ways)})" if ways > 1 else ""
    return plain_text(f"{told}{filled}.", 300)


def _rounded(value: float) -> str:
    return number(float(f"{value:.3g}"))


def scores_figure(data: WhatIfData | None, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw each class's score before and after, at the last checkpoint."""
    if data is None:
        return empty_figure(plot_text(reason or tr(_NOTHING), 300), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, barmode="group", bargap=0.25)
    places = list(range(len(data.names)))  # names may be alike where they are cut
    for values, name, color in ((data.before, tr("before"), NEUTRAL), (data.after, tr("after"), PALETTE[0])):
        figure.add_bar(
            x=places,
            y=values,
            name=name,
            marker={"color": color},
            hovertemplate=f"{name}: %{{y:.3g}}{' %' if data.unit else ''}<extra></extra>",
        )
    figure.update_yaxes(title_text=tr("probability, %") if data.unit else tr("score"))
    figure.update_xaxes(tickvals=places, ticktext=[plot_text(name, 30) for name in data.names])
    return figure


def checkpoints_figure(data: WhatIfData | None, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw the target's score before and after the change, over the checkpoints."""
    if data is None:
        return empty_figure(plot_text(reason or tr(_NOTHING), 300), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, hovermode="x unified")
    lines = ((data.target_before, tr("before"), NEUTRAL), (data.target_after, tr("after"), PALETTE[0]))
    for values, name, color in lines:
        figure.add_scatter(
            x=list(data.steps),
            y=values,
            mode="lines+markers",
            name=name,
            line={"color": color},
            hovertemplate=f"%{{y:.3g}}{' %' if data.unit else ''}",
        )
    of = f"{plot_text(data.target, 30)}, %" if data.unit else plot_text(data.target, 30)
    figure.update_yaxes(title_text=of, rangemode="tozero" if data.unit else "normal")
    figure.update_xaxes(title_text=tr("step of the checkpoint"))
    if len(data.steps) <= MAX_TICKS:
        figure.update_xaxes(tickvals=list(data.steps))
    return on_steps(figure)
