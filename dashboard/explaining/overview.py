"""The section "Over many rows": which columns count for a model of rows; the job that finds out is ordered here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from torchglass.charts.explanations_words import class_name
from torchglass.charts.overview import ARTIFACT_KIND, overview_of
from torchglass.charts.overviews import OverviewPanel, overview_panels
from torchglass.charts.text import markdown_text
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.run_arguments import argument_of
from torchglass.language import tr
from torchglass.store import Artifact, Run, Store

OF_ROWS = ("table", "observations")
ARRAYS = {"importance": "importance", "interactions": "interactions"}  # behind a panel; the others draw the values


def show(store: Store, run: Run, meta: Mapping[str, Any]) -> None:
    """Draw the newest overview of a run of rows and offer to make one; `meta` is that of its samples."""
    if (meta.get("form") or {}).get("kind") not in OF_ROWS:
        return
    st.subheader(tr("Over many rows"), anchor=False)
    _order(store, run, meta)
    found = store.artifacts(run.id, kind=ARTIFACT_KIND)
    newest = {artifact.key: artifact for artifact in found}
    if not newest:
        st.info(tr("No overview is stored: which columns count, and how, over the test rows."), icon=":material/info:")
        return
    _show_one(store, run, _choose(newest))


def _order(store: Store, run: Run, meta: Mapping[str, Any]) -> None:
    if not store.artifacts(run.id, kind="checkpoint"):
        return
    classes = range(len(meta.get("class_names") or []))
    with st.form("overview", border=True):
        what, start = st.columns([4, 1], vertical_alignment="bottom")
        target = None
        if classes:
            target = what.selectbox(
                tr("Score of class"),
                [None, *classes],
                format_func=lambda one: _called(meta, one),
                key=f"overview-{run.id}",
            )
        else:
            what.markdown(tr("Which columns move the predicted value, over the test rows."))
        if not start.form_submit_button(tr("Look at many rows"), type="primary", width="stretch"):
            return
    arguments = ["overview", argument_of(run)]
    arguments += [] if target is None else ["--target", str(target)]
    job_panel.start(tr("Look at many rows"), arguments)
    st.rerun()


def _called(meta: Mapping[str, Any], target: int | None) -> str:
    return tr("the commonest answer") if target is None else class_name(meta, target)


def _choose(newest: Mapping[str, Artifact]) -> Artifact:
    if len(newest) == 1:
        return next(iter(newest.values()))
    chosen = st.segmented_control(
        tr("Overview of the score of"),
        list(newest),
        default=list(newest)[-1],
        required=True,
        format_func=lambda key: markdown_text(class_name(newest[key].meta, newest[key].meta.get("target"))),
    )
    return newest[str(chosen)]


def _show_one(store: Store, run: Run, artifact: Artifact) -> None:
    overview = overview_of(artifact, store.arrays(artifact.id))
    if overview is None:
        st.info(tr("The stored overview is of another version: look again to replace it."), icon=":material/info:")
        return
    st.caption(markdown_text(f"{overview.heading}. SHAP: {overview.trust}", 700))
    narrow = []
    for place, panel in enumerate(overview_panels(overview)):
        if panel.wide:
            with st.container(border=True):
                _draw(store, run, artifact, panel, place)
        else:
            narrow.append((place, panel))
    columns = st.columns(2)
    for column, (place, panel) in enumerate(narrow):
        with columns[column % 2].container(border=True):
            _draw(store, run, artifact, panel, place)


def _draw(store: Store, run: Run, artifact: Artifact, panel: OverviewPanel, place: int) -> None:
    st.markdown(f"**{markdown_text(panel.title, 100)}**")
    source = Source(
        "artifact",
        {"id": artifact.id, "array": ARRAYS.get(panel.key.partition("-")[0], "values")},
        chart_code(
            store,
            run,
            "from torchglass.charts.overview import overview_of\n"
            "from torchglass.charts.overviews import overview_panels",
            f'found = next(one for one in store.artifacts(run.id, kind="{ARTIFACT_KIND}") if one.id == {artifact.id})\n'
            "overview = overview_of(found, store.arrays(found.id))",
            f"list(overview_panels(overview))[{place}].draw().show()",
        ),
    )
    draw(lambda dark: panel.draw(dark=dark), f"overview-{artifact.id}-{panel.key}", panel.title, source)
    if panel.text:
        st.caption(markdown_text(panel.text, 400))
