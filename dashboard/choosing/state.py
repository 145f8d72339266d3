"""Which run the page shows: the URL's `?run=name` and the picker in the sidebar say the same."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.dashboard.choosing import run_list
from torchglass.language import tr

PARAMETER = "run"
_PICKED = "picked_run"
_IN_URL = "run_in_url"


def choose_run(names: Sequence[str]) -> str | None:
    """Show the picker and return the name of the chosen run, which may be one that the store does not hold.

    A URL that has changed since the last look (a shared link, a row that was clicked), or that names a run which is
    still to come, wins over the picker; otherwise the picker is written into the URL. Without either, the newest run
    is chosen; of a URL that lists several runs, the last of them.
    """
    listed = run_list.names_in(st.query_params.get(run_list.PARAMETER, ""))
    written = st.query_params.get(PARAMETER)
    asked = listed[-1] if written is None and listed and listed[-1] in names else written
    has_changed = asked != st.session_state.get(_IN_URL)
    if asked is not None and (has_changed or st.session_state.get(_PICKED) is None):
        st.session_state[_PICKED] = asked if asked in names else None
    elif st.session_state.get(_PICKED) not in names:
        st.session_state[_PICKED] = names[0] if names else None
    nothing_picked = st.session_state[_PICKED] is None
    picked = st.sidebar.selectbox(
        tr("Run"), names, key=_PICKED, index=None if nothing_picked else 0, placeholder=tr("Choose a run")
    )
    chosen = picked if picked is not None else asked
    st.session_state[_IN_URL] = chosen
    if chosen is not None and chosen != written:
        st.query_params[PARAMETER] = chosen
    return chosen
