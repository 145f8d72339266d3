"""What can be done with the runs that are ticked: name, tag and annotate, put away, delete; and the way back.

The page itself reads only, so each change opens the store anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import streamlit as st

from torchglass.charts.text import markdown_text
from torchglass.dashboard import links
from torchglass.dashboard.choosing.run_list import PARAMETER as RUNS
from torchglass.dashboard.choosing.run_list import written
from torchglass.dashboard.choosing.state import PARAMETER
from torchglass.errors import TorchglassError
from torchglass.language import tr
from torchglass.store import Location, Run, Store, open_store

MAX_NAME_CHARACTERS = 120
MAX_NOTE_CHARACTERS = 4000
LONGEST_NAME = 2000  # characters; a path that names a run is shorter, and a name of a megabyte stops a browser
FEWEST_COMPARED, MOST_COMPARED = 2, 10
MOST_OFFERED = 200  # deleted runs, the newest
_CHANGED = "put_away_last"

Way = Literal["archived", "deleted"]


class PutAway(NamedTuple):
    """The last change, which can be taken back: which runs are now archived or deleted."""

    way: Way
    run_ids: tuple[int, ...]
    first_name: str


def listed_runs(store: Store) -> list[Run]:
    """Runs that the page offers: those not archived, or the archived ones where there are no others."""
    return store.runs() or store.runs(archived=True)


def listed_names(store: Store) -> list[str]:
    """Names of `listed_runs`, which are much less to read, but for those that no address and no list could hold."""
    names = store.run_names() or store.run_names(archived=True)
    return [name for name in names if len(name) <= LONGEST_NAME]


def offer_undo(location: Location) -> None:
    """Say what was put away by the last change, with a way to have it back at once."""
    change: PutAway | None = st.session_state.get(_CHANGED)
    if change is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(_told(change))
        if st.button(tr("Undo"), icon=":material/undo:", key="undo"):
            _change(location, lambda store: _take_back(store, change))


def act(location: Location, runs: Sequence[Run]) -> None:
    """Draw what can be done with the ticked runs."""
    if not runs:
        st.caption(tr("Click a cell to open a run; tick runs to compare, overlay, name, tag, archive or delete them."))
        return
    with st.container(horizontal=True):
        _go(runs)
        _put_away(location, runs)
    if len(runs) == 1:
        with st.expander(tr("Name, tags and note"), icon=":material/label:"):
            _describe(location, runs[0])


def _go(runs: Sequence[Run]) -> None:
    """Buttons to the pages that show several runs."""
    can_compare = FEWEST_COMPARED <= len(runs) <= MOST_COMPARED
    if st.button(
        tr("Compare"),
        icon=":material/compare_arrows:",
        type="primary" if can_compare else "secondary",
        disabled=not can_compare,
        help=tr("Two to ten runs side by side; the one that stands highest is what the others are compared with"),
    ):
        links.go("compare", **{RUNS: written(runs)})
    if st.button(
        tr("Overlay"),
        icon=":material/show_chart:",
        disabled=len(runs) > MOST_COMPARED,
        help=tr("The curves of these runs in the same charts"),
    ):
        others = {"with": written(runs[1:])} if len(runs) > 1 else {}
        links.go("training", **{PARAMETER: runs[0].name}, **others)
    if st.button(tr("Report"), icon=":material/download:", help=tr("One file that opens without a network")):
        links.go("report", **{RUNS: written(runs)})


def _put_away(location: Location, runs: Sequence[Run]) -> None:
    archived = [run for run in runs if run.archived_at is not None]
    if archived:
        if st.button(tr("Take out of the archive"), icon=":material/unarchive:"):
            _change(location, lambda store: [store.archive(run.id, archived=False) for run in archived])
    elif st.button(
        tr("Archive"), icon=":material/archive:", help=tr("Out of the way, and found by its address all the same")
    ):
        _change(location, lambda store: [store.archive(run.id) for run in runs], _noted("archived", runs))
    if st.button(
        tr("Delete"), icon=":material/delete:", help=tr("Until `torchglass purge` it can be brought back on this page")
    ):
        _change(location, lambda store: [store.delete(run.id) for run in runs], _noted("deleted", runs))


def _describe(location: Location, run: Run) -> None:
    with st.form(f"organize-{run.id}", border=False):
        # Streamlit cuts a value that is longer than allowed, and Save would store what is left.
        name = st.text_input(tr("Name"), run.name, max_chars=max(MAX_NAME_CHARACTERS, len(run.name)))
        tags = st.multiselect(tr("Tags"), run.tags, default=run.tags, accept_new_options=True)
        note = st.text_area(tr("Note"), run.note, max_chars=max(MAX_NOTE_CHARACTERS, len(run.note)))
        if st.form_submit_button(tr("Save")):
            _change(location, lambda store: _save(store, run, name, tags, note))


def bring_back(store: Store) -> None:
    """Offer the deleted runs, those deleted last at first."""
    deleted = sorted(store.runs(deleted=True), key=lambda run: run.deleted_at or 0.0, reverse=True)[:MOST_OFFERED]
    if not deleted:
        return
    by_id = {run.id: run for run in deleted}
    with st.expander(tr("Deleted runs ({count})", count=len(deleted)), icon=":material/restore_from_trash:"):
        # Without a key it starts anew when one more is deleted: that one is the likeliest to be wanted back.
        chosen = st.selectbox(tr("Deleted run"), list(by_id), format_func=lambda run_id: by_id[run_id].name)
        if st.button(tr("Bring back")):
            _change(store.location, lambda opened: opened.restore(chosen))


def _save(store: Store, run: Run, name: str, tags: Sequence[str], note: str) -> None:
    if name != run.name:
        store.rename(run.id, name)
    store.tag(run.id, add=tags, remove=set(run.tags) - set(tags))
    if note != run.note:
        store.annotate(run.id, note)


def _take_back(store: Store, change: PutAway) -> None:
    for run_id in change.run_ids:
        if change.way == "archived":
            store.archive(run_id, archived=False)
        else:
            store.restore(run_id)


def _change(location: Location, change: Callable[[Store], object], noted: PutAway | None = None) -> None:
    """Make a change and draw the page anew; what `noted` says can be undone until the next one."""
    try:
        with open_store(location) as store:
            change(store)
    except TorchglassError as error:
        st.error(tr("Nothing was changed."), icon=":material/error:")
        st.text(str(error))  # not as Markdown: it quotes what others named
        return
    st.session_state[_CHANGED] = noted
    st.rerun()


def _noted(way: Way, runs: Sequence[Run]) -> PutAway:
    return PutAway(way, tuple(run.id for run in runs), runs[0].name)


def _told(change: PutAway) -> str:
    count, name = len(change.run_ids), markdown_text(change.first_name, 60)
    if change.way == "archived":
        return tr("Archived {name}.", name=name) if count == 1 else tr("Archived {count} runs.", count=count)
    return tr("Deleted {name}.", name=name) if count == 1 else tr("Deleted {count} runs.", count=count)
