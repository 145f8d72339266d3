"""Puts a figure of torchglass.charts on the page; for charts that do not tick."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

TILE_PIXELS = 140  # two tiles beside each other on a phone
CONFIG = {"displaylogo": False, "showSendToCloud": False}  # plotly 7 offers to upload charts unless told not to


def draw(make: Callable[[bool], go.Figure], key: str, alt: str) -> None:
    """Draw what `make(dark)` returns, in the page's own light or dark; `alt` is ours and tells what it shows."""
    figure = make(st.context.theme.type == "dark")
    st.plotly_chart(figure, theme=None, config=CONFIG, key=key, alt=alt)
