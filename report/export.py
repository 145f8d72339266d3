"""From a run in the store to a file on disk that is either whole or absent."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from torchglass.charts.text import file_name
from torchglass.errors import OptionError, TorchglassError
from torchglass.report.contents import read_contents
from torchglass.report.html import render
from torchglass.store import Run, Store


def write_report(store: Store, run: str | int | Run, path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Read, render and write the report of a run; see `torchglass.report.export_report`."""
    record = run if isinstance(run, Run) else store.run(run)
    try:
        target = _target(Path(path).expanduser(), record, overwrite=overwrite)
        write_whole(target, render(read_contents(store, record, written_at=time.time())))
    except OSError as error:
        raise TorchglassError(f"cannot write the report to {path}: {error.strerror}; give another path") from error
    return target


def _target(path: Path, run: Run, *, overwrite: bool) -> Path:
    """Refuse what can be refused before any work is done."""
    target = path / f"{file_name(run.name)}.html" if path.is_dir() else path
    if not target.parent.is_dir():
        raise OptionError(f"the folder {target.parent} does not exist: create it, or give another path")
    if target.is_dir():
        raise OptionError(f"{target} is a folder: give the path of a file")
    if target.exists() and not target.is_file():  # the move would put a file in the place of /dev/null
        raise OptionError(f"{target} is no ordinary file: give another path")
    if target.exists() and not overwrite:
        raise OptionError(f"{target} exists: give another path, or allow it to be overwritten")
    return target


def write_whole(target: Path, text: str) -> None:
    """Write text beside the target, then put it in its place in one move; on failure the old file stays as it was."""
    part = target.with_name(f".{uuid.uuid4().hex}.part")  # same folder: a move across file systems is not atomic
    try:
        # Not `tempfile`: its files are readable by their owner alone, and a report is made to be handed on.
        with part.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
