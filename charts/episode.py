"""An agent's episode: what of each observation spoke for the action that it took, and for the value it expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from torchglass.charts.explanations_words import class_name, method_name
from torchglass.charts.overview import rounded
from torchglass.charts.records import packed
from torchglass.charts.text import plain_text, plot_text, short_label
from torchglass.charts.theme import DIVERGING, NEUTRAL, PALETTE, colorscale, new_figure
from torchglass.charts.units import number
from torchglass.language import listed, tr
from torchglass.store.records import Artifact, Floats, Integers

ARTIFACT_KIND = "episode"
ROW_HEIGHT, STRIP, LINE, AROUND = 26, 48, 110, 170  # px
PARTS = ("observations", "actions", "values", "action_attributions", "value_attributions")


class EpisodeData(NamedTuple):
    """T steps of F observations; attributions (T, F) are in units of the action's logit and of the value.

    `names` (F,) and `action_names` are not escaped; `actions` (T,) index the latter.
    """

    heading: str
    names: tuple[str, ...]
    action_names: tuple[str, ...]
    observations: Floats
    actions: Integers
    values: Floats
    for_action: Floats
    for_value: Floats

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """(F,) each: how much of all that moved the action, and the value, came from an observation; sums are 1."""
        sizes = [np.abs(one).sum(axis=0) for one in (self.for_action, self.for_value)]
        action, value = (size / (size.sum() or 1.0) for size in sizes)
        return action, value


def episode_data(artifact: Artifact, arrays: Mapping[str, npt.NDArray[Any]]) -> EpisodeData | None:
    """Prepare a stored episode; None where a part is missing, as in one of another version."""
    if artifact.kind != ARTIFACT_KIND or not set(PARTS) <= arrays.keys():
        return None
    meta, count = artifact.meta, arrays["observations"].shape[1]
    names, actions = meta.get("feature_names"), arrays["actions"].astype(np.int64)
    if not isinstance(names, list) or len(names) != count:
        names = [tr("observation {place}", place=place) for place in range(count)]
    return EpisodeData(
        heading=_heading(artifact, len(actions)),
        names=tuple(map(str, names)),
        action_names=tuple(class_name(meta, index) for index in range(int(actions.max()) + 1)),
        observations=arrays["observations"].astype(np.float64),
        actions=actions,
        values=arrays["values"].astype(np.float64),
        for_action=arrays["action_attributions"].astype(np.float64),
        for_value=arrays["value_attributions"].astype(np.float64),
    )


def _heading(artifact: Artifact, steps: int) -> str:
    meta = artifact.meta
    reward = meta.get("total_reward")
    said = [_what(artifact, steps)]
    said += [] if meta.get("finished", True) else [tr("cut off there")]
    said += [tr("return {reward}", reward=number(float(reward)))] if isinstance(reward, int | float) else []
    method = method_name(meta.get("method", "shap"))
    said.append(tr("by {method}, of the agent at step {step}", method=method, step=artifact.step))
    return plain_text(listed(said), 200)


def _what(artifact: Artifact, steps: int) -> str:
    environment = plain_text(artifact.meta.get("environment", "episode"), 40)
    return tr("{environment}, {key}: {steps} steps", environment=environment, key=artifact.key, steps=number(steps))


def episode_text(data: EpisodeData) -> str:
    """Which observation moved the actions and the value most, in a sentence. Not yet escaped."""
    action, value = data.shares
    first, second = int(action.argmax()), int(value.argmax())
    return tr(
        "{first} made up {first_percent} % of what spoke for or against the actions, "
        "{second} {second_percent} % of what moved the expected value.",
        first=data.names[first],
        first_percent=f"{100 * action[first]:.0f}",
        second=data.names[second],
        second_percent=f"{100 * value[second]:.0f}",
    )


def episode_figure(data: EpisodeData, *, title: str = "", dark: bool = False) -> go.Figure:
    """Draw over time: what spoke for the action, the action, what spoke for the value, the value."""
    rows = len(data.names) * ROW_HEIGHT
    heights = [rows, STRIP, rows, LINE]
    figure = new_figure(
        dark=dark, title=plot_text(title), height=AROUND + sum(heights), showlegend=False, hovermode="closest"
    )
    captions = [
        tr("spoke for the action taken"),
        tr("action"),
        tr("spoke for the expected value"),
        tr("expected value"),
    ]
    make_subplots(
        rows=4, cols=1, figure=figure, shared_xaxes=True, row_heights=heights, vertical_spacing=0.06,
        subplot_titles=captions,
    )  # fmt: skip
    figure.update_annotations(font_size=12, x=0, xanchor="left")
    _heat(figure, 1, data, data.for_action)
    _actions(figure, data)
    _heat(figure, 3, data, data.for_value)
    steps = np.arange(len(data.values), dtype=np.int32)
    figure.add_scatter(
        x=steps, y=packed(data.values), mode="lines", line={"color": PALETTE[0], "width": 2},
        hovertemplate=tr("step {step}", step="%{x}") + ": %{y:.4g}<extra></extra>", row=4, col=1,
    )  # fmt: skip
    figure.update_xaxes(title_text=tr("step"), row=4, col=1)
    figure.update_yaxes(title_text=tr("value"), row=4, col=1)
    figure.update_xaxes(range=[-0.5, len(steps) - 0.5])
    return figure


def _heat(figure: go.Figure, row: int, data: EpisodeData, attributions: Floats) -> None:
    names = [plot_text(name, 60) for name in data.names]
    limit = float(np.abs(attributions).max()) or 1.0
    low, high = next(iter(figure.select_yaxes(row=row, col=1))).domain
    hover = [
        [
            f"{_step(step)}: {names[place]} = {rounded(data.observations[step, place])}<br>{rounded(one)}"
            for step, one in enumerate(attributions[:, place])
        ]
        for place in range(len(names))
    ]
    figure.add_heatmap(
        z=attributions.T.astype(np.float32),
        zmin=-limit,
        zmax=limit,
        colorscale=colorscale(DIVERGING),
        hovertext=hover,
        hoverinfo="text",
        colorbar={
            "len": high - low,
            "y": (low + high) / 2,
            "thickness": 8,
            "outlinewidth": 0,
            "tickvals": [-limit, 0, limit],
            "ticktext": [rounded(tick) for tick in (-limit, 0.0, limit)],
        },
        row=row,
        col=1,
    )
    labels = [short_label(name, 22) for name in data.names]
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.5, -0.5], ticks="", showgrid=False,
        row=row, col=1,
    )  # fmt: skip


def _step(step: int) -> str:
    return tr("step {step}", step=step)


def _actions(figure: go.Figure, data: EpisodeData) -> None:
    """A row of ticks for each action: which one was taken at which step."""
    names = [plot_text(name, 40) for name in data.action_names]
    figure.add_scatter(
        x=np.arange(len(data.actions), dtype=np.int32),
        y=data.actions.astype(np.int32),
        mode="markers",
        marker={"symbol": "line-ns", "size": 9, "line": {"width": 2, "color": [PALETTE[a % 6] for a in data.actions]}},
        hovertext=[f"{_step(step)}: {names[action]}" for step, action in enumerate(data.actions.tolist())],
        hoverinfo="text",
        row=2,
        col=1,
    )
    labels = [short_label(name, 22) for name in data.action_names]
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.4, -0.6], ticks="",
        gridcolor=NEUTRAL, showgrid=False, row=2, col=1,
    )  # fmt: skip
