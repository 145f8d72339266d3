"""The two builds of plotly.js that our figures are drawn with: a browser starts the small one in a third of the time.

`cartesian.min.js` is the package plotly.js-cartesian-dist-min as its makers publish it (MIT, see LICENSE), of the
version that plotly.py brings along as a whole; a test holds the two versions together.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable
from functools import cache
from typing import Literal

import plotly.graph_objects as go

Build = Literal["cartesian", "full"]

# Of the types that the small build draws, those that we use.
CARTESIAN_TYPES = frozenset({"scatter", "bar", "heatmap", "image", "box", "histogram", "contour", "violin"})


def build_for(figures: Iterable[go.Figure]) -> Build:
    """The smallest build that draws these figures."""
    types = {trace.type or "scatter" for figure in figures for trace in figure.data}
    return "cartesian" if types <= CARTESIAN_TYPES else "full"


@cache
def source(build: Build) -> str:
    """The text of a build."""
    if build == "cartesian":
        return (importlib.resources.files(__name__) / "cartesian.min.js").read_text(encoding="utf-8")
    return (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
