"""The one step that every panel of every page shows: read from the address, moved in the browser or by a page.

The browser moves it without asking anybody (assets/cursor.js). A page that is drawn from the store runs anew when the
cursor rests; its script then finds the step here.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from torchglass.dashboard.drawing.components import mount

PARAMETER = "step"
MAX_DIGITS = 15
_STEP, _MOVED, _FOLLOWS = "cursor_step", "cursor_moved", "cursor_follows"


def show(last: int | None, *, follows: bool) -> None:
    """Put the slider into the sidebar and learn where the cursor stands.

    `last` is the run's last step; `follows` says that this page is to run anew for a step.
    """
    state = st.session_state
    state[_FOLLOWS] = follows
    if _STEP not in state:
        asked = st.query_params.get(PARAMETER, "")
        state[_STEP] = int(asked) if asked.isdecimal() and len(asked) <= MAX_DIGITS else None
    moved = state.setdefault(_MOVED, 0)
    place = _place_of(state.get("cursor"))
    if place is not None and place["moved"] == moved:
        state[_STEP] = place["step"]
    with st.sidebar:
        mount(
            "cursor_bar",
            "cursor",
            {"last": last, "step": state[_STEP], "follows": follows, "moved": moved},
            on_place_change=lambda: None,
            on_look_change=lambda: None,
        )


def chosen_step() -> int | None:
    """The step that the visitor chose; None where panels show what they show by themselves."""
    step: int | None = st.session_state.get(_STEP)
    return step


def followed_step() -> int | None:
    """The chosen step on a page that runs anew for each; None on one that the browser alone keeps at the step."""
    return chosen_step() if st.session_state.get(_FOLLOWS) else None


def move_cursor(step: int | None) -> None:
    """Move the cursor from a page's script, and run the page again."""
    st.session_state[_STEP] = step
    st.session_state[_MOVED] = st.session_state.get(_MOVED, 0) + 1
    st.rerun()


def _place_of(state: Any) -> dict[str, Any] | None:
    """What the browser said last: {"step": number or None, "moved": how often the page had moved the cursor}."""
    place = None if state is None else state.get("place")
    if not isinstance(place, dict) or not isinstance(place.get("moved"), int):
        return None
    step = place.get("step")
    is_step = step is None or (isinstance(step, int) and 0 <= step < 10**MAX_DIGITS)
    return {"step": step, "moved": place["moved"]} if is_step else None
