"""A table of steps of which the visitor picks one: the cursor goes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.dashboard.stepping.cursor import move_cursor


def pick_step(columns: Mapping[str, Sequence[Any]], steps: Sequence[int], key: str, **looks: Any) -> None:
    """Show a table whose rows belong to `steps`; a row that is picked moves the cursor, once."""
    picked = st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config=looks,
    )
    rows = picked.selection.rows
    step = steps[rows[0]] if rows and rows[0] < len(steps) else None
    # The row stays picked in later runs of the page, when the cursor may have gone on.
    acted = f"{key}-picked"
    if step == st.session_state.get(acted):
        return
    st.session_state[acted] = step
    if step is not None:
        move_cursor(step)
