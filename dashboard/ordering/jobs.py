"""Jobs that the page starts through the command line, each its own process; results are seen in the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Literal

from torchglass.errors import OptionError

JobState = Literal["running", "done", "failed", "cancelled"]

MAX_RUNNING = 2  # more would compete with the training that is being watched
MAX_REMEMBERED = 20
LOG_LINES = 200
LINE_CHARACTERS = 500
GRACE_SECONDS = 10.0  # a training process that is interrupted still writes what it has


class Job:
    """A command of torchglass at work: its state, and the last lines that it printed."""

    def __init__(self, label: str, arguments: Sequence[str], *, clock: Callable[[], float] = time.time) -> None:
        self.label = label
        self.arguments = tuple(arguments)
        self._clock = clock
        self.started_at = clock()
        self.ended_at: float | None = None
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._is_cancelled = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torchglass", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Where the store is it learns from TORCHGLASS_STORE, as this page does; a command line, which everybody on
            # the machine may read, is no place for a password.
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl+C at the server reaches a job through `stop`, once
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process, which is what a run that it records is recorded by."""
        return self._process.pid

    @property
    def state(self) -> JobState:
        """Where the job stands."""
        code = self._process.poll()
        if code is None or self._reader.is_alive():
            return "running"
        if self._is_cancelled:
            return "cancelled"
        return "done" if code == 0 else "failed"

    @property
    def log(self) -> list[str]:
        """The last lines printed, oldest first."""
        return list(self._lines)

    @property
    def last_line(self) -> str:
        """The last line that says something: the error, when the job failed."""
        return next((line for line in reversed(self.log) if line.strip()), "")

    @property
    def seconds(self) -> float:
        """How long the job has run, or ran."""
        return (self.ended_at or self._clock()) - self.started_at

    def cancel(self) -> None:
        """Ask the job to stop as Ctrl+C would; a job that does not is killed after the grace time."""
        if self.state != "running":
            return
        self._is_cancelled = True
        _interrupt(self._process)
        threading.Thread(target=self._kill_if_deaf, daemon=True).start()

    def wait(self, timeout: float | None = None) -> JobState:
        """Block until the job has ended and all that it printed is read."""
        self._process.wait(timeout)
        self._reader.join(timeout)
        return self.state

    def _read(self, output: IO[str]) -> None:
        # A progress bar redraws its line with carriage returns, which arrive here as line ends.
        while line := output.readline(LINE_CHARACTERS):
            self._lines.append(line.rstrip())
        self._process.wait()
        self.ended_at = self._clock()

    def _kill_if_deaf(self) -> None:
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()


class JobBoard:
    """The jobs of this server, newest last."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._lock = threading.Lock()

    def start(self, label: str, arguments: Sequence[str]) -> Job:
        """Start `python -m torchglass ARGUMENTS`.

        Raises:
            OptionError: as many jobs as may run at once are running.
        """
        with self._lock:
            if sum(job.state == "running" for job in self._jobs) >= MAX_RUNNING:
                raise OptionError(f"{MAX_RUNNING} jobs are running already: wait for one to end, or cancel it")
            job = Job(label, arguments)
            self._jobs = [*self._jobs, job][-MAX_REMEMBERED:]
        return job

    def jobs(self) -> list[Job]:
        """Every remembered job, oldest first."""
        with self._lock:
            return list(self._jobs)

    def stop_all(self) -> None:
        """Cancel what runs and wait for it: a job does not outlive its server."""
        for job in self.jobs():
            job.cancel()
        for job in self.jobs():
            job.wait()


def _interrupt(process: subprocess.Popen[str]) -> None:
    if os.name == "nt":
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)


BOARD = JobBoard()
