"""The run behind a `SummaryWriter`: its folder, its steps, its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torchglass.bridges.notices import Notices
from torchglass.errors import TorchglassError
from torchglass.instrumentation import Run, start
from torchglass.instrumentation.guard import tell

_ROOTS = ("runs", "logs")  # folders that hold runs and name none


class WriterBase:
    """What all of the writer's methods share."""

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        """Start a run named after the last two folders of `log_dir`, in the store at `TORCHGLASS_STORE`.

        Args:
            log_dir: default `runs/<date>_<host><comment>`. The folder is made, because scripts put files of their
                own beside the events; nothing of ours is written there.
            comment: counts only where `log_dir` is left out.
            purge_step: let the run of this `log_dir` go on at this step, if there is one; what it had recorded from
                there on is hidden, not destroyed. Left out, a name that is taken gets a number.
            max_queue, flush_secs, filename_suffix: kept as attributes; the store has its own pace and no such files.

        Raises:
            StoreError: the store cannot be opened.
        """
        if not log_dir:
            moment = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{moment}_{socket.gethostname()}{comment}")
        self.log_dir = str(log_dir)
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        wanted = _run_name(self.log_dir)
        goes_on: dict[str, Any] = {} if purge_step is None else {"resume": True, "resume_step": int(purge_step)}
        self._run: Run = start(wanted, **goes_on)
        self._is_closed = False
        self._notices = Notices(self._run)
        self._layout: dict[str, dict[str, Any]] = {}
        self._make_folder()
        self._run.state("log_dir", self.log_dir)

    @property
    def run(self) -> Run:
        """The run that is recorded; one that was closed goes on."""
        if self._is_closed:
            self._reopen()
        return self._run

    def get_logdir(self) -> str:
        """Return the folder given as `log_dir`."""
        return self.log_dir

    def flush(self) -> None:
        """Wait until all that was recorded is in the store."""
        self._run.flush()

    def close(self) -> None:
        """Finish the run; closing again does nothing. If more is added afterwards the run goes on, as torch's does."""
        self._run.finish()
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.__exit__(kind, error, trace)
        self._is_closed = True

    def _reopen(self) -> None:
        self._is_closed = False
        try:
            self._run = start(self._run.name, resume=True)
        except TorchglassError as error:
            tell(f"torchglass: what is added now is not kept, because the run cannot go on: {error}")
            return
        self._notices = Notices(self._run)

    def _make_folder(self) -> None:
        try:
            os.makedirs(self.log_dir, exist_ok=True)
        except OSError as error:
            self._notices.say("log_dir", f"the folder {self.log_dir} cannot be made: {error}")

    def _step(self, global_step: Any) -> int:
        if global_step is None:
            self._notices.say("no_step", "a value without global_step lands on step 0, where the last of a name counts")
            return 0
        return int(global_step)

    def _save(
        self,
        kind: str,
        tag: str,
        arrays: Mapping[str, Any],
        meta: Mapping[str, Any],
        global_step: Any,
        walltime: float | None,
    ) -> None:
        self.run.save_arrays(kind, tag, arrays, meta, self._step(global_step), time=walltime)


def _run_name(log_dir: str) -> str:
    """The last two folders, without those that only hold runs: `runs/lenet/lr0.1` reads as `lenet/lr0.1`."""
    path = Path(log_dir)
    inside = path if not path.is_absolute() else Path(*path.parts[-1:])
    parts = [part for part in inside.parts if part not in (".", "..")]
    while len(parts) > 1 and parts[0] in _ROOTS:
        parts = parts[1:]
    return "/".join(parts[-2:]) or "run"
