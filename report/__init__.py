"""Runs -> one self-contained HTML file that opens offline."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.errors import MissingExtraError
from torchglass.report.options import MAX_MB, MAX_RUNS, SECTIONS, checked

if TYPE_CHECKING:
    from torchglass.store import Run, Store

__all__ = ["MAX_MB", "MAX_RUNS", "SECTIONS", "export_report"]


def export_report(
    store: Store,
    runs: str | int | Run | Sequence[str | int | Run],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    language: str = "en",
    max_mb: float | None = MAX_MB,
    sections: Iterable[str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the report of a run (its name, id or record), or of several compared with the first; return its path.

    A `path` that is a folder gets a file named after the run. The file is written whole or not at all. It is at most
    `max_mb` megabytes large (None: any size): what does not fit is left out, first points of curves, then histograms,
    explained samples, profiler windows, and said in it. `sections` are keys of `SECTIONS` (default all); `tell` hears
    what is being done.

    Raises:
        RunNotFoundError: the store has no such run.
        OptionError: the folder of `path` does not exist, or the file does and `overwrite` is off; no such language or
            section; no report is that small; too many runs.
        TorchglassError: the file cannot be written.
        MissingExtraError: plotly or jinja2 is not installed.
    """
    options = checked(language=language, max_mb=max_mb, sections=sections)
    for package in ("plotly", "jinja2"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "report")
    from torchglass.report.export import write_report

    return write_report(store, runs, path, options, overwrite=overwrite, tell=tell)
