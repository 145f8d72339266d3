"""The runs that this process records: closed at the program's end at the latest, let go of in a forked child."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from torch import nn

from torchglass.store import RunStatus, Store

if TYPE_CHECKING:
    from torchglass.instrumentation.run import Run

_runs: set[Run] = set()  # strong: a caller who drops what attach returned still gets the run closed at exit


def begun(run: Run) -> None:
    """Note a run that began."""
    _runs.add(run)


def ended(run: Run) -> None:
    """Forget a run that is being closed."""
    _runs.discard(run)


def live_runs() -> list[Run]:
    """Runs that this process is recording."""
    return list(_runs)


def finish_superseded(model: nn.Module, store: Store) -> list[str]:
    """Finish what a notebook leaves behind: attached runs into this store whose model is gone, or is attached again.

    Returns the names of the latter.
    """
    superseded = []
    for run in list(_runs):
        if run._attached is not None and run._store.location == store.location:
            earlier = run._attached()
            if earlier is None or earlier is model:
                run.finish()
            if earlier is model:
                superseded.append(run.name)
    return superseded


def ending(error: BaseException | None) -> tuple[RunStatus, str | None]:
    """Status and error of a run that this left."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "finished", None
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", None
    return "failed", f"{type(error).__name__}: {error}"


def _disown_all() -> None:
    for run in list(_runs):
        run._disown()
    _runs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)


@atexit.register
def _finish_at_exit() -> None:
    """Close what the program left open; an exception that ended the program ends its runs as failed."""
    for run in list(_runs):
        run.finish(*ending(getattr(sys, "last_value", None)))
