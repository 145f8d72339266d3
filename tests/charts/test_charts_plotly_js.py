"""The small build of plotly.js is the whole one's twin, and is chosen exactly where it suffices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from torchglass.charts.plotly_js import CARTESIAN_TYPES, build_for, source

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_both_builds_are_of_one_version() -> None:
    (version,) = re.findall(r"plotly\.js \(cartesian - minified\) v([\d.]+)", source("cartesian")[:300])
    assert version == get_plotlyjs_version()
    assert source("full") == get_plotlyjs()
    assert len(source("cartesian")) < len(source("full")) / 2


def test_a_figure_gets_the_small_build_unless_it_needs_more() -> None:
    lines, bars, icicle = go.Figure(go.Scatter()), go.Figure(go.Bar()), go.Figure(go.Icicle())
    assert build_for([lines, bars]) == "cartesian"
    assert build_for([lines, icicle]) == "full"
    assert build_for([]) == "cartesian"


@pytest.mark.browser
def test_the_small_build_draws_every_type_that_is_left_to_it(page: Page) -> None:
    page.add_script_tag(content=source("cartesian"))
    known = page.evaluate("Object.keys(Plotly.PlotSchema.get().traces)")
    assert set(known) >= CARTESIAN_TYPES
    assert "icicle" not in known
