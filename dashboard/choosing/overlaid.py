"""Which other runs stand in the same charts: the URL's `?with=a,b` and the picker above the charts say the same."""

from __future__ import annotations

import streamlit as st

from torchglass.dashboard.answering.live_answers import MAX_RUNS
from torchglass.dashboard.choosing.organizing import listed_runs
from torchglass.dashboard.choosing.run_list import names_in, written
from torchglass.language import tr
from torchglass.store import Run, Store

PARAMETER = "with"
_PICKED, _KEPT, _IN_URL = "overlaid_picked", "overlaid_runs", "overlaid_in_url"


def choose_overlaid(store: Store, run: Run) -> list[Run]:
    """Show the picker, where there is another run, and return the runs to draw over `run`.

    The URL wins once it changed, as with the run itself; what was picked lasts while other pages are visited.
    """
    others = {each.name: each for each in listed_runs(store) if each.id != run.id}
    if not others:
        return []
    asked = st.query_params.get(PARAMETER)
    if asked is not None and asked != st.session_state.get(_IN_URL):
        st.session_state[_KEPT] = names_in(asked)
    kept = [name for name in st.session_state.get(_KEPT, []) if name in others][: MAX_RUNS - 1]
    if st.session_state.get(_PICKED) != kept:
        st.session_state[_PICKED] = kept
    picked = st.multiselect(
        tr("Other runs in the same charts"),
        list(others),
        key=_PICKED,
        max_selections=MAX_RUNS - 1,
        placeholder=tr("Compare with other runs"),
        label_visibility="collapsed",
        on_change=_keep,
    )
    chosen = [others[name] for name in picked]
    told = written(chosen) or None
    st.session_state[_IN_URL] = told
    if told is not None and told != asked:
        st.query_params[PARAMETER] = told
    elif told is None and asked is not None:
        del st.query_params[PARAMETER]
    return chosen


def _keep() -> None:
    st.session_state[_KEPT] = list(st.session_state[_PICKED])
