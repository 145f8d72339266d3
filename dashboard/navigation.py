"""The pages, their addresses, and what stands before each of them: a store that opens and a run that is chosen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from streamlit.navigation.page import Page

from torchglass.dashboard import links, notices
from torchglass.dashboard.choosing.organizing import listed_names
from torchglass.dashboard.choosing.state import PARAMETER, choose_run
from torchglass.dashboard.drawing.components import mount
from torchglass.dashboard.pages import (
    compare,
    devices,
    distributions,
    explain,
    kernels,
    memory,
    model,
    quality,
    report,
    runs,
    step_time,
    sweep,
    timeline,
    train,
    training,
)
from torchglass.dashboard.stepping import cursor
from torchglass.dashboard.words import choose_language, offer_languages
from torchglass.errors import NoStoreError, RunNotFoundError, StoreError, TorchglassError
from torchglass.language import mark, tr
from torchglass.store import Run, Store, open_store
from torchglass.store.location import locate

RunPage = Callable[[Store, Run], None]


class Entry(NamedTuple):
    """A page about one run; `follows` says that it is drawn anew for the step that the cursor shows."""

    section: str
    title: str
    address: str
    icon: str
    show: RunPage
    follows: bool = True


class Visit(NamedTuple):
    """What a visitor sees a page of: an open store, and the name of a run that may not be in it."""

    store: Store
    known_names: list[str]
    run_name: str


# A material icon here would be fetched from a foreign host.
SWEEP_ADDRESS, TRAIN_ADDRESS = "sweep", "train"
ICON = str(Path(__file__).parent / "assets" / "icon.svg")
LEARNING, SPEED, RUNS, WORK = mark("Learning"), mark("Speed"), mark("Runs"), mark("Work")
RUN_PAGES = (
    Entry(LEARNING, mark("Training"), "training", ":material/show_chart:", training.show, follows=False),
    Entry(LEARNING, mark("Distributions"), "distributions", ":material/stacked_bar_chart:", distributions.show),
    Entry(LEARNING, mark("Model"), "model", ":material/schema:", model.show),
    Entry(LEARNING, mark("Quality"), "quality", ":material/fact_check:", quality.show),
    Entry(LEARNING, mark("Explain"), "explain", ":material/visibility:", explain.show),
    Entry(SPEED, mark("Step time"), "step_time", ":material/stacked_line_chart:", step_time.show),
    Entry(SPEED, mark("Kernels"), "kernels", ":material/timer:", kernels.show),
    Entry(SPEED, mark("Timeline"), "timeline", ":material/view_timeline:", timeline.show),
    Entry(SPEED, mark("Devices"), "devices", ":material/memory:", devices.show),
    Entry(SPEED, mark("Memory"), "memory", ":material/data_usage:", memory.show),
    Entry(WORK, mark("Compare"), "compare", ":material/compare_arrows:", compare.show),
    Entry(WORK, mark("Report"), "report", ":material/download:", report.show, follows=False),
)


def show() -> None:
    """Run the page that the address asks for.

    The store is open for one run of the script: Streamlit starts a thread for each, and a connection belongs to one.
    """
    choose_language()
    st.set_page_config(page_title="torchglass", page_icon=ICON, layout="wide")
    with ExitStack() as stack:
        visit = _arrive(stack)
        others = {
            entry.address: st.Page(
                _content(visit, partial(_show_run, entry)),
                title=tr(entry.title),
                icon=entry.icon,
                url_path=entry.address,
            )
            for entry in RUN_PAGES
        }
        # Streamlit answers for its default page at "/" alone, so the default is the one that needs no name.
        open_run = partial(_open_run, others["training"])
        show_runs, show_sweeps = partial(_show_runs, open_run), partial(_show_sweeps, open_run)
        home = st.Page(_content(visit, show_runs), title=tr("Runs"), icon=":material/list:", default=True)
        sweeps = st.Page(
            _content(visit, show_sweeps), title=tr("Sweep"), icon=":material/tune:", url_path=SWEEP_ADDRESS
        )
        sections: dict[str, list[Page]] = {tr(RUNS): [home]}
        for entry in RUN_PAGES:
            sections.setdefault(tr(entry.section), []).append(others[entry.address])
        trains = st.Page(train.show, title=tr("Train"), icon=":material/play_arrow:", url_path=TRAIN_ADDRESS)
        old = st.Page(  # as links to the report once began
            _content(visit, partial(_show_run, RUN_PAGES[-1])),
            title=tr("Report"),
            url_path="export",
            visibility="hidden",
        )
        sections[tr(WORK)] += [sweeps, trains, old]
        links.remember({"": home, **others, SWEEP_ADDRESS: sweeps, TRAIN_ADDRESS: trains})
        page = st.navigation(sections, expanded=True)
        page.run()
        offer_languages()
        with st.sidebar:
            mount("page_language", "page-language", {})


def _arrive(stack: ExitStack) -> Visit | Callable[[], None]:
    """Open the store and choose a run; or return what to say where that is not possible."""
    try:
        location = locate(None)
        try:
            store = stack.enter_context(open_store(location, read_only=True))
        except NoStoreError:
            return partial(notices.no_store, location)
        names = listed_names(store)
    except TorchglassError as error:
        return partial(notices.broken_store, str(error))
    name = choose_run(names)
    return partial(notices.empty_store, location) if name is None else Visit(store, names, name)


def _content(visit: Visit | Callable[[], None], page: Callable[[Visit], None]) -> Callable[[], None]:
    return partial(_guarded, page, visit) if isinstance(visit, Visit) else visit


def _guarded(page: Callable[[Visit], None], visit: Visit) -> None:
    try:
        page(visit)
    except StoreError as error:
        notices.broken_store(str(error))


def _show_runs(open_run: Callable[[str], None], visit: Visit) -> None:
    runs.show(visit.store, open_run)


def _show_sweeps(open_run: Callable[[str], None], visit: Visit) -> None:
    sweep.show(visit.store, open_run)


def _open_run(page: Page, name: str) -> None:
    st.switch_page(page, query_params={PARAMETER: name})


def _show_run(entry: Entry, visit: Visit) -> None:
    try:
        run = visit.store.run(visit.run_name)
    except RunNotFoundError:
        notices.run_not_found(visit.store.location, visit.run_name, visit.known_names)
        return
    cursor.show(_last_step(visit.store, run), follows=entry.follows)
    entry.show(visit.store, run)


def _last_step(store: Store, run: Run) -> int | None:
    """The last step that the run logged something for, else the last of anything."""
    found = store.series_of(run.id, kind="scalar", rank=0) or store.series_of(run.id)
    return max((series.last_step for series in found if series.last_step is not None), default=None)
