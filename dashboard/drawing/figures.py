"""Puts a figure of torchglass.charts on the page; for charts that do not tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import plotly.graph_objects as go
import streamlit as st
from plotly.io.json import to_json_plotly

from torchglass.charts.plotly_js import build_for
from torchglass.dashboard.answering import api, plotly_route
from torchglass.dashboard.answering.token import TOKEN
from torchglass.dashboard.drawing.components import mount

TILE_PIXELS = 140  # two tiles beside each other on a phone


class Source(NamedTuple):
    """Where a chart's numbers come from: its complete table, and the Python that draws it from the store.

    `table` is a name of `torchglass.dashboard.answering.tables.TABLES` and `query` what that asks for; without it the
    chart offers no numbers. `code` is complete: a reader pastes it into a file and sees the same chart.
    """

    table: str = ""
    query: Mapping[str, str | int] = {}
    code: str = ""


def draw(make: Callable[[bool], go.Figure], key: str, alt: str, source: Source | None = None) -> None:
    """Draw what `make(dark)` returns, in the page's own light or dark; `alt` tells what it shows.

    The plot keeps its zoom when the page draws it again under the same key.
    """
    figure = make(st.context.theme.type == "dark")
    mount(
        "figure",
        f"figure-{key}",
        {
            "figure": to_json_plotly(figure),
            "revision": key,
            "alt": alt,
            "name": key,
            "source": source._asdict() if source is not None else None,
            "token": TOKEN,
            "paths": {"plotly": plotly_route.PATHS[build_for([figure])], "table": api.TABLE_PATH},
        },
    )
