"""The run behind a `SummaryWriter`: its folder, its steps, its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torchglass.bridges.configuration import LateConfig
from torchglass.bridges.notices import Notices
from torchglass.instrumentation import Run, start

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
            purge_step: the step from which an earlier run of this `log_dir` goes on; stated in the run as "purge_step".
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
        self.run: Run = start(_run_name(self.log_dir))
        self._notices = Notices(self.run)
        self._make_folder()
        self._config = LateConfig(self.run)
        self._layout: dict[str, dict[str, Any]] = {}
        self.run.state("log_dir", self.log_dir)
        if purge_step is not None:
            self.run.state("purge_step", int(purge_step))

    def get_logdir(self) -> str:
        """Return the folder given as `log_dir`."""
        return self.log_dir

    def flush(self) -> None:
        """Wait until all that was recorded is in the store."""
        self.run.flush()

    def close(self) -> None:
        """Finish the run; closing again does nothing. What is added afterwards is not kept, and says so once."""
        self.run.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run.__exit__(kind, error, trace)

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
