"""The one block of JSON that carries every figure of a report, and says where the values of scalars are in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.io.json import to_json_plotly

from torchglass.charts.plotly_js import build_for
from torchglass.charts.scalars import ScalarsData
from torchglass.charts.theme import template
from torchglass.language import tr


class Scalar(NamedTuple):
    """Where the values of a scalar of a run stand: trace `trace` of figure `figure`. `run` counts from 0."""

    name: str
    run: int
    figure: int
    trace: int
    unit: str


def figures_json(figures: Sequence[go.Figure], scalars: Iterable[Scalar] = (), runs: Sequence[str] = ()) -> str:
    """Figures and both looks as JSON that may stand inside a `<script>`: it holds no `<` at all.

    A look takes a kilobyte; it is sent once and not with every figure. `full` numbers those that need all of plotly.js.
    """
    plain = [figure.to_dict() for figure in figures]
    for figure in plain:
        figure["layout"].pop("template", None)
    payload = {
        "looks": {"light": template(False), "dark": template(True)},
        "figures": plain,
        "full": [place for place, figure in enumerate(figures) if build_for([figure]) == "full"],
        "scalars": [scalar._asdict() for scalar in scalars],
        "runs": list(runs),
        "words": words(),
    }
    text: str = to_json_plotly(payload, engine="json")
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def raw_traces(data: ScalarsData, figure: go.Figure) -> list[int]:
    """The trace of each line that has its values as they were recorded: the first of its legend group."""
    found: dict[str, int] = {}
    for place, trace in enumerate(figure.data):
        found.setdefault(str(trace.legendgroup), place)
    return list(found.values())[: len(data.lines)]


def words() -> Mapping[str, str]:
    """What the report's scripts say, in the language in use."""
    return {
        "old": tr("The charts need a browser from 2023 or later; the tables and pictures do not."),
        "at": tr("At step {step}", step="{step}"),
        "name": tr("name"),
        "value": tr("value"),
        "of": tr("from step {step}", step="{step}"),
        "light": tr("Light"),
        "dark": tr("Dark"),
        "auto": tr("As the system"),
    }
