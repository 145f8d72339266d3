"""Our own components: which script draws them, and how Streamlit finds their files."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

import torchglass

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

PACKAGE = "torchglass"
NAMES = ("live", "timeline")  # each is drawn by assets/<name>.js, and looks as assets/<name>.css says


def component(name: str) -> ComponentRenderer:
    """The component of a name; its files are declared first, in every process anew."""
    _declare_assets()
    return _component(name)


def _declare_assets() -> None:
    """Tell Streamlit where the components' files are.

    Streamlit's own search wants them below the folder of the package that carries the distribution's name; ours are in
    this room, which in a clone lies beside that folder.
    """
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"{PACKAGE}.{NAMES[0]}") is None:
        configs = [ComponentConfig(name, asset_dir="assets") for name in NAMES]
        manager.register_from_manifest(
            ComponentManifest(PACKAGE, torchglass.__version__, configs), Path(__file__).parent
        )


@functools.cache
def _component(name: str) -> ComponentRenderer:
    # No shadow root: plotly.js puts its own styles into the document's head, where a shadow root would not see them.
    return st.components.v2.component(f"{PACKAGE}.{name}", js=f"{name}.js", css=f"{name}.css", isolate_styles=False)
