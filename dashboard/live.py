"""Mounts the one component that draws live charts; it polls our own route, so no script runs again for a point."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

import torchglass
from torchglass.dashboard import api
from torchglass.dashboard.token import TOKEN
from torchglass.store import Run
from torchglass.store.records import SeriesKind

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

XAxis = Literal["step", "relative", "wall"]

COMPONENT = "torchglass.live"


def live_charts(run: Run, kinds: Sequence[SeriesKind], *, waiting: str, ended: str, axis: XAxis = "step") -> None:
    """Draw every series of these kinds and keep them current.

    The two sentences stand in for charts while there is none; `axis` is the horizontal axis at first.
    """
    _declare_assets()
    _component()(
        key=f"live-{'-'.join(kinds)}",
        data={
            "run": run.id,
            "kinds": list(kinds),
            "axis": axis,
            "token": TOKEN,
            "paths": {"series": api.SERIES_PATH, "window": api.WINDOW_PATH, "plotly": api.PLOTLY_PATH},
            "waiting": waiting,
            "ended": ended,
        },
    )


def _declare_assets() -> None:
    """Tell Streamlit where the component's files are.

    Streamlit's own search wants them below the folder of the package that carries the distribution's name; ours are in
    this room, which in a clone lies beside that folder.
    """
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(COMPONENT) is None:
        package, _, name = COMPONENT.partition(".")
        manifest = ComponentManifest(package, torchglass.__version__, [ComponentConfig(name, asset_dir="assets")])
        manager.register_from_manifest(manifest, Path(__file__).parent)


@functools.cache
def _component() -> ComponentRenderer:
    # No shadow root: plotly.js puts its own styles into the document's head, where a shadow root would not see them.
    return st.components.v2.component(COMPONENT, js="live.js", css="live.css", isolate_styles=False)
