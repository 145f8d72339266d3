"""The figures of a report, section by section, and the one block of JSON that carries them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.io.json import to_json_plotly

from torchglass.charts import (
    PicturesData,
    breakdown_figure,
    devices_figure,
    explanation_figures,
    gradient_flow_figure,
    histograms_figure,
    icicle_figure,
    idle_figure,
    kernels_figure,
    own_work_figure,
    percentiles_figure,
    phase_shares_figure,
    phases_figure,
    plain_text,
    ranks_figure,
    scalars_figure,
    timeline_figure,
    variants_figure,
)
from torchglass.charts.attribution_drift import drift_figure
from torchglass.charts.autograd_graph import autograd_graph_figure
from torchglass.charts.calibration import calibration_figure
from torchglass.charts.confusion import confusion_figure
from torchglass.charts.detections import detections_figure
from torchglass.charts.episode import episode_figure
from torchglass.charts.explanations import PartsPanel
from torchglass.charts.explanations_words import method_name
from torchglass.charts.film_strip_figures import film_strip_figures
from torchglass.charts.generated import picture_figure, sheet_figure
from torchglass.charts.icicle import ROOTS
from torchglass.charts.memory import apart, memory_figure, memory_split_figure
from torchglass.charts.over_training import GROUPS
from torchglass.charts.overviews import overview_panels
from torchglass.charts.predictions import predictions_figure
from torchglass.charts.roofline import roofline_figure
from torchglass.charts.shortcuts import effects_figure
from torchglass.charts.theme import template
from torchglass.report.contents import Contents

QUANTITY_NAMES = {
    "gradient_norm": "Gradient norm",
    "update_ratio": "Update ratio: norm of the update over norm of the weight",
    "weight_norm": "Weight norm",
}


class Drawing(NamedTuple):
    """A figure in its section. `name` is plain text, a heading and a description for screen readers."""

    section: str
    name: str
    figure: go.Figure
    wide: bool = False


def drawings(contents: Contents) -> list[Drawing]:
    """Every figure of the report, in the order in which it is read."""
    return [
        *_curves(contents),
        *_phases(contents),
        *_ranks(contents),
        *_memory(contents),
        *_layers(contents),
        *_histograms(contents),
        *(Drawing("devices", panel.title, devices_figure(panel, titled=False)) for panel in contents.devices),
        *_kernels(contents),
        *_variants(contents),
        *_model(contents),
        *_quality(contents),
        *_explanations(contents),
        *_shortcuts(contents),
        *_overviews(contents),
        *_over_training(contents),
    ]


def _curves(contents: Contents) -> Iterator[Drawing]:
    for name, data in contents.curves:
        yield Drawing("curves", plain_text(name), scalars_figure(data))


def _phases(contents: Contents) -> Iterator[Drawing]:
    if contents.phases.phases:
        yield Drawing("phases", "Time of a step by phase", phases_figure(contents.phases))
        yield Drawing("phases", "Share of the whole time", phase_shares_figure(contents.phases))


def _layers(contents: Contents) -> Iterator[Drawing]:
    for data in contents.layers:
        if data.layers:
            yield Drawing("layers", QUANTITY_NAMES[data.quantity], gradient_flow_figure(data))


def _histograms(contents: Contents) -> Iterator[Drawing]:
    for name, data in contents.histograms:
        yield Drawing("histograms", plain_text(name), histograms_figure(data))
        yield Drawing("histograms", f"{plain_text(name)}, percentiles", percentiles_figure(data))


def _ranks(contents: Contents) -> Iterator[Drawing]:
    if contents.ranks is not None and contents.ranks.phases:
        yield Drawing("ranks", "Median time of each phase in each rank", ranks_figure(contents.ranks))
        yield Drawing("ranks", "Each rank's own work over the steps", own_work_figure(contents.ranks))


def _memory(contents: Contents) -> Iterator[Drawing]:
    together, process = apart(contents.memory)
    if contents.memory.lines:
        yield Drawing("memory", "Memory over the steps", memory_figure(together))
    if process is not None:
        yield Drawing("memory", "Memory of the whole process", memory_figure(process))
    if contents.memory.parts:
        yield Drawing("memory", "Who holds it", memory_split_figure(contents.memory))


def _variants(contents: Contents) -> Iterator[Drawing]:
    for data in contents.variants:
        yield Drawing(
            "variants", f"{'Training' if data.mode == 'train' else 'Inference'}", variants_figure(data), wide=True
        )


def _explanations(contents: Contents) -> Iterator[Drawing]:
    """Words and bars; pictures stand in the page as they are."""
    for sample in contents.explanations:
        if not isinstance(sample, PicturesData):
            panels: Sequence[PartsPanel] = sample.panels
            for panel, figure in zip(panels, explanation_figures(sample), strict=True):
                yield Drawing("explanations", plain_text(panel.title, 160), figure)


def _over_training(contents: Contents) -> Iterator[Drawing]:
    for read in contents.over_training:
        name = f"{GROUPS[read.group]}: {method_name(read.method)}"
        figures = film_strip_figures(read.strip)
        names = [name] if len(figures) == 1 else [f"{name}, {plain_text(one.name)}" for one in read.strip.strips]
        for title, figure in zip(names, figures, strict=True):
            yield Drawing("over_training", title, figure, wide=read.strip.kind == "pictures")
        yield Drawing("over_training", f"{name}, drift", drift_figure(read.drift), wide=read.strip.kind == "pictures")


def _shortcuts(contents: Contents) -> Iterator[Drawing]:
    for place, spot in enumerate(contents.shortcuts.spots if contents.shortcuts else (), start=1):
        name = f"Spot {place}: {plain_text(spot.title)}"
        yield Drawing("shortcuts", name, picture_figure(spot.picture))
        yield Drawing("shortcuts", f"Spot {place}: what changing it moved", effects_figure(spot))
        if spot.examples is not None:
            name = f"Spot {place}: pictures that are hot there"
            yield Drawing("shortcuts", name, picture_figure(spot.examples), wide=True)


def _overviews(contents: Contents) -> Iterator[Drawing]:
    episode, overview = contents.overviews.episode, contents.overviews.overview
    if episode is not None:
        yield Drawing("overview", "An episode of the agent", episode_figure(episode), wide=True)
    if overview is not None:
        for panel in overview_panels(overview):
            yield Drawing("overview", panel.title, panel.draw(), wide=panel.wide)


def _model(contents: Contents) -> Iterator[Drawing]:
    for part, data in contents.judged.graphs:
        name = f"Autograd graph of {plain_text(part)}" if part else "Autograd graph"
        yield Drawing("model", name, autograd_graph_figure(data), wide=True)


def _quality(contents: Contents) -> Iterator[Drawing]:
    judged = contents.judged
    if judged.confusion is not None:
        yield Drawing("quality", "What is taken for what", confusion_figure(judged.confusion))
    if judged.calibration is not None:
        yield Drawing("quality", "Right answers by confidence", calibration_figure(judged.calibration))
    if judged.predictions is not None:
        yield Drawing("quality", "Predicted and true", predictions_figure(judged.predictions))
    if judged.detections is not None:
        yield Drawing("quality", "What is found where", detections_figure(judged.detections), wide=True)
    if judged.generated is not None:
        name = f"Generated pictures at step {judged.generated_step or 0:,}"
        yield Drawing("quality", name, sheet_figure(judged.generated), wide=True)


def _kernels(contents: Contents) -> Iterator[Drawing]:
    profile, steps = contents.profile, max(contents.profile.steps, 1)
    if profile.breakdown.devices:
        yield Drawing("kernels", "What the GPU did", breakdown_figure(profile.breakdown), wide=True)
    if profile.icicle.nodes:
        name = f"{ROOTS[profile.icicle.side]} a step by phase, module, operator and kernel"
        yield Drawing("kernels", name, icicle_figure(profile.icicle, steps=steps), wide=True)
    for data, name in ((profile.kernels, "GPU kernels by time"), (profile.operators, "Operators by their own time")):
        if data.names:
            yield Drawing("kernels", name, kernels_figure(data))
    if profile.roofline is not None and profile.roofline.operators:
        yield Drawing("kernels", "How near to the device's peak", roofline_figure(profile.roofline))
    if profile.idle.streams:
        yield Drawing("kernels", "Why streams waited", idle_figure(profile.idle, steps=steps))
    if profile.timeline.rows:
        name = f"Time line of the window at step {profile.newest_step:,}"
        yield Drawing("kernels", name, timeline_figure(profile.timeline), wide=True)


def figures_json(figures: list[go.Figure]) -> str:
    """Figures and both looks as JSON that may stand inside a `<script>`: it holds no `<` at all.

    A look takes a kilobyte; it is sent once and not with every figure.
    """
    plain = [figure.to_dict() for figure in figures]
    for figure in plain:
        figure["layout"].pop("template", None)
    payload = {"looks": {"light": template(False), "dark": template(True)}, "figures": plain}
    text: str = to_json_plotly(payload, engine="json")
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
