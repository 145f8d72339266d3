"""From runs in the store to a file on disk that is either whole or absent, and as small as was asked."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from torchglass.charts.text import file_name
from torchglass.errors import OptionError, TorchglassError
from torchglass.language import spoken
from torchglass.report.bounds import Bounds, ladder
from torchglass.report.compared import read_compared
from torchglass.report.contents import read_contents
from torchglass.report.html import Report, render_report
from torchglass.report.options import MAX_RUNS, Options
from torchglass.store import Run, Store

MEGABYTE = 1e6

Tell = Callable[[str], None]
Which = str | int | Run


def write_report(
    store: Store,
    runs: Which | Sequence[Which],
    path: str | os.PathLike[str],
    options: Options,
    *,
    overwrite: bool,
    tell: Tell = lambda _: None,
) -> Path:
    """Read, render and write a report; see `torchglass.report.export_report`. `tell` hears what is being done."""
    records = found_runs(store, runs)
    try:
        target = _target(Path(path).expanduser(), records, overwrite=overwrite)
        write_whole(target, report_text(store, records, options, tell=tell))
    except OSError as error:
        raise TorchglassError(f"cannot write the report to {path}: {error.strerror}; give another path") from error
    return target


def found_runs(store: Store, runs: Which | Sequence[Which]) -> list[Run]:
    """The runs that are meant, each once.

    Raises:
        RunNotFoundError: the store has no such run.
        OptionError: none is given, or more than a reader can tell apart.
    """
    asked = [runs] if isinstance(runs, str | int | Run) else list(runs)
    records = {run.id: run for run in (each if isinstance(each, Run) else store.run(each) for each in asked)}
    if not 1 <= len(records) <= MAX_RUNS:
        raise OptionError(f"a report of {len(records)} runs: give 1 to {MAX_RUNS}")
    return list(records.values())


def report_text(store: Store, runs: Sequence[Run], options: Options, *, tell: Tell = lambda _: None) -> str:
    """The report as text, the fullest that is small enough.

    Raises:
        OptionError: even the barest is larger than `options.max_mb`.
    """
    written_at = time.time()
    rungs = list(ladder())

    def made(place: int) -> str:
        return _made(store, runs, options, rungs[place], written_at, tell)

    with spoken(options.language):
        best = made(0)
        if options.max_mb is None or _megabytes(best) <= options.max_mb:
            return best
        low, high, small = 0, len(rungs), ""  # the first is too large; the one beyond the last is as small as can be
        smallest = _megabytes(best)
        while high - low > 1:
            middle = (low + high) // 2
            tell(f"making it smaller than {smallest:.1f} MB")
            text = made(middle)
            smallest = min(smallest, _megabytes(text))
            if _megabytes(text) <= options.max_mb:
                high, small = middle, text
            else:
                low = middle
    if not small:
        raise OptionError(
            f"max_mb={options.max_mb:g}: even the barest report of {_said(runs)} takes "
            f"{math.ceil(10 * smallest) / 10:.1f} MB: allow that much"
        )
    return small


def _made(store: Store, runs: Sequence[Run], options: Options, bounds: Bounds, written_at: float, tell: Tell) -> str:
    contents = []
    for place, run in enumerate(runs, start=1):
        tell(f"reading run {place} of {len(runs)}")
        contents.append(read_contents(store, run, written_at=written_at, bounds=bounds))
    compared = None
    if len(runs) > 1:
        tell("comparing")
        compared = read_compared(store, contents, bounds)
    tell("drawing")
    return render_report(Report(tuple(contents), compared, options, bounds))


def _megabytes(text: str) -> float:
    return len(text.encode("utf-8")) / MEGABYTE


def _said(runs: Sequence[Run]) -> str:
    return "this run" if len(runs) == 1 else f"these {len(runs)} runs"


def _target(path: Path, runs: Sequence[Run], *, overwrite: bool) -> Path:
    """Refuse what can be refused before any work is done."""
    name = file_name(runs[0].name) if len(runs) == 1 else f"{file_name(runs[0].name)}-compared"
    target = path / f"{name}.html" if path.is_dir() else path
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
