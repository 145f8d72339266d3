"""Shows the jobs that this page started: how they stand, what they printed, and a way to stop them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.charts.text import markdown_text
from torchglass.charts.units import duration
from torchglass.dashboard.jobs import BOARD, Job, JobState
from torchglass.errors import OptionError

REFRESH_SECONDS = 1.0
SHOWN_JOBS = 5
SHOWN_LINES = 12
MARKS: dict[JobState, str] = {
    "running": ":material/progress_activity:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}


def start(label: str, arguments: Sequence[str]) -> bool:
    """Start a job, or say why that is not possible now and return False."""
    try:
        BOARD.start(label, arguments)
    except OptionError as error:
        st.warning("The job was not started.", icon=":material/warning:")
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
        st.fragment(_panel, run_every=REFRESH_SECONDS)(jobs, running)
    else:
        _panel(jobs, [])


def _panel(jobs: Sequence[Job], were_running: Sequence[Job]) -> None:
    for place, job in enumerate(reversed(jobs)):
        _job(job, place)
    if any(job.state != "running" for job in were_running):
        st.rerun()


def _job(job: Job, place: int) -> None:
    with st.container(border=True):
        what, stop = st.columns([5, 1], vertical_alignment="center")
        whole_seconds = float(int(job.seconds))
        what.markdown(f"{MARKS[job.state]} {markdown_text(job.label)} · {job.state} · {duration(whole_seconds)}")
        if job.state == "running" and stop.button("Cancel", key=f"cancel-{place}", width="stretch"):
            job.cancel()
        if job.state != "done":
            st.text(job.last_line)
        if job.log:
            with st.expander("What it printed"):
                st.code("\n".join(job.log[-SHOWN_LINES:]), language=None, wrap_lines=True)
