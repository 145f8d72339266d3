"""A run -> one self-contained HTML file that opens offline."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.errors import MissingExtraError

if TYPE_CHECKING:
    from torchglass.store import Run, Store

__all__ = ["export_report"]


def export_report(store: Store, run: str | int | Run, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write the report of a run (its name, id or record) and return the path of the file.

    A `path` that is a folder gets a file named after the run. The file is written whole or not at all.

    Raises:
        RunNotFoundError: the store has no such run.
        OptionError: the folder of `path` does not exist, or the file does and `overwrite` is off.
        TorchglassError: the file cannot be written.
        MissingExtraError: plotly or jinja2 is not installed.
    """
    for package in ("plotly", "jinja2"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "report")
    from torchglass.report.export import write_report

    return write_report(store, run, path, overwrite=overwrite)
