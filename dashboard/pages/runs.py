"""Runs: the table that every visit starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.charts.units import number
from torchglass.dashboard.choosing.organizing import act, bring_back, offer_undo
from torchglass.dashboard.choosing.run_question import answer, ask, show_refusal
from torchglass.dashboard.choosing.run_table import Extra, column_config, columns, glance, offered
from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.ordering import job_panel
from torchglass.errors import StoreError
from torchglass.language import tr
from torchglass.store import Location, Run, Store, open_store

REFRESH_SECONDS = 3.0
PAGE_ROWS = 200
ROWS_IN_VIEW = 16  # the rest is scrolled to, so that what can be done with ticked runs stays in sight
ROW_PIXELS, BORDER_PIXELS = 35, 2
COLUMNS, PAGE = "columns", "page"  # widgets that keep themselves in the address under these names
_TICKED = "ticked_runs"

OpenRun = Callable[[str], None]


def show(store: Store, open_run: OpenRun) -> None:
    """Show the runs that are asked for; a click on a cell opens one, ticks choose several."""
    st.header(tr("Runs"), anchor=False)
    offer_undo(store.location)
    question = ask(store)
    found = answer(store, question)
    show_refusal(found.refusal)
    count = store.count_runs(archived=question.archived)
    shown = _page(found.ids)
    if shown:
        fragment(_table, run_every=REFRESH_SECONDS)(store.location, shown, count, question.archived, open_run)
    else:
        st.info(tr("None of {count} runs meets that.", count=number(count)), icon=":material/filter_alt_off:")
    if len(found.ids) != count:
        st.caption(tr("{found} of {count} runs.", found=number(len(found.ids)), count=number(count)))
    bring_back(store)
    job_panel.show()


def _page(run_ids: list[int]) -> list[int]:
    """The ids of the page that is chosen, where they do not fit on one."""
    pages = -(-len(run_ids) // PAGE_ROWS)
    if pages <= 1:
        return run_ids
    place = min(st.pagination(pages, key=PAGE, bind="query-params"), pages)
    return run_ids[(place - 1) * PAGE_ROWS : place * PAGE_ROWS]


def _table(location: Location, run_ids: Sequence[int], known: int, archived: bool, open_run: OpenRun) -> None:
    """Draw the table. A fragment runs without the rest of the page, so it opens the store itself."""
    try:
        with open_store(location, read_only=True) as store:
            glances = glance(store, run_ids)
            count = store.count_runs(archived=archived)
    except StoreError:
        st.rerun()  # the store went away; the whole page says so
    if count != known or not glances:
        st.rerun()
    choices = {str(each): each for each in offered(glances)}
    with st.popover(tr("Columns"), icon=":material/view_column:"):
        picked = st.multiselect(
            tr("Metrics and configuration"),
            list(choices),
            key=COLUMNS,
            bind="query-params",
            help=tr("Of a metric the last value is shown, and the best one where its name says which that is"),
        )
    extras: list[Extra] = [choices[each] for each in picked if each in choices]
    cells = columns(glances, extras)
    ids = [each.run.id for each in glances]
    ticked: set[int] = st.session_state.setdefault(_TICKED, set())
    event = st.dataframe(
        cells,
        column_config=column_config(cells),
        hide_index=True,
        width="stretch",
        height=ROW_PIXELS * (1 + min(len(ids), ROWS_IN_VIEW)) + BORDER_PIXELS,
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"],
        selection_default={"selection": {"rows": [place for place, each in enumerate(ids) if each in ticked]}},
        # Ticks are places: other rows make another table, which begins with the same runs ticked.
        key=f"runs_table_{hash(tuple(ids))}",
        placeholder="–",
        alt=tr("The runs of this store"),
    )
    opened = _opened(event["selection"])
    if opened is not None and opened < len(glances):
        open_run(glances[opened].run.name)
    chosen: list[Run] = [glances[place].run for place in event["selection"]["rows"] if place < len(glances)]
    st.session_state[_TICKED] = {run.id for run in chosen}
    act(location, chosen)


def _opened(selection: Mapping[str, Any]) -> int | None:
    """Row of the cell that was clicked."""
    return next((row for row, _ in selection["cells"]), None)
