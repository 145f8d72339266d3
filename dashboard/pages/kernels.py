"""Kernels: where the time of a step goes, by phase, by operator and by GPU kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.charts import (
    kernels_data,
    kernels_figure,
    phase_shares_figure,
    phases_data,
    phases_figure,
    profiler_slowdown,
    read_series,
)
from torchglass.charts.kernels import KernelsData
from torchglass.charts.text import plain_text
from torchglass.dashboard import notices
from torchglass.dashboard.figures import draw
from torchglass.store import ProfilerWindow, Run, Store
from torchglass.store.records import RowKind

TABLE_ROWS = 500
KINDS: dict[RowKind, str] = {"kernel": "GPU kernels", "operator": "CPU operators"}


def show(store: Store, run: Run) -> None:
    """Draw the phases of the steps, then the tables of the profiler windows."""
    notices.run_heading("Kernels", store, run)
    phases = phases_data(read_series(store, run.id, kind="phase", max_points=None))
    windows = store.windows(run.id)
    if not phases.phases and not windows:
        notices.nothing_recorded(
            "This run recorded no phases and no profiler window.",
            "torchglass.attach(model, optimizer, profile=torchglass.every(500, steps=3))",
        )
        return
    notices.offer_refresh(run)
    if phases.phases:
        st.subheader("Phases of a step", anchor=False)
        draw(lambda dark: phase_shares_figure(phases, dark=dark), "phase_shares", "Share of each phase in the time")
        draw(lambda dark: phases_figure(phases, dark=dark), "phases", "Seconds of each phase over the steps, stacked")
        _phase_note(store, run)
    if windows:
        _tables(windows)
    else:
        st.info("The profiler has not run in this run.", icon=":material/info:")


def _phase_note(store: Store, run: Run) -> None:
    fact = next((fact.value for fact in store.facts(run.id) if fact.key == "phases" and fact.rank == 0), None)
    if not isinstance(fact, Mapping):
        return
    if fact.get("clock") == "host" and str(fact.get("device", "")).startswith("cuda"):
        st.caption("Measured by the host's clock: on a GPU, a phase is the time to launch its work, not to do it.")
    if fact.get("note"):
        st.text(plain_text(fact["note"], 300))


def _tables(windows: Sequence[ProfilerWindow]) -> None:
    kinds = [kind for kind in KINDS if any(row.kind == kind for window in windows for row in window.rows)]
    if not kinds:
        st.info("The profiler ran, and saw no operator.", icon=":material/info:")
        return
    st.subheader("Operators and kernels", anchor=False)
    kind = st.segmented_control("Kind", kinds, default=kinds[0], required=True, format_func=KINDS.__getitem__)
    top = kernels_data(windows, kind)
    draw(lambda dark: kernels_figure(top, dark=dark), "kernels", f"{KINDS[kind]} by their own time a step")
    _window_notes(windows)
    st.dataframe(
        _rows(kernels_data(windows, kind, top=TABLE_ROWS)),
        hide_index=True,
        width="stretch",
        column_config={
            "Share": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100),
            "Calls a step": st.column_config.NumberColumn(format="%.4g"),
            "Self, ms a step": st.column_config.NumberColumn(format="%.3f"),
            "Total, ms a step": st.column_config.NumberColumn(format="%.3f"),
        },
    )


def _rows(data: KernelsData) -> Mapping[str, Any]:
    steps = max(data.step_count, 1)
    return {
        "Name": list(data.names),
        "Share": (100 * data.shares).tolist(),
        "Calls a step": (data.calls / steps).tolist(),
        "Self, ms a step": (1e3 * data.self_seconds / steps).tolist(),
        "Total, ms a step": (1e3 * data.total_seconds / steps).tolist(),
    }


def _window_notes(windows: Sequence[ProfilerWindow]) -> None:
    steps = sum(window.step_count for window in windows)
    slowdown = profiler_slowdown(windows)
    slower = "" if slowdown is None else f" Profiled steps took {slowdown:.2f} times as long as others."
    st.caption(f"{steps} steps were profiled in {len(windows)} window{'s' if len(windows) != 1 else ''}.{slower}")
    for note in dict.fromkeys(str(window.facts["note"]) for window in windows if window.facts.get("note")):
        st.text(plain_text(note, 300))
