"""What the model looked at: explanations of one sample, of whatever kind it is, and the figures that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from torchglass.charts.explanations_pictures import PicturesData, explanations_figure, pictures_data
from torchglass.charts.explanations_table import TableData, TablePanel, table_data, table_figure
from torchglass.charts.explanations_text import TextData, TextPanel, text_data, text_figure
from torchglass.charts.explanations_words import Explained, kind_of

ExplanationsData = PicturesData | TextData | TableData
PartsPanel = TextPanel | TablePanel


def explanations_data(
    explained: Sequence[Explained], *, limits: Mapping[str, float] | None = None
) -> ExplanationsData | None:
    """Prepare all explanations of one sample; None when there is none.

    Each method has its own unit and scale: give `limits` (method to largest value) to keep one scale over time.
    """
    if not explained:
        return None
    kind = kind_of(explained[0].artifact)
    if kind == "text":
        return text_data(explained, limits=limits)
    return table_data(explained) if kind == "table" else pictures_data(explained, limits=limits)


def explanation_figures(data: ExplanationsData | None, *, dark: bool = False) -> list[go.Figure]:
    """Draw them: one figure with a row a method for a picture, one figure a method for a text or a row."""
    if isinstance(data, TextData):
        return [text_figure(panel, dark=dark) for panel in data.panels]
    if isinstance(data, TableData):
        return [table_figure(panel, dark=dark) for panel in data.panels]
    return [explanations_figure(data, dark=dark)]
