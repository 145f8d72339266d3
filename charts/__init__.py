"""Records in, one plotly figure out: `…_data` computes plain arrays, `…_figure` draws them. No page, no torch."""

from torchglass.charts.breakdown import BreakdownData, breakdown_data, breakdown_figure
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
from torchglass.charts.device_values import DeviceValue, device_values
from torchglass.charts.devices import DevicePanel, devices_data, devices_figure
from torchglass.charts.explanations import ExplanationsData, explanation_figures, explanations_data
from torchglass.charts.explanations_pictures import PicturesData, explanations_figure
from torchglass.charts.explanations_words import Explained
from torchglass.charts.gradient_flow import GradientFlowData, gradient_flow_data, gradient_flow_figure
from torchglass.charts.histograms import HistogramsData, histograms_data, histograms_figure, percentiles_figure
from torchglass.charts.honesty import HonestyData, honesty_data, remarks
from torchglass.charts.icicle import IcicleData, icicle_data, icicle_figure
from torchglass.charts.idle import IdleData, idle_data, idle_figure
from torchglass.charts.kernels import KernelsData, kernels_data, kernels_figure
from torchglass.charts.phases import (
    PhasesData,
    SharesData,
    phase_shares_figure,
    phases_data,
    phases_figure,
    shares_data,
)
from torchglass.charts.ranks import RanksData, own_work_figure, ranks_data, ranks_figure
from torchglass.charts.records import MAX_POINTS, Recorded, read_series
from torchglass.charts.ridgelines import RidgelinesData, ridgelines_data, ridgelines_figure
from torchglass.charts.roofline import RooflineData, roofline_data, roofline_figure
from torchglass.charts.scalars import Curve, ScalarsData, scalars_data, scalars_figure
from torchglass.charts.text import file_name, markdown_text, plain_text, plot_text
from torchglass.charts.theme import empty_figure
from torchglass.charts.throttling import ThrottlingData, read_throttling, throttling_data, throttling_figure
from torchglass.charts.timeline import TimelineData, timeline_data, timeline_figure
from torchglass.charts.variants import VariantsData, variants_data, variants_figure
from torchglass.charts.windows import read_tables

__all__ = [
    "MAX_POINTS",
    "BreakdownData",
    "ContributionsData",
    "Curve",
    "DevicePanel",
    "DeviceValue",
    "DistributionsData",
    "Explained",
    "ExplanationsData",
    "GradientFlowData",
    "HistogramsData",
    "HonestyData",
    "IcicleData",
    "IdleData",
    "KernelsData",
    "PhasePairsData",
    "PhasesData",
    "PicturesData",
    "RanksData",
    "Recorded",
    "RidgelinesData",
    "RooflineData",
    "ScalarsData",
    "SharesData",
    "ThrottlingData",
    "TimelineData",
    "VariantsData",
    "breakdown_data",
    "breakdown_figure",
    "contributions_data",
    "contributions_figure",
    "device_values",
    "devices_data",
    "devices_figure",
    "distributions_data",
    "distributions_figure",
    "empty_figure",
    "explanation_figures",
    "explanations_data",
    "explanations_figure",
    "file_name",
    "gradient_flow_data",
    "gradient_flow_figure",
    "histograms_data",
    "histograms_figure",
    "honesty_data",
    "icicle_data",
    "icicle_figure",
    "idle_data",
    "idle_figure",
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
    "ranks_data",
    "ranks_figure",
    "read_series",
    "read_tables",
    "read_throttling",
    "remarks",
    "ridgelines_data",
    "ridgelines_figure",
    "roofline_data",
    "roofline_figure",
    "scalars_data",
    "scalars_figure",
    "shares_data",
    "throttling_data",
    "throttling_figure",
    "timeline_data",
    "timeline_figure",
    "variants_data",
    "variants_figure",
]
