"""Timeline: what each thread and each stream did in a profiler window, slice by slice."""

from __future__ import annotations

from functools import partial

import streamlit as st

from torchglass.charts import file_name
from torchglass.charts.text import sentence
from torchglass.charts.timeline_lanes import lanes_listing
from torchglass.charts.windows import missing_reasons, size_of
from torchglass.dashboard import notices
from torchglass.dashboard.answering.slices import timeline_of
from torchglass.dashboard.drawing.listing_table import show_listing
from torchglass.dashboard.drawing.timeline import marks_of, timeline
from torchglass.dashboard.stepping.window_choice import choose_windows, tell_window, wait_for_windows
from torchglass.exchange.chrome_trace import TABLES, chrome_trace
from torchglass.language import tr
from torchglass.store import Location, Run, Store, open_store


def show(store: Store, run: Run) -> None:
    """Draw the time line of one window, and its lanes as a table."""
    notices.run_heading(tr("Timeline"), store, run)
    windows = store.windows(run.id, rows=False)
    wait_for_windows(store.location, run, windows)
    if not windows:
        notices.nothing_recorded(tr("This run has no profiler window."), notices.PROFILE)
        return
    choice = choose_windows(run, windows, may_add_up=False)
    (window,) = choice.windows
    tell_window(choice)
    tables = store.window_tables(window.id, ("steps", "lanes"))
    if not size_of(tables.get("lanes")):
        st.info(tr("This window kept no slices."), icon=":material/info:")
        reason = missing_reasons([window]).get("slices")
        if reason:
            st.text(sentence(reason, 300))
        return
    timeline(run, window, marks_of(tables.get("steps")))
    st.download_button(
        tr("Download as a Chrome trace"),
        data=partial(_trace, store.location, window.id),
        file_name=f"{file_name(run.name)}-step-{window.step}.json.gz",
        mime="application/gzip",
        icon=":material/download:",
        help=tr("Every slice of this window, for ui.perfetto.dev or chrome://tracing"),
        on_click="ignore",
    )
    st.subheader(tr("Lanes"), anchor=False)
    show_listing(lanes_listing(timeline_of(store.location, run.uid, window.id)), "lanes")


def _trace(location: Location, window_id: int) -> bytes:
    """Write the trace when its button is pressed, which is after the page has closed its own store."""
    with open_store(location, read_only=True) as store:
        return chrome_trace(store.window_tables(window_id, TABLES))
