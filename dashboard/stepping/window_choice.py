"""Which profiler window a page shows: the nearest to the cursor, or the newest, unless the reader chose another.

A window that is new shows up by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from torchglass.analysis.at_step import away
from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.stepping.cursor import chosen_step, move_cursor
from torchglass.errors import StoreError
from torchglass.language import tr
from torchglass.store import Location, ProfilerWindow, Run, open_store

LOOK_AGAIN_SECONDS = 2.0
BY_ITSELF, ALL = "newest", "all"


class Choice(NamedTuple):
    """The windows to show, and whether the reader picked them."""

    windows: Sequence[ProfilerWindow]
    is_by_hand: bool


def choose_windows(run: Run, windows: Sequence[ProfilerWindow], *, may_add_up: bool) -> Choice:
    """Show the picker and return the chosen windows: one, or all of them where they may be added up."""
    by_name = {_name(window, windows): window for window in windows}
    several = [ALL] if may_add_up and len(windows) > 1 else []
    step = chosen_step()
    found = newest(windows) if step is None else nearest(windows, step)
    name = _name(found, windows)
    by_itself = tr("Newest: {window}", window=name)
    if step is not None:
        by_itself = tr("Nearest to step {step}: {window}", step=f"{step:,}", window=name)
    titles = {BY_ITSELF: by_itself, ALL: tr("All {count} windows, added up", count=len(windows))}
    chosen = st.selectbox(
        tr("Profiler window"),
        [BY_ITSELF, *several, *by_name],
        format_func=lambda option: titles.get(option, option),
        key=f"window-of-{run.id}-{may_add_up}",
    )
    if chosen == ALL:
        return Choice(windows, is_by_hand=True)
    return Choice([by_name.get(chosen, found)], is_by_hand=chosen in by_name)


def tell_window(choice: Choice) -> None:
    """Say which steps the chosen window spans, and offer to move the cursor there if it stands elsewhere."""
    if len(choice.windows) != 1:
        return
    step, (first, last) = chosen_step(), span(choice.windows[0])
    steps = {"first": f"{first:,}", "last": f"{last:,}"}
    is_elsewhere = step is None or away((first, last), step) > 0
    if step is None or not is_elsewhere:
        told = tr("Window of steps {first} to {last}.", **steps)
    elif choice.is_by_hand:
        told = tr("Window of steps {first} to {last}; the cursor is at {step}.", step=f"{step:,}", **steps)
    else:
        told = tr("Window of steps {first} to {last}, the nearest to {step}.", step=f"{step:,}", **steps)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption(told, width="content")
        label = tr("Move the cursor here")
        if is_elsewhere and st.button(label, key="to-window", type="tertiary", icon=":material/my_location:"):
            move_cursor(first)


def newest(windows: Sequence[ProfilerWindow]) -> ProfilerWindow:
    """The last window, of the lowest rank."""
    return max(windows, key=lambda window: (window.step, -window.rank, window.id))


def nearest(windows: Sequence[ProfilerWindow], step: int) -> ProfilerWindow:
    """The window that holds a step, or the one nearest to it: of two the earlier, of the lowest rank."""
    return min(windows, key=lambda window: (away(span(window), step), window.step, window.rank, -window.id))


def span(window: ProfilerWindow) -> tuple[int, int]:
    """First and last step of a window."""
    return window.step, window.step + max(window.step_count, 1) - 1


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
    """Steps and, where they differ, the rank of a window; its number where that is not enough."""
    has_ranks = len({other.rank for other in windows}) > 1
    name = tr("step {step}", step=f"{window.step:,}")
    if has_ranks:
        name = tr("step {step}, rank {rank}", step=f"{window.step:,}", rank=window.rank)
    twins = [other for other in windows if (other.step, other.rank) == (window.step, window.rank)]
    if len(twins) == 1:
        return name
    return tr("{window} ({number} of {count})", window=name, number=twins.index(window) + 1, count=len(twins))
