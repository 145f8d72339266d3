"""Timeline: what each thread and each stream did in a profiler window, slice by slice."""

from __future__ import annotations

import streamlit as st

from torchglass.charts.text import sentence
from torchglass.charts.windows import missing_reasons, size_of
from torchglass.dashboard import notices
from torchglass.dashboard.timeline import Mark, timeline
from torchglass.dashboard.window_choice import choose_windows, wait_for_windows
from torchglass.store import Run, Store


def show(store: Store, run: Run) -> None:
    """Draw the time line of one window."""
    notices.run_heading("Timeline", store, run)
    windows = store.windows(run.id, rows=False)
    wait_for_windows(store.location, run, windows)
    if not windows:
        notices.nothing_recorded("This run has no profiler window.", notices.PROFILE)
        return
    (window,) = choose_windows(run, windows, may_add_up=False)
    tables = store.window_tables(window.id, ("steps", "lanes"))
    if not size_of(tables.get("lanes")):
        st.info("This window kept no slices.", icon=":material/info:")
        reason = missing_reasons([window]).get("slices")
        if reason:
            st.text(sentence(reason, 300))
        return
    steps = tables.get("steps")
    marks = [] if steps is None else list(map(Mark, steps["number"].tolist(), steps["start_ns"].tolist()))
    timeline(run, window, marks)
