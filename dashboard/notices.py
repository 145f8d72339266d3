"""What a page says instead of content: what happened, and what to do about it. No traceback, no markup of strangers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from torchglass.charts.text import markdown_text, plain_text
from torchglass.dashboard import links
from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.stepping import at_step, cursor
from torchglass.errors import NoStoreError, StoreError
from torchglass.language import tr
from torchglass.store import Location, Run, Store, open_store

ATTACH = """import torchglass

with torchglass.attach(model, optimizer, run="my-run") as run:
    for images, labels in run.batches(loader):
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        run.log(loss=loss)
"""
PROFILE = "torchglass.attach(model, optimizer, profile=torchglass.every(500, steps=3))"
DEMO = "python -m torchglass demo"
WARNINGS = "warnings/"
WARNING_CHARACTERS = 400
SHOWN_NAMES = 5
LOOK_AGAIN_SECONDS = 2.0

_log = logging.getLogger(__name__)


def no_store(location: Location) -> None:
    """There is no store yet."""
    st.info(
        tr("No store here yet. It appears when a training run begins to record."), icon=":material/hourglass_empty:"
    )
    st.text(tr("Looked for {location}", location=location))
    _how_to_fill()
    _go_on_when(partial(_is_there, location))


def empty_store(location: Location) -> None:
    """A store without runs."""
    st.info(tr("The store holds no run yet."), icon=":material/inbox:")
    st.text(tr("Reading {location}", location=location))
    _how_to_fill()
    _go_on_when(partial(_has_runs, location))


def broken_store(reason: str) -> None:
    """What cannot be read as a store; `reason` says why and what to do."""
    st.error(tr("The store cannot be read."), icon=":material/error:")
    st.text(reason)
    st.markdown(tr("Start the page with the path of a store:"))
    st.code("python -m torchglass ui --store path/to/torchglass.db", language="bash")


def run_not_found(location: Location, name: str, known: Sequence[str]) -> None:
    """The URL names a run that is not there, or not yet: a link may be opened before training begins to record."""
    st.warning(
        tr(
            "The run in this address is not in the store. It opens here as soon as it is; or choose one in the sidebar."
        ),
        icon=":material/search_off:",
    )
    st.text(tr("Asked for: {name}", name=name))
    if known:
        st.text(tr("The newest are: {names}", names=", ".join(known[:SHOWN_NAMES])))
    _go_on_when(partial(_has_run, location, name))


def nothing_recorded(what: str, code: str, reason: str | None = None) -> None:
    """A run without what this page shows; `what`, translated, and `code` are ours, `reason` may be the run's words."""
    st.info(what, icon=":material/info:")
    if reason:
        st.text(reason)
    st.code(code, language="python")


def run_trouble(run: Run) -> None:
    """Say why a run ended before its time; nothing when it did not."""
    if run.status == "failed":
        st.error(tr("The training process stopped with an error."), icon=":material/error:")
        if run.error:
            st.code(run.error, language=None, wrap_lines=True)
    elif run.status == "lost":
        st.warning(
            tr("The training process has not been heard of for a while: it was killed, or its machine is gone."),
            icon=":material/heart_broken:",
        )


def run_heading(title: str, store: Store, run: Run) -> None:
    """Title of a page about one run, what lies at the chosen step, and what went wrong."""
    st.header(title, anchor=False)
    name = markdown_text(run.name)
    st.caption(tr("{run} · on {host}", run=name, host=markdown_text(run.host)) if run.host else name)
    at_step.show(store, run, cursor.followed_step())
    run_trouble(run)
    warnings = [fact for fact in store.facts(run.id) if fact.key.startswith(WARNINGS)]
    if warnings:
        told = tr("What torchglass could not do in this run ({count})", count=len(warnings))
        with st.expander(told, icon=":material/warning:"):
            for fact in warnings:
                st.text(plain_text(fact.value, WARNING_CHARACTERS))


def offer_refresh(run: Run) -> None:
    """A button for pages that do not draw themselves again while the run goes on."""
    if run.status == "running":
        st.button(
            tr("Refresh"), icon=":material/refresh:", help=tr("The charts of this page show one moment of the run")
        )


def page_failed(error: Exception) -> bool:
    """Show a calm sentence for what no page foresaw, and write the traceback to the server's log."""
    _log.error("a page failed", exc_info=error)
    st.error(
        tr("This page failed. The server's terminal shows why; the other pages still work."),
        icon=":material/bug_report:",
    )
    return True


def _how_to_fill() -> None:
    st.markdown(tr("Record a training run of your own:"))
    st.code(ATTACH, language="python")
    st.markdown(tr("Or see everything at work on a small model, in about a minute:"))
    st.code(DEMO, language="bash")
    links.link("train", tr("Or train a reference model from this page"), icon=":material/play_arrow:")


def _go_on_when(is_ready: Callable[[], bool]) -> None:
    """Run the whole page again as soon as there is something to show."""

    def look() -> None:
        try:
            ready = is_ready()
        except StoreError:
            ready = True  # the store went away or broke; the whole page says which
        if ready:
            st.rerun()

    fragment(look, run_every=LOOK_AGAIN_SECONDS)()


def _is_there(location: Location) -> bool:
    try:
        open_store(location, read_only=True).close()
    except NoStoreError:
        return False
    return True


def _has_run(location: Location, name: str) -> bool:
    with open_store(location, read_only=True) as store:
        return any(run.name == name for run in store.runs(archived=None))


def _has_runs(location: Location) -> bool:
    with open_store(location, read_only=True) as store:
        return bool(store.runs(archived=None))
