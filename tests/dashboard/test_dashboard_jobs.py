"""Jobs are processes of their own that the page starts, follows and stops."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torchglass.dashboard.ordering.jobs import LINE_CHARACTERS, LOG_LINES, MAX_RUNNING, Job, JobBoard
from torchglass.errors import OptionError
from torchglass.store import open_store

PATIENCE = 120.0


def test_a_job_that_succeeds_is_done_and_has_printed(tmp_path: Path) -> None:
    open_store(tmp_path / "runs.db").close()
    job = Job("list", ["runs", "--json", "--store", str(tmp_path / "runs.db")])
    assert job.wait(PATIENCE) == "done"
    assert job.log


def test_a_job_that_fails_says_why_in_its_last_line(tmp_path: Path) -> None:
    job = Job("list", ["runs", "--store", str(tmp_path / "absent" / "runs.db")])
    assert job.wait(PATIENCE) == "failed"
    assert job.last_line.startswith("torchglass: ")
    assert "absent" in job.last_line


def test_a_job_that_is_cancelled_stops_and_says_so(tmp_path: Path) -> None:
    job = Job("train", ["train", "lenet5", "--epochs", "100", "--store", str(tmp_path / "runs.db")])
    assert job.state == "running"
    job.cancel()
    assert job.wait(PATIENCE) == "cancelled"


def test_no_more_jobs_run_at_once_than_allowed(tmp_path: Path) -> None:
    board = JobBoard()
    arguments = ["train", "lenet5", "--epochs", "100", "--store", str(tmp_path / "runs.db")]
    try:
        for _ in range(MAX_RUNNING):
            board.start("train", arguments)
        with pytest.raises(OptionError, match=f"{MAX_RUNNING} jobs are running already"):
            board.start("train", arguments)
    finally:
        board.stop_all()
    assert {job.state for job in board.jobs()} == {"cancelled"}


def test_the_log_is_bounded_in_lines_and_in_characters() -> None:
    job = Job("help", ["--help"])
    job.wait(PATIENCE)
    read, write = os.pipe()
    with os.fdopen(write, "w") as output:
        output.writelines(["x" * (2 * LINE_CHARACTERS) + "\n", *(f"{number}\n" for number in range(2 * LOG_LINES))])
    with os.fdopen(read) as text:
        job._read(text)
    assert len(job.log) == LOG_LINES
    assert max(map(len, job.log)) <= LINE_CHARACTERS
    assert job.last_line == str(2 * LOG_LINES - 1)
