"""The figures of a run's report, section by section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

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
    ridgelines_figure,
    scalars_figure,
    throttling_figure,
    timeline_figure,
    variants_figure,
)
from torchglass.charts.attribution_drift import drift_figure
from torchglass.charts.autograd_graph import autograd_graph_figure
from torchglass.charts.calibration import calibration_figure
from torchglass.charts.confusion import confusion_figure
from torchglass.charts.dead_units import dead_units_figure
from torchglass.charts.detections import detections_figure
from torchglass.charts.episode import episode_figure
from torchglass.charts.explanations import PartsPanel
from torchglass.charts.explanations_words import method_name
from torchglass.charts.film_strip_figures import film_strip_figures
from torchglass.charts.generated import picture_figure, sheet_figure
from torchglass.charts.icicle import ROOTS
from torchglass.charts.memory import apart, memory_figure, memory_split_figure
from torchglass.charts.memory_peak import peak_figure
from torchglass.charts.over_training import GROUPS
from torchglass.charts.overviews import overview_panels
from torchglass.charts.predictions import predictions_figure
from torchglass.charts.roofline import roofline_figure
from torchglass.charts.scalars import ScalarsData
from torchglass.charts.shortcuts import effects_figure
from torchglass.charts.what_if import checkpoints_figure, scores_figure
from torchglass.language import mark, tr
from torchglass.report.contents import Contents
from torchglass.report.options import EVERYTHING, Options

QUANTITY_NAMES = {
    "gradient_norm": mark("Gradient norm"),
    "update_ratio": mark("Update ratio: norm of the update over norm of the weight"),
    "weight_norm": mark("Weight norm"),
}


class Drawing(NamedTuple):
    """A figure in its section. `name` is plain text, a heading and a description for screen readers.

    `scalars` are the lines of a chart of scalars: their values stand in the table of the chosen step.
    """

    section: str
    name: str
    figure: go.Figure
    wide: bool = False
    scalars: ScalarsData | None = None


def drawings(contents: Contents, options: Options = EVERYTHING) -> list[Drawing]:
    """Every figure of a run's sections, in the order in which it is read."""
    return [drawing for section, draw in _DRAW.items() if options.wants(section) for drawing in draw(contents)]


def _curves(contents: Contents) -> Iterator[Drawing]:
    for name, data in contents.curves:
        yield Drawing("curves", plain_text(name), scalars_figure(data), scalars=data)


def _phases(contents: Contents) -> Iterator[Drawing]:
    if contents.phases.phases:
        yield Drawing("phases", tr("Time of a step by phase"), phases_figure(contents.phases))
        yield Drawing("phases", tr("Share of the whole time"), phase_shares_figure(contents.phases))
    for chart in contents.resources.work:
        yield Drawing("phases", plain_text(chart.title), scalars_figure(chart.data), scalars=chart.data)


def _layers(contents: Contents) -> Iterator[Drawing]:
    for data in contents.layers:
        if data.layers:
            yield Drawing("layers", tr(QUANTITY_NAMES[data.quantity]), gradient_flow_figure(data))
    if contents.dead_units.layers:
        yield Drawing("layers", tr("Share of dead units of each layer"), dead_units_figure(contents.dead_units))


def _histograms(contents: Contents) -> Iterator[Drawing]:
    for name, data, ridges in contents.histograms:
        told = plain_text(name)
        yield Drawing("histograms", told, histograms_figure(data))
        yield Drawing("histograms", tr("{name}, percentiles", name=told), percentiles_figure(data))
        if ridges is not None:
            yield Drawing("histograms", tr("{name}, ridgelines", name=told), _light(ridgelines_figure(ridges)))


def _light(figure: go.Figure) -> go.Figure:
    """Ridgelines without a sentence at each of their thousands of corners, which would weigh more than all else."""
    figure.update_traces(text=None, hovertemplate=None, hoverinfo="skip", selector={"fill": "toself"})
    return figure


def _ranks(contents: Contents) -> Iterator[Drawing]:
    if contents.ranks is not None and contents.ranks.phases:
        yield Drawing("ranks", tr("Median time of each phase in each rank"), ranks_figure(contents.ranks))
        yield Drawing("ranks", tr("Each rank's own work over the steps"), own_work_figure(contents.ranks))


def _memory(contents: Contents) -> Iterator[Drawing]:
    together, process = apart(contents.memory)
    if contents.memory.lines:
        yield Drawing("memory", tr("Memory over the steps"), memory_figure(together))
    if process is not None:
        yield Drawing("memory", tr("Memory of the whole process"), memory_figure(process))
    if contents.memory.parts:
        yield Drawing("memory", tr("Who holds it"), memory_split_figure(contents.memory))
    for peak in contents.resources.peaks:
        name = tr("Largest allocations of the peak at step {step}", step=f"{peak.step:,}")
        yield Drawing("memory", name, peak_figure(peak.data), wide=True)


def _devices(contents: Contents) -> Iterator[Drawing]:
    throttling = contents.resources.throttling
    if throttling.stretches:
        yield Drawing("devices", tr("Step time while a GPU was held back"), throttling_figure(throttling), wide=True)
    for panel in contents.devices:
        yield Drawing("devices", plain_text(tr(panel.title)), devices_figure(panel, titled=False))


def _variants(contents: Contents) -> Iterator[Drawing]:
    for data in contents.variants:
        name = tr("Training") if data.mode == "train" else tr("Inference")
        yield Drawing("variants", name, variants_figure(data), wide=True)


def _explanations(contents: Contents) -> Iterator[Drawing]:
    """Words and bars; pictures stand in the page as they are."""
    for sample in contents.explanations:
        if not isinstance(sample, PicturesData):
            panels: Sequence[PartsPanel] = sample.panels
            for panel, figure in zip(panels, explanation_figures(sample), strict=True):
                yield Drawing("explanations", plain_text(panel.title, 160), figure)


def _what_if(contents: Contents) -> Iterator[Drawing]:
    for data in contents.what_ifs:
        yield Drawing("what_if", tr("Scores before and after"), scores_figure(data))
        yield Drawing("what_if", tr("The same over the checkpoints"), checkpoints_figure(data))


def _over_training(contents: Contents) -> Iterator[Drawing]:
    for read in contents.over_training:
        name = f"{tr(GROUPS[read.group])}: {method_name(read.method)}"
        figures = film_strip_figures(read.strip)
        names = [name] if len(figures) == 1 else [f"{name}, {plain_text(one.name)}" for one in read.strip.strips]
        for title, figure in zip(names, figures, strict=True):
            yield Drawing("over_training", title, figure, wide=read.strip.kind == "pictures")
        drift = tr("{name}, drift", name=name)
        yield Drawing("over_training", drift, drift_figure(read.drift), wide=read.strip.kind == "pictures")


def _shortcuts(contents: Contents) -> Iterator[Drawing]:
    for place, spot in enumerate(contents.shortcuts.spots if contents.shortcuts else (), start=1):
        name = tr("Spot {place}: {name}", place=place, name=plain_text(spot.title))
        yield Drawing("shortcuts", name, picture_figure(spot.picture))
        yield Drawing("shortcuts", tr("Spot {place}: what changing it moved", place=place), effects_figure(spot))
        if spot.examples is not None:
            name = tr("Spot {place}: pictures that are hot there", place=place)
            yield Drawing("shortcuts", name, picture_figure(spot.examples), wide=True)


def _overviews(contents: Contents) -> Iterator[Drawing]:
    episode, overview = contents.overviews.episode, contents.overviews.overview
    if episode is not None:
        yield Drawing("overview", tr("An episode of the agent"), episode_figure(episode), wide=True)
    if overview is not None:
        for panel in overview_panels(overview):
            yield Drawing("overview", panel.title, panel.draw(), wide=panel.wide)


def _model(contents: Contents) -> Iterator[Drawing]:
    for part, data in contents.judged.graphs:
        name = tr("Autograd graph of {part}", part=plain_text(part)) if part else tr("Autograd graph")
        yield Drawing("model", name, autograd_graph_figure(data), wide=True)


def _quality(contents: Contents) -> Iterator[Drawing]:
    judged = contents.judged
    if judged.confusion is not None:
        yield Drawing("quality", tr("What is taken for what"), confusion_figure(judged.confusion))
    if judged.calibration is not None:
        yield Drawing("quality", tr("Right answers by confidence"), calibration_figure(judged.calibration))
    if judged.predictions is not None:
        yield Drawing("quality", tr("Predicted and true"), predictions_figure(judged.predictions))
    if judged.detections is not None:
        yield Drawing("quality", tr("What is found where"), detections_figure(judged.detections), wide=True)
    if judged.generated is not None:
        name = tr("Generated pictures at step {step}", step=f"{judged.generated_step or 0:,}")
        yield Drawing("quality", name, sheet_figure(judged.generated), wide=True)


def _kernels(contents: Contents) -> Iterator[Drawing]:
    profile, steps = contents.profile, max(contents.profile.steps, 1)
    if profile.breakdown.devices:
        yield Drawing("kernels", tr("What the GPU did"), breakdown_figure(profile.breakdown), wide=True)
    if profile.icicle.nodes:
        name = tr("{time} a step by phase, module, operator and kernel", time=tr(ROOTS[profile.icicle.side]))
        yield Drawing("kernels", name, icicle_figure(profile.icicle, steps=steps), wide=True)
    if profile.kernels.names:
        yield Drawing("kernels", tr("GPU kernels by time"), kernels_figure(profile.kernels))
    if profile.operators.names:
        yield Drawing("kernels", tr("Operators by their own time"), kernels_figure(profile.operators))
    if profile.roofline is not None and profile.roofline.operators:
        yield Drawing("kernels", tr("How near to the device's peak"), roofline_figure(profile.roofline))
    if profile.idle.streams:
        yield Drawing("kernels", tr("Why streams waited"), idle_figure(profile.idle, steps=steps))


def _timeline(contents: Contents) -> Iterator[Drawing]:
    profile = contents.profile
    if profile.timeline.rows:
        name = tr("Time line of the window at step {step}", step=f"{profile.newest_step:,}")
        yield Drawing("timeline", name, timeline_figure(profile.timeline), wide=True)


_DRAW = {
    "curves": _curves,
    "phases": _phases,
    "ranks": _ranks,
    "memory": _memory,
    "layers": _layers,
    "histograms": _histograms,
    "devices": _devices,
    "kernels": _kernels,
    "timeline": _timeline,
    "variants": _variants,
    "model": _model,
    "quality": _quality,
    "explanations": _explanations,
    "what_if": _what_if,
    "shortcuts": _shortcuts,
    "overview": _overviews,
    "over_training": _over_training,
}
