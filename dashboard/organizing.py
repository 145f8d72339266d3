"""A control that names, tags and annotates a run, puts it away, deletes it, and brings it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from torchglass.errors import TorchglassError
from torchglass.store import Location, Run, Store, open_store

MAX_NAME_CHARACTERS = 120
MAX_NOTE_CHARACTERS = 4000


def listed_runs(store: Store) -> list[Run]:
    """Runs that the page offers: those not archived, or the archived ones where there are no others."""
    return store.runs() or store.runs(archived=True)


def organize(store: Store) -> None:
    """Show the control; the page itself reads only, so each change opens the store anew."""
    known = store.runs()
    away = sorted([*store.runs(archived=True), *store.runs(deleted=True)], key=_put_away_at, reverse=True)
    with st.expander("Rename, tag, archive or delete a run", icon=":material/label:"):
        if known:
            _change_one(store.location, known)
        if away:
            _bring_back(store.location, away)


def _change_one(location: Location, runs: Sequence[Run]) -> None:
    by_id = {run.id: run for run in runs}
    run = by_id[st.selectbox("Run", list(by_id), format_func=lambda run_id: by_id[run_id].name, key="organized")]
    with st.form(f"organize-{run.id}", border=False):
        # Streamlit cuts a value that is longer than allowed, and Save would store what is left.
        name = st.text_input("Name", run.name, max_chars=max(MAX_NAME_CHARACTERS, len(run.name)))
        tags = st.multiselect("Tags", run.tags, default=run.tags, accept_new_options=True)
        note = st.text_area("Note", run.note, max_chars=max(MAX_NOTE_CHARACTERS, len(run.note)))
        if st.form_submit_button("Save"):
            _change(location, lambda store: _save(store, run, name, tags, note))
    archive, delete, _ = st.columns([1, 1, 4])
    if archive.button("Archive", width="stretch", help="Out of the way, and found by its address all the same"):
        _change(location, lambda store: store.archive(run.id))
    if delete.button("Delete", width="stretch", help="Until `torchglass purge` it can be brought back here"):
        _change(location, lambda store: store.delete(run.id))


def _bring_back(location: Location, runs: Sequence[Run]) -> None:
    by_id = {run.id: run for run in runs}
    # Without a key it starts anew when one more is put away: that one is the likeliest to be wanted back.
    chosen = st.selectbox("Archived and deleted runs", list(by_id), format_func=lambda run_id: _told(by_id[run_id]))
    if st.button("Bring back"):
        run = by_id[chosen]
        if run.deleted_at is not None:
            _change(location, lambda store: store.restore(run.id))
        else:
            _change(location, lambda store: store.archive(run.id, archived=False))


def _save(store: Store, run: Run, name: str, tags: Sequence[str], note: str) -> None:
    if name != run.name:
        store.rename(run.id, name)
    store.tag(run.id, add=tags, remove=set(run.tags) - set(tags))
    if note != run.note:
        store.annotate(run.id, note)


def _change(location: Location, change: Callable[[Store], object]) -> None:
    try:
        with open_store(location) as store:
            change(store)
    except TorchglassError as error:
        st.error("Nothing was changed.", icon=":material/error:")
        st.text(str(error))  # not as Markdown: it quotes what others named
        return
    st.rerun()


def _put_away_at(run: Run) -> float:
    return run.deleted_at or run.archived_at or 0.0


def _told(run: Run) -> str:
    return f"{run.name} ({'deleted' if run.deleted_at is not None else 'archived'})"
