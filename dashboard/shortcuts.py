"""The section "Shortcuts" of the page Explain: the spots that were tested, and a button that orders the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from torchglass.charts.generated import picture_figure
from torchglass.charts.shortcuts import ARTIFACT_KIND, SpotData, effects_figure, shortcuts_data
from torchglass.charts.text import markdown_text
from torchglass.dashboard import job_panel
from torchglass.dashboard.figures import draw
from torchglass.dashboard.run_arguments import argument_of
from torchglass.store import Run, Store

SENTENCE_CHARACTERS = 900
ABOUT = (
    "A shortcut is a small spot, always at the same place, that a classifier decides by. Pictures are grouped by where "
    "their maps are hot; each suspected spot is then erased, and pasted into pictures of other classes. It is "
    "confirmed where both move predictions more than random spots do."
)
PICTURE_ALT = "The mean of all pictures with the spot framed, and the mean map of the group over it"
EXAMPLES_ALT = "Pictures of the group with the spot framed, and their maps over them"


def show(store: Store, run: Run, meta: Mapping[str, Any]) -> None:
    """Draw the newest search of a run of a picture classifier, and offer another; nothing for other runs.

    `meta` is that of the run's samples.
    """
    form = meta.get("form") or {}
    if form.get("kind") != "pictures" or form.get("task") != "classification":
        return
    st.subheader("Shortcuts", anchor="shortcuts")
    st.caption(ABOUT)
    found = store.artifacts(run.id, kind=ARTIFACT_KIND)
    if store.artifacts(run.id, kind="checkpoint") and st.button(
        "Look for shortcuts" if not found else "Look again", icon=":material/search:", key="shortcuts-search"
    ):
        job_panel.start("Look for shortcuts", ["shortcuts", argument_of(run)])
        st.rerun()
    if not found:
        st.info("Nobody has looked for shortcuts in this run.", icon=":material/info:")
        return
    data = shortcuts_data(found[-1], store.arrays(found[-1].id))
    if data.is_alarm:
        st.warning(markdown_text(data.summary, 300), icon=":material/warning:")
    else:
        st.success(markdown_text(data.summary, 300), icon=":material/check_circle:")
    for place, spot in enumerate(data.spots):
        if spot.confirmed:
            _spot(spot, f"shortcut-{found[-1].id}-{place}")
    doubtful = [(place, spot) for place, spot in enumerate(data.spots) if not spot.confirmed]
    if doubtful:
        with st.expander(f"Suspected and not confirmed: {len(doubtful)}", expanded=not data.is_alarm):
            for place, spot in doubtful:
                _spot(spot, f"shortcut-{found[-1].id}-{place}")


def _spot(spot: SpotData, key: str) -> None:
    with st.container(border=True):
        st.markdown(f"**{markdown_text(spot.title)}**")
        st.caption(markdown_text(spot.sentence, SENTENCE_CHARACTERS))
        pictures, effects = st.columns(2)
        with pictures:
            draw(lambda dark: picture_figure(spot.picture, dark=dark), f"{key}-mean", PICTURE_ALT)
        with effects:
            alt = "What erasing and pasting the spot moved, beside random spots"
            draw(lambda dark: effects_figure(spot, dark=dark), f"{key}-effects", alt)
        if spot.examples is not None:
            examples = spot.examples
            draw(lambda dark: picture_figure(examples, dark=dark), f"{key}-examples", EXAMPLES_ALT)
