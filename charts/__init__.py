"""Records in, one plotly figure out: `…_data` computes plain arrays, `…_figure` draws them. No page, no torch."""

from torchglass.charts.comparison import (
    ContributionsData,
    DistributionsData,
    PhasePairsData,
    contributions_data,
    contributions_figure,
    distributions_data,
    distributions_figure,
    phase_pairs_data,
    phase_pairs_figure,
)
from torchglass.charts.devices import DevicePanel, devices_data, devices_figure
from torchglass.charts.explanations import Explained, ExplanationsData, explanations_data, explanations_figure
from torchglass.charts.gradient_flow import GradientFlowData, gradient_flow_data, gradient_flow_figure
from torchglass.charts.histograms import HistogramsData, histograms_data, histograms_figure, percentiles_figure
from torchglass.charts.kernels import KernelsData, kernels_data, kernels_figure, profiler_slowdown
from torchglass.charts.phases import PhasesData, phase_shares_figure, phases_data, phases_figure
from torchglass.charts.ranks import RanksData, own_work_figure, ranks_data, ranks_figure
from torchglass.charts.records import MAX_POINTS, Recorded, read_series
from torchglass.charts.ridgelines import RidgelinesData, ridgelines_data, ridgelines_figure
from torchglass.charts.scalars import Curve, ScalarsData, scalars_data, scalars_figure
from torchglass.charts.text import file_name, markdown_text, plain_text, plot_text
from torchglass.charts.theme import empty_figure

__all__ = [
    "MAX_POINTS",
    "ContributionsData",
    "Curve",
    "DevicePanel",
    "DistributionsData",
    "Explained",
    "ExplanationsData",
    "GradientFlowData",
    "HistogramsData",
    "KernelsData",
    "PhasePairsData",
    "PhasesData",
    "RanksData",
    "Recorded",
    "RidgelinesData",
    "ScalarsData",
    "contributions_data",
    "contributions_figure",
    "devices_data",
    "devices_figure",
    "distributions_data",
    "distributions_figure",
    "empty_figure",
    "explanations_data",
    "explanations_figure",
    "file_name",
    "gradient_flow_data",
    "gradient_flow_figure",
    "histograms_data",
    "histograms_figure",
    "kernels_data",
    "kernels_figure",
    "markdown_text",
    "own_work_figure",
    "percentiles_figure",
    "phase_pairs_data",
    "phase_pairs_figure",
    "phase_shares_figure",
    "phases_data",
    "phases_figure",
    "plain_text",
    "plot_text",
    "profiler_slowdown",
    "ranks_data",
    "ranks_figure",
    "read_series",
    "ridgelines_data",
    "ridgelines_figure",
    "scalars_data",
    "scalars_figure",
]
