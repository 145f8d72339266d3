"""Records in, one plotly figure out: `…_data` computes plain arrays, `…_figure` draws them. No page, no torch."""

from torchglass.charts.devices import DevicePanel, devices_data, devices_figure
from torchglass.charts.explanations import Explained, ExplanationsData, explanations_data, explanations_figure
from torchglass.charts.gradient_flow import GradientFlowData, gradient_flow_data, gradient_flow_figure
from torchglass.charts.histograms import HistogramsData, histograms_data, histograms_figure, percentiles_figure
from torchglass.charts.kernels import KernelsData, kernels_data, kernels_figure, profiler_slowdown
from torchglass.charts.phases import PhasesData, phase_shares_figure, phases_data, phases_figure
from torchglass.charts.records import MAX_POINTS, Recorded, read_series
from torchglass.charts.ridgelines import RidgelinesData, ridgelines_data, ridgelines_figure
from torchglass.charts.scalars import Curve, ScalarsData, scalars_data, scalars_figure
from torchglass.charts.text import file_name, markdown_text, plain_text, plot_text
from torchglass.charts.theme import empty_figure

__all__ = [
    "MAX_POINTS",
    "Curve",
    "DevicePanel",
    "Explained",
    "ExplanationsData",
    "GradientFlowData",
    "HistogramsData",
    "KernelsData",
    "PhasesData",
    "Recorded",
    "RidgelinesData",
    "ScalarsData",
    "devices_data",
    "devices_figure",
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
    "percentiles_figure",
    "phase_shares_figure",
    "phases_data",
    "phases_figure",
    "plain_text",
    "plot_text",
    "profiler_slowdown",
    "read_series",
    "ridgelines_data",
    "ridgelines_figure",
    "scalars_data",
    "scalars_figure",
]
