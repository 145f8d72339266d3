"""Runs in and out: logs of TensorBoard become runs, runs become CSV, Parquet or logs of TensorBoard."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.errors import MissingExtraError
from torchglass.exchange.results import ExportedRun, ImportedRun

if TYPE_CHECKING:
    from torchglass.exchange.exporting import Format
    from torchglass.store import Run, Store

__all__ = ["ExportedRun", "ImportedRun", "export_run", "import_tensorboard"]

_EVENT_FILES_NEED = {"tensorboard": "tensorboard", "google_crc32c": "google-crc32c", "PIL": "pillow"}
_NEEDED = {"csv": {}, "parquet": {"pyarrow": "pyarrow"}, "tensorboard": _EVENT_FILES_NEED}


def import_tensorboard(
    logdir: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | None = None,
    run: str | None = None,
    progress: bool = False,
    tell: Callable[[ImportedRun], object] | None = None,
) -> list[ImportedRun]:
    """Import every run below a folder of TensorBoard logs, or of one event file, into the store, one after another.

    Each folder with event files becomes a run that is called by its path below `logdir`; `logdir` itself goes by its
    own name. `run` replaces that first part. A name that is taken gets `-2`: importing twice makes two runs.

    Every scalar is kept with its step and wall time, in the order of the files: several of one step are all stored, and
    the last one counts. Histograms are counted again in the store's bins (their sum is exact, see
    `torchglass.store.rebinning`); images, texts and precision-recall curves become artifacts, the hyper-parameters
    of the hparams plugin the run's configuration. The rest is counted in `left_out`.

    Args:
        store: as in `torchglass.open_store`; made if it is absent.
        progress: show a bar on stderr, if that is a terminal and it takes longer than a second.
        tell: called with each run as soon as it is in the store.

    Raises:
        OptionError: `logdir` does not exist.
        DataError: there is no event file in it, or one cannot be opened.
        StoreError: the store cannot be written.
        MissingExtraError: a package of the extra "exchange" is not installed.
    """
    _require("tensorboard")
    from torchglass.exchange.importing import import_folder

    imported = []
    for each in import_folder(Path(logdir).expanduser(), store, run, progress=progress):
        imported.append(each)
        if tell is not None:
            tell(each)
    return imported


def export_run(
    store: Store,
    run: str | int | Run,
    path: str | os.PathLike[str] | None = None,
    *,
    format: Format,
    overwrite: bool = True,
    progress: bool = False,
) -> ExportedRun:
    """Write every point of a run (its name, id or record) in full precision.

    "csv" and "parquet" make one long table (see `torchglass.exchange.csv_file`) at `path`, or in it if it is a folder.
    "tensorboard" makes a folder with one event file, or one in `rank0`, `rank1`, ... where there are several ranks; it
    carries histograms, texts, images and the configuration too. Files are written whole or not at all.

    Args:
        path: default: the run's name with `.csv`, `.parquet` or `-tensorboard`, in the current folder.
        overwrite: replace what an earlier export left there.
        progress: show a bar on stderr, if that is a terminal and it takes longer than a second.

    Raises:
        RunNotFoundError: the store has no such run.
        OptionError: the format is unknown, the folder of `path` does not exist, or it holds another run's event files.
        TorchglassError: a file cannot be written.
        MissingExtraError: a package of the extra "exchange" is not installed; CSV needs none.
    """
    from torchglass.exchange.exporting import export
    from torchglass.store import Run as StoredRun

    _require(format)
    record = run if isinstance(run, StoredRun) else store.run(run)
    target = None if path is None else Path(path).expanduser()
    return export(store, record, target, format, overwrite=overwrite, progress=progress)


def _require(format: str) -> None:
    for module, package in _NEEDED.get(format, {}).items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(package, "exchange")
