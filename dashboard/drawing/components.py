"""Our own components: which script draws them, and how Streamlit finds their files."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

import torchglass
from torchglass.dashboard.words import words_of_scripts
from torchglass.language import language

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

PACKAGE = "torchglass"
NAMES = (
    "live",
    "timeline",
    "figure",
    "cursor_bar",
    "log_out",
    "page_language",
)  # each is drawn by assets/<name>.js, and looks as assets/<name>.css says


def mount(name: str, key: str, data: Mapping[str, Any], **callbacks: Any) -> None:
    """Put the component of a name on the page, with what its script says in the visitor's language.

    What it tells back is in `st.session_state[key]`; `callbacks` are functions without arguments, by `on_…_change`.
    """
    _declare_assets()
    told = {**data, "language": language(), "words": words_of_scripts()}
    _component(name)(key=key, data=told, **callbacks)


def _declare_assets() -> None:
    """Tell Streamlit where the components' files are.

    Streamlit's own search wants them below the folder of the package that carries the distribution's name; ours are in
    this room, which in a clone lies beside that folder.
    """
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"{PACKAGE}.{NAMES[0]}") is None:
        configs = [ComponentConfig(name, asset_dir="assets") for name in NAMES]
        manager.register_from_manifest(
            ComponentManifest(PACKAGE, torchglass.__version__, configs), Path(__file__).parents[1]
        )


@functools.cache
def _component(name: str) -> ComponentRenderer:
    # No shadow root: plotly.js puts its own styles into the document's head, where a shadow root would not see them.
    return st.components.v2.component(f"{PACKAGE}.{name}", js=f"{name}.js", css=f"{name}.css", isolate_styles=False)
