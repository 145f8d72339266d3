"""Which profiler window a page shows: the newest, unless the reader chose another; a new one shows up by itself."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.dashboard.fragments import fragment
from torchglass.errors import StoreError
from torchglass.store import Location, ProfilerWindow, Run, open_store

LOOK_AGAIN_SECONDS = 2.0
NEWEST, ALL = "newest", "all"


def choose_windows(run: Run, windows: Sequence[ProfilerWindow], *, may_add_up: bool) -> Sequence[ProfilerWindow]:
    """Show the picker and return the chosen windows: one, or all of them where they may be added up."""
    by_name = {_name(window, windows): window for window in windows}
    several = [ALL] if may_add_up and len(windows) > 1 else []
    newest = max(windows, key=lambda window: (window.step, -window.rank, window.id))
    titles = {NEWEST: f"Newest: {_name(newest, windows)}", ALL: f"All {len(windows)} windows, added up"}
    chosen = st.selectbox(
        "Profiler window",
        [NEWEST, *several, *by_name],
        format_func=lambda option: titles.get(option, option),
        key=f"window-of-{run.id}-{may_add_up}",
    )
    if chosen == ALL:
        return windows
    return [by_name.get(chosen, newest)]


def wait_for_windows(location: Location, run: Run, known: Sequence[ProfilerWindow]) -> None:
    """While the run goes on, run the page again as soon as there is another window."""
    if run.status in ("running", "lost"):
        fragment(_look, run_every=LOOK_AGAIN_SECONDS)(location, run.id, len(known))


def _look(location: Location, run_id: int, known: int) -> None:
    """Look for a window more. A fragment runs without the rest of the page, so it opens the store itself."""
    try:
        with open_store(location, read_only=True) as store:
            has_more = len(store.windows(run_id, rows=False)) != known
    except StoreError:
        has_more = True  # the store went away or broke; the whole page says which
    if has_more:
        st.rerun()


def _name(window: ProfilerWindow, windows: Sequence[ProfilerWindow]) -> str:
    """Step and, where they differ, the rank of a window; its number where that is not enough."""
    has_ranks = len({other.rank for other in windows}) > 1
    name = f"step {window.step:,}{f', rank {window.rank}' if has_ranks else ''}"
    twins = [other for other in windows if (other.step, other.rank) == (window.step, window.rank)]
    return name if len(twins) == 1 else f"{name} ({twins.index(window) + 1} of {len(twins)})"
