"""Says where a figure has training steps: there a reader can pick the step that every panel shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go


def on_steps(figure: go.Figure, *axes: str) -> go.Figure:
    """Note in `layout.meta["steps"]` that these x axes ("x", "x2", ...; else "x") are steps; returns the figure."""
    return _noted(figure, {"steps": list(axes or ("x",))})


def at_places(figure: go.Figure, axis: str, steps: Sequence[int], places: Sequence[float]) -> go.Figure:
    """Note in `layout.meta["places"]` which step stands at which place of an axis that counts rows or frames.

    A cursor there marks the last of the `steps`, which ascend, at or before it; returns the figure.
    """
    pairs = [[int(step), float(place)] for step, place in zip(steps, places, strict=True)]
    return _noted(figure, {"places": {axis: pairs}})


def _noted(figure: go.Figure, told: dict[str, Any]) -> go.Figure:
    figure.update_layout(meta=(figure.layout.meta or {}) | told)
    return figure
