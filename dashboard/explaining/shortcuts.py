"""The section "Shortcuts" of the page Explain: the spots that were tested, and a button that orders the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from torchglass.charts.generated import picture_figure
from torchglass.charts.shortcuts import ARTIFACT_KIND, SpotData, effects_figure, shortcuts_data
from torchglass.charts.text import markdown_text
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.run_arguments import argument_of
from torchglass.language import mark, tr
from torchglass.store import Artifact, Run, Store

SENTENCE_CHARACTERS = 900
ABOUT = mark(
    "A shortcut is a small spot, always at the same place, that a classifier decides by. Pictures are grouped by where "
    "their maps are hot; each suspected spot is then erased, and pasted into pictures of other classes. It is "
    "confirmed where both move predictions more than random spots do."
)
PICTURE_ALT = mark("The mean of all pictures with the spot framed, and the mean map of the group over it")
EXAMPLES_ALT = mark("Pictures of the group with the spot framed, and their maps over them")


def show(store: Store, run: Run, meta: Mapping[str, Any]) -> None:
    """Draw the newest search of a run of a picture classifier, and offer another; nothing for other runs.

    `meta` is that of the run's samples.
    """
    form = meta.get("form") or {}
    if form.get("kind") != "pictures" or form.get("task") != "classification":
        return
    st.subheader(tr("Shortcuts"), anchor="shortcuts")
    st.caption(tr(ABOUT))
    found = store.artifacts(run.id, kind=ARTIFACT_KIND)
    if store.artifacts(run.id, kind="checkpoint") and st.button(
        tr("Look for shortcuts") if not found else tr("Look again"), icon=":material/search:", key="shortcuts-search"
    ):
        job_panel.start(tr("Look for shortcuts"), ["shortcuts", argument_of(run)])
        st.rerun()
    if not found:
        st.info(tr("Nobody has looked for shortcuts in this run."), icon=":material/info:")
        return
    data = shortcuts_data(found[-1], store.arrays(found[-1].id))
    if data.is_alarm:
        st.warning(markdown_text(data.summary, 300), icon=":material/warning:")
    else:
        st.success(markdown_text(data.summary, 300), icon=":material/check_circle:")
    for place, spot in enumerate(data.spots):
        if spot.confirmed:
            _spot(store, run, found[-1], spot, place)
    doubtful = [(place, spot) for place, spot in enumerate(data.spots) if not spot.confirmed]
    if doubtful:
        told = tr("Suspected and not confirmed: {count}", count=len(doubtful))
        with st.expander(told, expanded=not data.is_alarm):
            for place, spot in doubtful:
                _spot(store, run, found[-1], spot, place)


def _spot(store: Store, run: Run, artifact: Artifact, spot: SpotData, place: int) -> None:
    def source(array: str, drawing: str) -> Source:
        return Source(
            "artifact",
            {"id": artifact.id, "array": array},
            chart_code(
                store,
                run,
                "from torchglass.charts.generated import picture_figure\n"
                "from torchglass.charts.shortcuts import effects_figure, shortcuts_data",
                f'found = store.artifacts(run.id, kind="{ARTIFACT_KIND}")[-1]\n'
                f"spot = shortcuts_data(found, store.arrays(found.id)).spots[{place}]",
                drawing,
            ),
        )

    key = f"shortcut-{artifact.id}-{place}"
    with st.container(border=True):
        st.markdown(f"**{markdown_text(spot.title)}**")
        st.caption(markdown_text(spot.sentence, SENTENCE_CHARACTERS))
        pictures, effects = st.columns(2)
        with pictures:
            shown = source(f"mean_map_{place}", "picture_figure(spot.picture).show()")
            draw(lambda dark: picture_figure(spot.picture, dark=dark), f"{key}-mean", tr(PICTURE_ALT), shown)
        with effects:
            alt = tr("What erasing and pasting the spot moved, beside random spots")
            shown = source(f"mean_map_{place}", "effects_figure(spot).show()")._replace(table="")
            draw(lambda dark: effects_figure(spot, dark=dark), f"{key}-effects", alt, shown)
        if spot.examples is not None:
            examples = spot.examples
            shown = source(f"example_maps_{place}", "picture_figure(spot.examples).show()")
            draw(lambda dark: picture_figure(examples, dark=dark), f"{key}-examples", tr(EXAMPLES_ALT), shown)
