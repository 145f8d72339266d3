"""Which runs are compared: the URL's `?runs=a,b,c` and the picker say the same; the first is what others are held to.

An address of two runs may also say `?run=b&base=a`.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.dashboard.choosing import run_list
from torchglass.errors import RunNotFoundError
from torchglass.language import tr
from torchglass.store import Run, Store

BASE = "base"  # of the address: the run that the one in the sidebar is compared with
FEWEST, MOST = 2, 10
MOST_OFFERED = 500  # the newest; others are compared by ticking them on the first page
LETTERS = "ABCDEFGHIJ"
_PICKED, _KEPT, _IN_URL, _SIDEBAR = "compared_picked", "compared_runs", "compared_in_url", "compared_sidebar"


def choose_compared(store: Store, run: Run) -> tuple[Run, ...]:
    """Show the picker and return the chosen runs; none where there is no other run.

    The address wins once it changed, then the picker; another run in the sidebar takes the last place. At first `run`
    is compared with the one before it.
    """
    offered = store.runs(archived=None, limit=MOST_OFFERED)
    if not any(each.id != run.id for each in offered):
        return ()
    asked = st.query_params.get(run_list.PARAMETER)
    kept = _kept(store, run, asked, offered)
    st.session_state[_SIDEBAR] = run.id
    by_id = {each.id: each for each in (*offered, *kept)}
    st.session_state[_PICKED] = [each.id for each in kept]
    picked = st.multiselect(
        tr("Runs"),
        list(by_id),
        format_func=lambda run_id: by_id[run_id].name,
        key=_PICKED,
        max_selections=MOST,
        on_change=_keep,
        help=tr("Two to ten. The first one, A, is what the others are compared with"),
    )
    chosen = tuple(by_id[run_id] for run_id in picked)
    st.session_state[_KEPT] = list(picked)
    told = run_list.written(chosen)
    st.session_state[_IN_URL] = told
    if BASE in st.query_params:
        del st.query_params[BASE]
    if told != asked:
        st.query_params[run_list.PARAMETER] = told
    return chosen


def label(place: int, run: Run) -> str:
    """A run's letter and name; its name is not escaped."""
    return f"{LETTERS[place]} {run.name}"


def _kept(store: Store, run: Run, asked: str | None, offered: Sequence[Run]) -> list[Run]:
    """The runs that are to be compared before the visitor picks others."""
    base = st.query_params.get(BASE)
    if asked is not None and asked != st.session_state.get(_IN_URL):
        found = run_list.read(store, asked, MOST)
        if found.unknown:
            st.warning(tr("Not in the store:"), icon=":material/search_off:")
            st.text(", ".join(found.unknown))
        return list(found.runs)
    if base is not None:
        try:
            return [store.run(base), run]
        except RunNotFoundError as error:
            st.warning(tr("Not in the store:"), icon=":material/search_off:")
            st.text(str(error))
    kept = store.runs_with_ids(st.session_state.get(_KEPT, []))
    kept = [each for each in kept if each.deleted_at is None]
    if _SIDEBAR not in st.session_state or (not kept and _KEPT not in st.session_state):
        earlier = [each for each in offered if each.id < run.id] or [each for each in offered if each.id != run.id]
        return [earlier[0], run]
    if st.session_state[_SIDEBAR] != run.id and run.id not in {each.id for each in kept}:
        return [*kept[:-1], run] if len(kept) >= FEWEST else [*kept, run]
    return kept


def _keep() -> None:
    st.session_state[_KEPT] = list(st.session_state[_PICKED])
