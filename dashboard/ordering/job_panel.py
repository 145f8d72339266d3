"""Shows the jobs that this page started: how they stand, what they print, the run they record, a way to stop them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.charts.text import markdown_text
from torchglass.charts.units import duration
from torchglass.dashboard import links
from torchglass.dashboard.choosing.state import PARAMETER
from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.ordering.jobs import BOARD, Job, JobState
from torchglass.errors import OptionError, TorchglassError
from torchglass.language import mark, tr
from torchglass.store import Run, open_store
from torchglass.store.location import locate

REFRESH_SECONDS = 1.0
SHOWN_JOBS = 5
SHOWN_LINES = 12
MARKS: dict[JobState, str] = {
    "running": ":material/progress_activity:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}
STATES: dict[JobState, str] = {
    "running": mark("running"),
    "done": mark("done"),
    "failed": mark("failed"),
    "cancelled": mark("cancelled"),
}
RECORDING = ("train", "sweep")  # verbs that record runs, in the process of the job itself
NEWEST_RUNS = 50  # among which a job's own is looked for


def start(label: str, arguments: Sequence[str]) -> bool:
    """Start a job, or say why that is not possible now and return False."""
    try:
        BOARD.start(label, arguments)
    except OptionError as error:
        st.warning(tr("The job was not started."), icon=":material/warning:")
        st.text(str(error))
        return False
    return True


def show() -> None:
    """Draw the newest jobs; while one runs the panel draws itself again, and the page once it has ended."""
    jobs = BOARD.jobs()[-SHOWN_JOBS:]
    if not jobs:
        return
    running = [job for job in jobs if job.state == "running"]
    if running:
        fragment(_panel, run_every=REFRESH_SECONDS)(jobs, running)
    else:
        _panel(jobs, [])


def _panel(jobs: Sequence[Job], were_running: Sequence[Job]) -> None:
    newest = _newest_runs() if any(job.arguments[0] in RECORDING for job in jobs) else []
    for place, job in enumerate(reversed(jobs)):
        _job(job, place, run_of(job, newest))
    if any(job.state != "running" for job in were_running):
        st.rerun()


def _job(job: Job, place: int, run: Run | None) -> None:
    with st.container(border=True):
        what, stop = st.columns([5, 1], vertical_alignment="center")
        state, whole_seconds = job.state, float(int(job.seconds))
        what.markdown(f"{MARKS[state]} {markdown_text(job.label)} · {tr(STATES[state])} · {duration(whole_seconds)}")
        if state == "running" and stop.button(tr("Stop"), key=f"cancel-{place}", width="stretch"):
            job.cancel()
        if state != "done":
            st.text(job.last_line)
        if run is not None:
            links.link(
                "training",
                tr("Watch {run}", run=markdown_text(run.name)),
                icon=":material/show_chart:",
                **{PARAMETER: run.name},
            )
        if job.log:
            with st.expander(tr("What it printed")):
                st.code("\n".join(job.log[-SHOWN_LINES:]), language=None, wrap_lines=True)


def run_of(job: Job, runs: Sequence[Run]) -> Run | None:
    """The newest of `runs` (newest first) that the job records, or recorded; None before it does."""
    if job.arguments[0] not in RECORDING:
        return None
    return next((run for run in runs if run.pid == job.pid and run.heartbeat_at >= job.started_at), None)


def _newest_runs() -> list[Run]:
    try:
        with open_store(locate(None), read_only=True) as store:
            return store.runs(archived=None, limit=NEWEST_RUNS)
    except TorchglassError:
        return []  # no store yet, or none that can be read: the page itself says so
