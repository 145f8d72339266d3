"""The section "An episode": what an agent saw when it acted; the job that plays and explains one is ordered here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from torchglass.charts.episode import ARTIFACT_KIND, episode_data, episode_figure, episode_text
from torchglass.charts.text import markdown_text
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.run_arguments import argument_of
from torchglass.language import mark, tr
from torchglass.store import Run, Store

LARGEST_SEED = 2**31 - 1
LEGEND = mark(
    "Red spoke for the action that was taken, or for a larger value, and blue against it, beside what is seen at "
    "random play. Where a column of the map is red for one observation alone, that observation decided."
)


def show(store: Store, run: Run, meta: Mapping[str, Any]) -> None:
    """Draw the newest explained episode of an agent's run and offer another; `meta` is that of its samples."""
    if (meta.get("form") or {}).get("kind") != "observations":
        return
    st.subheader(tr("An episode"), anchor=False)
    _order(store, run)
    found = store.artifacts(run.id, kind=ARTIFACT_KIND)
    if not found:
        st.info(tr("No episode is stored: what the agent saw when it acted, step by step."), icon=":material/info:")
        return
    newest = found[-1]
    data = episode_data(newest, store.arrays(newest.id))
    if data is None:
        st.info(tr("The stored episode is of another version: play one again to replace it."), icon=":material/info:")
        return
    st.caption(markdown_text(data.heading, 240))
    alt = tr("Attribution of each observation over time, the actions taken and the expected value")
    source = Source(
        "artifact",
        {"id": newest.id, "array": "action_attributions"},
        chart_code(
            store,
            run,
            "from torchglass.charts.episode import episode_data, episode_figure",
            f'found = store.artifacts(run.id, kind="{ARTIFACT_KIND}")[-1]\n'
            "data = episode_data(found, store.arrays(found.id))",
            "episode_figure(data).show()",
        ),
    )
    draw(lambda dark: episode_figure(data, dark=dark), f"episode-{newest.id}", alt, source)
    st.caption(markdown_text(episode_text(data), 300))
    st.caption(tr(LEGEND))


def _order(store: Store, run: Run) -> None:
    if not store.artifacts(run.id, kind="checkpoint"):
        return
    with st.form("episode", border=True):
        seed, start = st.columns([4, 1], vertical_alignment="bottom")
        chosen = seed.number_input(tr("Seed of its beginning"), 0, LARGEST_SEED, 0, key=f"episode-{run.id}")
        if not start.form_submit_button(tr("Play and explain"), type="primary", width="stretch"):
            return
    job_panel.start(tr("Explain an episode"), ["explain", argument_of(run), "--episode", "--seed", str(int(chosen))])
    st.rerun()
