"""Says which axes of a figure are training steps: there a reader can pick the step that every panel shows."""

from __future__ import annotations

import plotly.graph_objects as go


def on_steps(figure: go.Figure, *axes: str) -> go.Figure:
    """Note in `layout.meta["steps"]` that these x axes ("x", "x2", ...; else "x" alone) are steps; returns the figure."""
    figure.update_layout(meta={"steps": list(axes or ("x",))})
    return figure
